"""Pages on which subscribers see what a new version answers to their calls, and say what they think of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.releases import charts, replays
from apps.releases.models import Replay, ReplayedCall
from apps.releases.policy import may_answer_replay
from apps.releases.selectors import get_replay, replays_visible_to
from apps.releases.shown import pairs

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

PAGE_SIZE = 25
FIGURES = 2000
_VERBS = {"consent": replays.consent, "object": replays.object_to}


@login_required
@require_GET
def list_replays(request: HttpRequest) -> HttpResponse:
    """What waits for my team's word, and what it said before; newest first."""
    user = cast("User", request.user)
    page = keyset(replays_visible_to(user), ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    counts = replays.counted(page.items)
    rows = [{"replay": each, "counts": counts.get(each.pk, {})} for each in page.items]
    return render(request, "releases/replays.html", {"page": page, "rows": rows})


@login_required
@require_GET
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """One subscriber's calls, what the candidate answers to them, and the buttons."""
    user = cast("User", request.user)
    found = get_replay(pk, user=user)
    counts = replays.counted([found]).get(found.pk, {})
    context = {"replay": found, **_figures(counts)}
    if request.headers.get("HX-Request") and found.status == Replay.Status.RUNNING:
        return render(request, "releases/_replaying.html", context)
    outcome = request.GET.get("outcome", "")
    rows = found.calls.exclude(outcome=ReplayedCall.Outcome.PENDING)
    if outcome in ReplayedCall.Outcome.values:
        rows = rows.filter(outcome=outcome)
    page = keyset(rows, ("pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    moved = found.calls.filter(largest__gt=0).values_list("largest", flat=True)[:FIGURES]
    context |= {
        "page": page,
        "pairs": pairs(page.items),
        "outcome": outcome,
        "outcomes": [
            (value, label, counts.get(value, 0)) for value, label in ReplayedCall.Outcome.choices[1:]
        ],
        "figure": charts.moved([float(value or 0) for value in moved]),
        "may_answer": may_answer_replay(user, found),
        **_versions(found),
    }
    response = render(request, "releases/replay.html", context)
    if request.headers.get("HX-Request"):
        response["HX-Refresh"] = "true"
    return response


def _versions(found: Replay) -> dict[str, Any]:
    """`old`: what an objection keeps, or kept; `over`: it does so no more. `between`: what answers part of the calls
    until everybody has the new version, where that is another one than answers them now.
    """
    release, pinned = found.release, replays.pinned_to(found)
    baseline = release.baseline.version.number if release.baseline else ""
    now = pinned.version.number if pinned else baseline
    kept = found.kept if found.status == Replay.Status.OBJECTED else None
    return {
        "old": kept.version.number if kept else now,
        "over": kept is not None and pinned != kept,
        "between": baseline if now != baseline and release.ended_at is None else "",
    }


def _figures(counts: dict[str, int]) -> dict[str, Any]:
    total = sum(counts.values())
    done = total - counts.get("pending", 0)
    return {"counts": counts, "total": total, "done": done, "fraction": done / total if total else None}


@login_required
@require_POST
def answer(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Consent or object; the provider asks who objects to look again."""
    found = get_replay(pk, user=cast("User", request.user))
    if verb == "ask-again":
        return _ask_again(request, found)
    if verb not in _VERBS:
        raise NotFound(_("A subscriber consents or objects."))
    _VERBS[verb](found, by=cast("User", request.user), comment=request.POST.get("comment", ""))
    if verb == "object":
        days = found.release.policy.pin_days
        messages.success(
            request, _("Noted. Your calls stay with the old version for %(days)d days.") % {"days": days}
        )
    else:
        messages.success(request, _("Thank you. The new version may answer your calls."))
    return redirect("releases:replay", pk)


def _ask_again(request: HttpRequest, found: Replay) -> HttpResponse:
    try:
        replays.ask_anew(found, by=cast("User", request.user), comment=request.POST.get("comment", ""))
    except Invalid as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Asked. Until they consent their calls stay with the old version."))
    return redirect("releases:detail", found.release_id)
