"""Pages of releases: the QA inbox, signing, gray stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.models import Capability, Version
from apps.catalog.selectors import contract_with, get_capability, get_version
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.evaluation.demands import judged
from apps.evaluation.selectors import production_of
from apps.releases import bypass, conclusions, findings, history, live, policies, rollout, signing
from apps.releases.content import content_of, present_digest
from apps.releases.dossier import export_dossier
from apps.releases.forms import BypassForm, ConclusionForm, PolicyForm, SignForm
from apps.releases.models import Conclusion, Policy, Release
from apps.releases.policy import (
    may_agree_to_bypass,
    may_ask_anew,
    may_close_finding,
    may_end_bypass,
    may_raise_finding,
    may_see_releases,
    may_sign,
    may_write_policy,
)
from apps.releases.preview import preview
from apps.releases.risk import weighed
from apps.releases.selectors import (
    bypasses_visible_to,
    conclusions_of,
    findings_visible_to,
    get_team_of_policy,
    releases_listed,
    releases_visible_to,
    teams_with_policies,
    versions_for_bypass,
    waiting_for_signature,
)
from apps.requests.services import who_can_still_decide

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User

PAGE_SIZE = 30
MOST_SHOWN = 200
_POLICY_FIELDS = (
    "signers", "gates", "stages", "metric", "shadow_calls", "replay_calls", "consent_hours", "pin_days",
    "deadline_days", "stage_days", "replays_stand_in", "four_eyes", "deputies", "promote_by_gate",
)  # fmt: skip
_STEERING = {
    "start": rollout.start_rollout,
    "promote": rollout.promote,
    "pause": rollout.pause,
    "resume": rollout.resume,
}


def _release_of(request: HttpRequest, pk: int) -> Release:
    release = releases_visible_to(cast("User", request.user)).filter(pk=pk).first()
    if release is None:
        raise NotFound(_("There is no release %(pk)d that you may see.") % {"pk": pk})
    return release


@login_required
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for my signature, oldest first."""
    waiting = waiting_for_signature(cast("User", request.user))
    page = keyset(waiting, ("pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    rows = [{"release": release, **_weighed(release)} for release in page.items]
    return render(request, "releases/inbox.html", {"page": page, "rows": rows})


def _weighed(release: Release) -> dict[str, Any]:
    return {
        **weighed(release.report.verdict, release.report.headline),
        "open": sum(finding.closed_at is None for finding in release.findings.all()),
    }


@login_required
@require_GET
def list_releases(request: HttpRequest) -> HttpResponse:
    """All releases of my teams, newest first."""
    rows = releases_listed(cast("User", request.user))
    state = request.GET.get("status", "")
    if state in Release.Status.values:
        rows = rows.filter(status=state)
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "page": page,
        "states": Release.Status.choices,
        "state": state,
        "teams": teams_with_policies(cast("User", request.user))[:PAGE_SIZE],
    }
    return render(request, "releases/list.html", context)


@login_required
@require_POST
def open_release(request: HttpRequest, version_pk: int) -> HttpResponse:
    """Ask for a version's release on its newest report."""
    user = cast("User", request.user)
    release = signing.open_release(get_version(version_pk, user=user), by=user)
    messages.success(request, _("The release is open. Those who must sign have been told."))
    return redirect("releases:detail", release.pk)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One release: evidence, signatures, stages, buttons. htmx asks for the live part alone."""
    user = cast("User", request.user)
    release = _release_of(request, pk)
    context = live.shown(release, user=user)
    if request.headers.get("HX-Request"):
        return render(request, "releases/_live.html", context | {"told": live.told(context)})
    return render(request, "releases/detail.html", context | _paper(user, release))


def _known_to_callers(release: Release) -> Version | None:
    """The version whose signature callers know: what runs now, or ran when this release began."""
    before = release.baseline or production_of(release.capability)
    return before.version if before is not None else None


def _paper(user: User, release: Release) -> dict[str, object]:
    """What does not change while one looks: content, signatures, who can sign, history."""
    signable = may_sign(user, release)
    standstill = conclusions.standstill_of(release, user=user)
    return {
        "content": content_of(release.report, release.policy),
        "demanded": judged(release.report, policies.demand_of(release.policy)),
        "intact": present_digest(release) == release.content_digest,
        "findings": [
            {"row": finding, "may_close": may_close_finding(user, finding)}
            for finding in release.findings.select_related("raised_by", "closed_by").order_by("pk")
        ],
        "may_raise": may_raise_finding(user, release),
        "contract": contract_with(_known_to_callers(release), release.version),
        "standstill": standstill,
        "anew": [
            {"row": each, "may_ask": may_ask_anew(user, each)}
            for each in (standstill.objecting if standstill else [])
        ],
        "conclude_form": ConclusionForm()
        if standstill and standstill.may_ask and not standstill.asked
        else None,
        "concluded": [row for row in conclusions_of(release) if row.status == Conclusion.Status.AGREED],
        "signatures": release.signatures.select_related("user", "instead_of").order_by("pk"),
        "may_sign": signable,
        "form": SignForm() if signable else None,
        "deciders": who_can_still_decide(release.request) if release.request else [],
        "history": history.changes(release.capability, 12),
    }


@login_required
@require_POST
def sign(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign or refuse."""
    release, user = _release_of(request, pk), cast("User", request.user)
    form = SignForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Enter your password to sign."))
        return redirect("releases:detail", pk)
    act = signing.reject_release if "reject" in request.POST else signing.sign_release
    try:
        act(release, by=user, **form.cleaned_data)
    except Invalid as error:
        messages.error(request, error.message)
        return redirect("releases:detail", pk)
    messages.success(request, _("Rejected.") if "reject" in request.POST else _("Signed."))
    return redirect("releases:detail", pk)


@login_required
@require_POST
def steer(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Start, promote, pause, resume or roll back."""
    release, user = _release_of(request, pk), cast("User", request.user)
    if verb == "roll-back":
        rollout.roll_back(release, by=user, reason=request.POST.get("comment", "").strip())
        messages.success(request, _("All the traffic is back with what ran before."))
    elif verb in _STEERING:
        _STEERING[verb](release, by=user)
    else:
        raise NotFound(_("A release knows no “%(verb)s”.") % {"verb": verb})
    return redirect("releases:detail", pk)


@login_required
@require_http_methods(["GET", "POST"])
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """A capability's release policy, its own or what it follows, and the next one."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_releases(user, capability))
    return _policy_page(request, capability, policies.policy_for(capability))


@login_required
@require_http_methods(["GET", "POST"])
def team_policy(request: HttpRequest, slug: str) -> HttpResponse:
    """The default policy of a team, for its capabilities that have none of their own."""
    team = get_team_of_policy(slug, user=cast("User", request.user))
    return _policy_page(request, team, policies.team_policy(team) or policies.unwritten())


def _policy_page(request: HttpRequest, holder: policies.Holder, current: Policy) -> HttpResponse:
    user, team = cast("User", request.user), policies.team_of(holder)
    initial = {name: getattr(current, name) for name in _POLICY_FIELDS}
    initial["metric"] = [current.metric] if current.metric else []
    form = PolicyForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = policies.create_policy(holder, by=user, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(
                request, _("Policy #%(number)d counts for releases from now on.") % {"number": made.number}
            )
            return redirect(request.path)
    own = isinstance(holder, Capability)
    context = {
        "holder": holder,
        "capability": holder if own else None,
        "team": team,
        "form": form,
        "current": current,
        "following": None if own else list(policies.following(team)[:MOST_SHOWN]),
        "may_write": may_write_policy(user, team),
    }
    return render(request, "releases/policy.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def withdraw_policy(request: HttpRequest, slug: str) -> HttpResponse:
    """The capability follows its team's default again."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_releases(user, capability))
    own = policies.own_policy(capability)
    if own is None:
        raise Conflict(_("%(capability)s has no policy of its own.") % {"capability": capability.name})
    try:
        policies.withdraw_policy(own, by=user)
    except Invalid as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("It is withdrawn; what is shown here counts for releases from now on."))
    return redirect("releases:policy", slug)


@login_required
@require_POST
def preview_metric(request: HttpRequest, slug: str) -> HttpResponse:
    """What the metric of the form says of the last calls; a fragment for the policy's page."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_releases(user, capability))
    form = PolicyForm(request.POST)
    context: dict[str, Any] = {"error": " ".join(str(error) for error in form.errors.get("metric", []))}
    if not context["error"]:
        try:
            context["preview"] = preview(capability, form.cleaned_data["metric"])
        except Invalid as error:
            context["error"] = error.message
    return render(request, "releases/_preview.html", context)


@login_required
@require_GET
def list_findings(request: HttpRequest) -> HttpResponse:
    """What signers found, over all releases of my teams: the open ones, oldest first, unless asked otherwise."""
    user, state = cast("User", request.user), request.GET.get("state", "open")
    order = ("pk",) if state == "open" else ("-pk",)
    page = keyset(findings_visible_to(user, state), order, request.GET.get("cursor", ""), PAGE_SIZE)
    states = [("open", _("Open")), ("closed", _("Closed")), ("any", _("Any"))]
    return render(request, "releases/findings.html", {"page": page, "state": state, "states": states})


@login_required
@require_POST
def raise_finding(request: HttpRequest, pk: int) -> HttpResponse:
    """Limit a release until something is resolved."""
    most = request.POST.get("most_percent", "0")
    findings.raise_finding(
        _release_of(request, pk),
        by=cast("User", request.user),
        text=request.POST.get("text", ""),
        most_percent=int(most) if most.isdecimal() else 0,
    )
    messages.success(request, _("The release is limited until this is closed."))
    return redirect("releases:detail", pk)


@login_required
@require_POST
def close_finding(request: HttpRequest, pk: int, finding: int) -> HttpResponse:
    """Say how a finding was resolved."""
    found = _release_of(request, pk).findings.filter(pk=finding).first()
    if found is None:
        raise NotFound(_("This release has no finding %(pk)d.") % {"pk": finding})
    findings.close_finding(found, by=cast("User", request.user), resolution=request.POST.get("comment", ""))
    messages.success(request, _("Closed."))
    return redirect("releases:detail", pk)


@login_required
@require_POST
def conclude(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Ask to conclude the stage on replayed calls, agree to it as the second person, or take it back."""
    release, user = _release_of(request, pk), cast("User", request.user)
    try:
        if verb == "ask":
            form = ConclusionForm(request.POST)
            if not form.is_valid():
                raise Invalid(_("Give the reason and your password."))
            conclusions.ask_to_conclude(release, by=user, **form.cleaned_data)
            messages.success(request, _("Asked. A second person has to agree before anything moves."))
        elif verb == "agree":
            conclusions.agree_to_conclude(release, by=user, password=request.POST.get("password", ""))
            messages.success(request, _("The stage is passed; the release goes on."))
        elif verb == "withdraw":
            conclusions.withdraw_conclusion(release, by=user)
            messages.success(request, _("Withdrawn."))
        else:
            raise NotFound(_("A stage is asked to be concluded, agreed to, or that is withdrawn."))
    except Invalid as error:
        messages.error(request, error.message)
    return redirect("releases:detail", pk)


@login_required
@require_POST
def dossier(request: HttpRequest, pk: int) -> HttpResponse:
    """The release's dossier as one archive."""
    release = _release_of(request, pk)
    archive = export_dossier(release, by=cast("User", request.user))
    response = HttpResponse(archive, content_type="application/zip")
    name = f"dossier-{release.capability.slug}-{release.version.number}-{release.pk}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@require_http_methods(["GET", "POST"])
def emergency(request: HttpRequest) -> HttpResponse:
    """Emergency bypasses: ask for one, agree to one, end one."""
    user = cast("User", request.user)
    versions = versions_for_bypass(user)
    form = BypassForm(versions, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            bypass.ask_for_bypass(**form.cleaned_data, by=user)
        except (Invalid, Conflict) as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("Asked. A second person has to agree before anything moves."))
            return redirect("releases:emergency")
    found = list(bypasses_visible_to(user).order_by("-pk")[:PAGE_SIZE])
    signed = signing.signed_among({row.version_id for row in found})
    rows = [
        {
            "row": row,
            "may_agree": may_agree_to_bypass(user, row),
            "may_end": may_end_bypass(user, row),
            "unsigned": row.agreed_by_id is not None
            and row.version_id not in signed
            and row.version.status != Version.Status.RETIRED,
        }
        for row in found
    ]
    context = {"form": form, "rows": rows, "may_ask": versions.exists()}
    return render(request, "releases/emergency.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def settle_bypass(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Agree to a bypass, or take it back."""
    user = cast("User", request.user)
    row = bypasses_visible_to(user).filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no bypass %(pk)d that you may see.") % {"pk": pk})
    if verb == "agree":
        try:
            bypass.agree_to_bypass(row, by=user, password=request.POST.get("password", ""))
        except Invalid as error:
            messages.error(request, error.message)
    elif verb == "withdraw":
        bypass.withdraw_bypass(row, by=user)
    else:
        raise NotFound(_("A bypass is agreed to or withdrawn."))
    return redirect("releases:emergency")
