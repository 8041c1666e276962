"""The inbox, a request's page, the bell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Team
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.requests import kinds, letters, services, tickets
from apps.requests import notifications as bells
from apps.requests.models import Decision, MailChoice, Notification, Request
from apps.requests.policy import may_decide, may_withdraw, words_of
from apps.requests.selectors import notifications_of, requests_visible_to, waiting_count, waiting_for

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

    from apps.accounts.models import User

_LAST_IN_BELL = 8
_MOST_TEAMS = 500


def _request_of(request: HttpRequest, pk: int) -> Request:
    visible = requests_visible_to(request.user).select_related("owner", "team")
    found = visible.filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no request %(pk)d that you may see.") % {"pk": pk})
    return found


@login_required
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for me, what I asked for, and everything that I may see; filtered by whatever is said of a ticket."""
    user = cast("User", request.user)
    view = request.GET.get("view", "waiting")
    wrong = ""
    try:
        rows = tickets.tickets_of(user, view, request.GET)
    except Invalid as error:
        rows, wrong = Request.objects.none(), error.message
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), 30)
    for row in page.items:
        row.kind_label = kinds.get(row.kind).label  # type: ignore[attr-defined]
    context = {
        "page": page,
        "view": view,
        "wrong": wrong,
        "filters": {name: request.GET.get(name, "") for name in tickets.FILTERS},
        "filtered": any(request.GET.get(name) for name in tickets.FILTERS),
        "states": Request.Status.choices,
        "kinds": kinds.choices(),
        "teams": Team.objects.order_by("name")[:_MOST_TEAMS],
        "waiting_count": waiting_count(user),
    }
    return render(request, "requests/inbox.html", context, status=422 if wrong else 200)


@login_required
@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The same tickets as CSV, all pages of them."""
    rows = tickets.tickets_of(cast("User", request.user), request.GET.get("view", "waiting"), request.GET)
    return tickets.download(rows)


def _history(row: Request) -> list[dict[str, Any]]:
    """Opening, decisions, comments and the end, in order of time."""
    decisions = Decision.objects.filter(step__request=row).select_related("user", "step", "step__team")
    told: list[dict[str, Any]] = [
        {"at": row.created_at, "user": row.owner, "what": "opened", "text": row.body}
    ]
    told += [
        {
            "at": d.at,
            "user": d.user,
            "what": "approved" if d.approve else "rejected",
            "text": d.comment,
            "step": words_of(d.step),
        }
        for d in decisions
    ]
    told += [
        {"at": c.at, "user": c.user, "what": "commented", "text": c.text}
        for c in row.comments.select_related("user")
    ]
    if row.closed_at:
        told.append({"at": row.closed_at, "user": None, "what": row.status, "text": ""})
    return sorted(told, key=lambda entry: entry["at"])


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One request: state, who has to agree, history, and the decision in one click."""
    user = cast("User", request.user)
    row = _request_of(request, pk)
    steps = list(
        row.steps.select_related("team").prefetch_related("decisions__user", "decisions__instead_of")
    )
    for step in steps:
        step.words = words_of(step)  # type: ignore[attr-defined]
    context = {
        "row": row,
        "kind": (kind := kinds.get(row.kind)),
        "facts": kind.facts(row),
        "steps": steps,
        "history": _history(row),
        "may_decide": may_decide(user, row),
        "may_withdraw": may_withdraw(user, row),
        "deciders": services.who_can_still_decide(row),
        "stuck": services.why_unsatisfiable(row),
    }
    return render(request, "requests/detail.html", context)


def _back(request: HttpRequest, fallback: str) -> HttpResponse:
    """To the page that the form names, if it is ours."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return redirect(target if safe else fallback)


@login_required
@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Yes or no."""
    row = _request_of(request, pk)
    approve = request.POST.get("decision") == "approve"
    row = services.decide(row, approve, request.POST.get("comment", ""), by=cast("User", request.user))
    words = {
        Request.Status.GRANTED: _("Granted."),
        Request.Status.REJECTED: _("Rejected. The person who asked has been told."),
    }
    messages.success(
        request, words.get(Request.Status(row.status), _("Your approval is recorded. More are needed."))
    )
    return _back(request, services.page_of(row))


@login_required
@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a request back."""
    row = services.withdraw(_request_of(request, pk), by=cast("User", request.user))
    messages.success(request, _("Withdrawn."))
    return redirect(services.page_of(row))


@login_required
@require_POST
def comment(request: HttpRequest, pk: int) -> HttpResponse:
    """Say something about a request."""
    row = _request_of(request, pk)
    services.comment_on(row, request.POST.get("text", ""), by=cast("User", request.user))
    return redirect(services.page_of(row))


@login_required
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    """All notifications; what waits for a decision can be decided here."""
    user = cast("User", request.user)
    rows = notifications_of(user).select_related("request", "request__owner")
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), 30)
    asked = {row.request_id for row in page.items if row.request_id}
    waiting = set(waiting_for(user).filter(pk__in=asked).values_list("pk", flat=True))
    shown: set[int] = set()
    for row in page.items:
        row.decidable = row.request_id in waiting and row.request_id not in shown  # type: ignore[attr-defined]
        if row.request_id:
            shown.add(row.request_id)
    return render(request, "requests/notifications.html", {"page": page})


@login_required
@require_GET
def bell(request: HttpRequest) -> HttpResponse:
    """The last few, for the bell's menu."""
    rows = notifications_of(cast("User", request.user)).order_by("-pk")[:_LAST_IN_BELL]
    return render(request, "requests/_bell.html", {"notifications": rows})


@login_required
@require_POST
def mark_read(request: HttpRequest) -> HttpResponse:
    """All read."""
    bells.mark_read(cast("User", request.user))
    return _back(request, "requests:notifications")


@login_required
@require_GET
def open_notification(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one as read and go where it leads."""
    user = cast("User", request.user)
    row = Notification.objects.filter(user=user, pk=pk).first()
    if row is None:
        raise NotFound(_("There is no such notification of yours."))
    bells.mark_read(user, row.pk)
    safe = url_has_allowed_host_and_scheme(row.url, allowed_hosts={request.get_host()})
    return redirect(row.url if row.url and safe else "requests:notifications")


@login_required
@require_http_methods(["GET", "POST"])
def mail_choices(request: HttpRequest) -> HttpResponse:
    """What comes by e-mail, and when."""
    user = cast("User", request.user)
    if request.method == "POST":
        letters.choose(user, {kind: request.POST[kind] for kind in letters.KINDS if kind in request.POST})
        messages.success(request, _("Your choice is saved."))
        return redirect("requests:mail")
    chosen = letters.choices_of(user)
    rows = [(kind, title, chosen[kind]) for kind, title in letters.KINDS.items()]
    return render(request, "requests/mail.html", {"rows": rows, "whens": MailChoice.When.choices})
