"""Gray release: stage by stage from a small share to everything, and back in one step.

People write what they want (start, promote, pause, roll back); `proceed` looks at what is, every two seconds and
on events. Automation pauses and rolls back by itself; it promotes only where the signed policy says so. What it has
paused it goes on watching: evidence against the candidate rolls back all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import users_with
from apps.catalog.models import Capability, Version
from apps.core import audit, events
from apps.core.errors import Conflict, IllegalMove, NotAllowed, PortalError, StaleWrite, Unavailable
from apps.core.policy import require
from apps.core.telling import made_of
from apps.evaluation.selectors import production_of
from apps.gateway import reach
from apps.instances.models import Deployment
from apps.instances.pins import end_pins
from apps.instances.selectors import weights_of
from apps.instances.services import deploy_version, set_shadow, set_weights, stop_deployment
from apps.releases import judging, reasons, replays
from apps.releases.evidence import usual_latency
from apps.releases.findings import most_percent
from apps.releases.judgement import Outcome
from apps.releases.models import Bypass, Conclusion, Release, Stage
from apps.releases.order import in_gray
from apps.releases.policies import latency_budget
from apps.releases.policy import may_promote, may_roll_back, may_steer
from apps.releases.reasons import Code, Reason
from apps.releases.shares import Shares, shares_of
from apps.releases.shipped import run_cases
from apps.releases.signing import may_take_production_traffic
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.accounts.models import User

log = logging.getLogger(__name__)
FULL = 100
BEGUN = (Stage.Status.PASSED, Stage.Status.ACTIVE)
WATCHED = Q(status=Release.Status.ROLLING) | Q(status=Release.Status.PAUSED, why__code__in=reasons.BY_ITSELF)
HELD_AT_MOST = timedelta(minutes=15)
"""Longer than a restart takes, and a clock may be behind; then people have to look."""


@transaction.atomic
def start_rollout(release: Release, *, by: User) -> Release:
    """Bring a signed version up beside what runs now; traffic moves once it is ready.

    Raises NotAllowed when the signature does not hold, Conflict when another release is in gray.
    """
    release = locked_release(release)
    require(may_steer(by, release))
    require(may_take_production_traffic(release.version))
    # Whoever divides by hand at this moment comes before or after, and then sees that a release is in gray.
    Capability.objects.select_for_update().get(pk=release.capability_id)
    if in_gray(release.capability).exists():
        raise Conflict(_("Another release of this capability is in gray. Finish it or roll it back first."))
    if Bypass.objects.filter(capability=release.capability, status=Bypass.Status.ACTIVE).exists():
        raise Conflict(_("An emergency bypass is in force. It ends by itself once its version is signed."))
    baseline = production_of(release.capability)
    if baseline is None:
        _check_alone(release)
    _check_findings(release, alone=baseline is None)
    running = Deployment.objects.filter(
        version=release.version, kind=Deployment.Kind.PRODUCTION, desired="running", host=None
    )
    candidate = running.first() or deploy_version(release.version, kind=Deployment.Kind.PRODUCTION, by=by)
    if baseline is not None and baseline.pk == candidate.pk:
        raise Conflict(_("This version takes all the traffic already."))
    if baseline is not None:
        Stage.objects.bulk_create(planned_stages(release, baseline))
    Release.lifecycle.move(release, Release.Status.ROLLING, by=by, baseline=baseline, deployment=candidate)
    events.publish("releases.rolling", release.pk)
    return release


def planned_stages(release: Release, baseline: Deployment | None = None) -> list[Stage]:
    """The policy's stages, with the shadow before them if it asks for one.

    Where most answers of what runs now are slower than the gates allow, nobody could tell a slow candidate by that:
    what its callers are used to counts then.
    """
    asked, budget = list(release.policy.stages), latency_budget(release)
    if budget and baseline is not None and any(stage.get("budget") for stage in asked):
        budget = max(budget, usual_latency(baseline) or 0.0)
    if release.policy.shadow_calls:
        asked.insert(0, {"weight": 0, "worse_by": asked[0]["worse_by"] if asked else 0.05})
    return [
        Stage(
            release=release,
            position=position,
            weight=stage["weight"],
            worse_by=stage["worse_by"],
            slow_ms=stage.get("slow_ms") or (budget if stage.get("budget") else None),
            memory_mb=stage.get("memory_mb"),
            server_cpu=stage.get("server_cpu"),
            costlier_by=stage.get("costlier_by"),
            site=stage.get("site", ""),
            metric=release.policy.metric if stage.get("metric") else None,
        )
        for position, stage in enumerate(asked)
    ]


def _check_alone(release: Release) -> None:
    """Without anything in production there are no stages: so nobody empties it first to get around them."""
    released = Release.objects.filter(capability=release.capability, status=Release.Status.RELEASED)
    rested = released.exclude(version=release.version).filter(version__status=Version.Status.PACKAGED)
    for other in rested.select_related("version__capability").order_by("-pk")[:1]:
        if may_take_production_traffic(other.version):
            raise Conflict(
                _(
                    "%(version)s is released and answers no calls now. Give it its traffic back first: the stages"
                    " compare with it. If it should never answer again, take it out of use."
                )
                % {"version": other.version},
                url=reverse("instances:traffic", args=[release.capability.slug]),
            )


def _check_findings(release: Release, *, alone: bool) -> None:
    """A finding that leaves nothing forbids the start; one that leaves a part needs something to share with."""
    most = most_percent(release)
    if most == 0 or (alone and most < FULL):
        raise NotAllowed(
            _("A finding limits this release to %(most)d %% of the traffic. QA has to close it first.")
            % {"most": most}
        )


@transaction.atomic
def adopt(release: Release, deployment: Deployment, baseline: Deployment | None) -> None:
    """Take over what an emergency bypass brought into production, now that it is signed."""
    release = locked_release(release)
    Release.lifecycle.move(release, Release.Status.ROLLING, by=None, baseline=baseline, deployment=deployment)
    _finish(release, by=None)


def on_deployment_settled(key: str, _facts: dict[str, Any]) -> None:
    """A deployment became ready or failed: perhaps a release waits for it."""
    for release in Release.objects.filter(deployment_id=key, status=Release.Status.ROLLING):
        proceed(release)


def proceed_all() -> None:
    """Look at every release in gray, but for those that a person has paused. Each fails on its own."""
    for release in Release.objects.filter(WATCHED).order_by("pk")[:200]:
        try:
            proceed(release)
        except Exception:
            log.exception("release %s: this look failed", release.pk)


def proceed(release: Release) -> None:
    """Take the step that is due. Harmless when repeated or done twice at the same time.

    What keeps it from going on is told in `why` until it is over; a stage under way is judged meanwhile all the same.
    """
    held: Reason | None = None
    try:
        held = _ask_gateway(release)
        with transaction.atomic():
            locked = (
                Release.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("deployment", "baseline", "capability__team", "version", "policy")
                .filter(WATCHED, pk=release.pk)
                .first()
            )
            if locked is not None:
                _step(locked)
    except (StaleWrite, IllegalMove):
        log.info("release %s was moved by somebody else", release.pk)
    except PortalError as error:
        log.warning("release %s cannot go on: %s", release.pk, error.message)
        held = held or Reason(Code.HELD, {"why": made_of(error.message)})
    _tell_held(release, held)


def _tell_held(release: Release, held: Reason | None) -> None:
    """Keep why a release in gray does not go on, or that nothing holds it any more; pause it when that lasts."""
    told = reasons.fields(held) if held else {"reason": "", "why": {}}
    rolling = Release.objects.filter(pk=release.pk, status=Release.Status.ROLLING)
    rolling.exclude(**told).update(**told)
    if held is None and (stage := active_stage(release)) is not None and stage.evidence.get("behind"):
        held = Reason(Code.GATEWAY_BEHIND)
    if held is None:
        rolling.exclude(held={}).update(held={})
    elif _held_too_long(release, held.code):
        _pause_held(release, held)


@transaction.atomic
def _held_too_long(release: Release, cause: Code) -> bool:
    """Note since when this cause holds the release, and whether that lasts. Each has a time of its own, until a look
    finds nothing that holds: a new cause is not blamed for how long another one lasted, nor do two in turn go unseen.
    """
    rolling = Release.objects.select_for_update(of=("self",)).filter(
        pk=release.pk, status=Release.Status.ROLLING
    )
    found, now = rolling.first(), timezone.now()
    if found is None:
        return False
    since = found.held.get(cause)
    if since is None:
        rolling.update(held=found.held | {str(cause): now.isoformat()})
    return since is not None and datetime.fromisoformat(since) <= now - HELD_AT_MOST


def _pause_held(release: Release, held: Reason) -> None:
    codes = {Code.GATEWAY_AWAY: Code.PAUSED_AWAY, Code.GATEWAY_BEHIND: Code.PAUSED_BEHIND}
    about = {"minutes": HELD_AT_MOST // timedelta(minutes=1), **held.about}
    try:
        with transaction.atomic():
            _pause_by_itself(locked_release(release), Reason(codes.get(held.code, Code.PAUSED_HELD), about))
    except (StaleWrite, IllegalMove):
        log.info("release %s was moved by somebody else", release.pk)


def _pause_by_itself(release: Release, reason: Reason) -> None:
    """Keep the present shares, say why, and call those who can resume it or roll it back."""
    Release.lifecycle.move(release, Release.Status.PAUSED, by=None, held={}, **reasons.fields(reason))
    _call_operators(release, lambda: f"{release.version}: {reasons.said(reason)}")


def _ask_gateway(release: Release) -> Reason | None:
    """The shipped cases once the candidate answers, before any traffic; later, whether the gateway is there to take
    over the shares of a stage that no call was answered by so far. Over the network, so outside of a transaction.
    """
    fresh = Release.objects.select_related("deployment__version", "deployment__capability__team").get(
        pk=release.pk
    )
    if fresh.status != Release.Status.ROLLING or fresh.deployment is None:
        return None
    if fresh.cases is None and fresh.deployment.status == Deployment.Status.READY:
        try:
            cases = run_cases(fresh.deployment)
        except Unavailable as error:
            log.warning("release %s waits: %s", release.pk, error.message)
            return Reason(Code.GATEWAY_AWAY)
        Release.objects.filter(pk=fresh.pk, cases__isnull=True).update(cases=cases)
    elif (stage := active_stage(fresh)) is not None and not stage.evidence.get("taken_over"):
        return None if reach.answers() else Reason(Code.GATEWAY_AWAY)
    return None


def _step(release: Release) -> None:
    assert release.deployment is not None
    status = release.deployment.status
    if status == Deployment.Status.FAILED:
        _back(
            release,
            by=None,
            reason=Reason(Code.BACK_FAILED, {"why": made_of(release.deployment.why)}),
        )
        return
    if release.version.status == Version.Status.RETIRED:
        _back(release, by=None, reason=Reason(Code.BACK_RETIRED))
        return
    active = active_stage(release)
    if active is not None:
        _judge(release, active)
    elif release.status == Release.Status.ROLLING and status == Deployment.Status.READY:
        failed = [case["name"] for case in release.cases or [] if not case["passed"]]
        if failed:
            _back(release, by=None, reason=Reason(Code.BACK_CASES, {"names": failed[:5]}))
        elif release.cases is not None:
            _enter_next(release, by=None)


def active_stage(release: Release) -> Stage | None:
    """The stage whose calls are being judged."""
    return release.stages.filter(status=Stage.Status.ACTIVE).first()


def _enter_next(release: Release, *, by: User | None) -> None:
    stage = release.stages.filter(status=Stage.Status.PENDING).first()
    if stage is None:
        _finish(release, by=by)
        return
    Stage.lifecycle.move(stage, Stage.Status.ACTIVE, by=by, started_at=timezone.now())
    if next_weight(release) == FULL:
        replays.begin(release)
    elif not release.stages.filter(status=Stage.Status.PASSED).exists():
        replays.begin_with_pinned(release)
    if stage.weight:
        _divide(release, shares_of(release.stages.filter(status__in=BEGUN, weight__gt=0)))
    else:
        set_shadow(release.capability, release.deployment, FULL, by=None)


def _divide(release: Release, shares: Shares) -> None:
    """Give the candidate its shares; the portal itself does it, under the same guard as a person."""
    at_sites = {site: _both(release, share) for site, share in shares.ahead.items()}
    set_weights(release.capability, _both(release, shares.everywhere), by=None, at_sites=at_sites)


def _both(release: Release, share: int) -> dict[int, int]:
    assert release.deployment is not None
    weights = {release.deployment.pk: share} if share else {}
    if share < FULL and release.baseline is not None:
        weights[release.baseline.pk] = FULL - share
    return weights


def _judge(release: Release, stage: Stage) -> None:
    before = stage.outcome
    found = judging.judge_stage(release, stage)
    stage.evidence, stage.outcome = found.told, str(found.judgement.outcome)
    stage.save(update_fields=["outcome", "evidence", "load"])
    if found.why_back is not None:
        _back(release, by=None, reason=found.why_back)
    elif release.status == Release.Status.PAUSED:
        if found.judgement.outcome is Outcome.SUCCESS and before != Outcome.SUCCESS:
            _call_operators(
                release,
                lambda: (
                    _("%(version)s: %(stage)s was paused and is a success by now; resume it to go on")
                    % {"version": release.version, "stage": _called(stage)}
                ),
            )
    elif found.judgement.outcome is Outcome.UNDECIDED:
        _pause_undecided(release, stage)
    elif release.policy.promote_by_gate:
        after = next_weight(release)
        if after > most_percent(release) or (after == FULL and replays.waiting(release)):
            return
        leave_stage(release, stage, by=None)
    elif before != Outcome.SUCCESS:
        _call_operators(
            release,
            lambda: (
                _("%(version)s: %(stage)s is a success and can be promoted")
                % {"version": release.version, "stage": _called(stage)}
            ),
        )


def _called(stage: Stage) -> str:
    """The stage within a sentence."""
    return (
        _("the stage of %(weight)d %%") % {"weight": stage.weight} if stage.weight else _("the shadow stage")
    )


def _pause_undecided(release: Release, stage: Stage) -> None:
    """Where it has waited for evidence as long as the policy lets it: low traffic never passes, nor is it forgotten."""
    at, days = pauses_at(release, stage), release.policy.stage_days
    if at is not None and timezone.now() >= at:
        _pause_by_itself(release, Reason(Code.PAUSED_UNDECIDED, {"weight": stage.weight, "days": days}))


def pauses_at(release: Release, stage: Stage) -> datetime | None:
    """When a stage under way that is still undecided pauses its release; None where it does not."""
    since = stage.resumed_at or stage.started_at
    if since is None or stage.status != Stage.Status.ACTIVE or release.status != Release.Status.ROLLING:
        return None
    return None if stage.outcome == Outcome.SUCCESS else since + timedelta(days=release.policy.stage_days)


def next_weight(release: Release) -> int:
    """The share after the present stage."""
    following = release.stages.filter(status=Stage.Status.PENDING).first()
    return following.weight if following is not None else FULL


def leave_stage(release: Release, stage: Stage, *, by: User | None) -> None:
    """The stage is passed and the next one begins. Whoever calls has locked the release and asked its policy."""
    _end_stage(stage, Stage.Status.PASSED, by=by)
    _enter_next(release, by=by)


def _end_stage(stage: Stage, status: str, *, by: User | None) -> None:
    """It is over, and so is the question whether it could be concluded without its calls."""
    now = timezone.now()
    Stage.lifecycle.move(stage, status, by=by, ended_at=now)
    for asked in stage.conclusions.filter(status=Conclusion.Status.ASKED):
        Conclusion.lifecycle.move(asked, Conclusion.Status.WITHDRAWN, by=by, settled_by=by, settled_at=now)


def _finish(release: Release, *, by: User | None) -> None:
    _divide(release, Shares(FULL))
    former = Release.objects.filter(capability=release.capability, status=Release.Status.RELEASED)
    for other in former.exclude(pk=release.pk):
        Release.lifecycle.move(other, Release.Status.SUPERSEDED, by=by)
    nothing_holds = {"reason": "", "why": {}}
    Release.lifecycle.move(release, Release.Status.RELEASED, by=by, ended_at=timezone.now(), **nothing_holds)
    events.publish("releases.released", release.pk)


@transaction.atomic
def promote(release: Release, *, by: User) -> Release:
    """Go to the next stage. Raises NotAllowed while the evidence of this one is no success."""
    release = locked_release(release)
    stage = active_stage(release)
    limit, after = most_percent(release), next_weight(release)
    unanswered = replays.waiting(release)
    require(may_promote(by, release, stage, limit=limit, after=after, unanswered=unanswered))
    require(may_take_production_traffic(release.version))
    if release.version.status == Version.Status.RETIRED:
        raise Conflict(_("The version was taken out of use; it goes back by itself."))
    assert stage is not None
    leave_stage(release, stage, by=by)
    return release


@transaction.atomic
def pause(release: Release, *, by: User) -> Release:
    """Keep the present shares; nothing is judged or promoted until it is resumed."""
    release = locked_release(release)
    require(may_steer(by, release))
    Release.lifecycle.move(release, Release.Status.PAUSED, by=by, held={})
    return release


@transaction.atomic
def resume(release: Release, *, by: User) -> Release:
    """Go on where it was paused; who resumes it lets a stage wait for its evidence as long again."""
    release = locked_release(release)
    require(may_steer(by, release))
    require(may_take_production_traffic(release.version))
    anew: dict[str, Any] = {"reason": "", "why": {}, "held": {}}
    Release.lifecycle.move(release, Release.Status.ROLLING, by=by, **anew)
    release.stages.filter(status=Stage.Status.ACTIVE).update(resumed_at=timezone.now())
    return release


@transaction.atomic
def roll_back(release: Release, *, by: User, reason: str = "") -> Release:
    """Give all the traffic back to what ran before: model, code and environment together, in one step."""
    release = locked_release(release)
    require(may_roll_back(by, release))
    if release.status == Release.Status.RELEASED and release.baseline is None:
        raise Conflict(_("Nothing ran before this version, so there is nothing to go back to."))
    back_to = release.baseline if release.baseline is not None and _takes_part(release) else None
    if back_to is not None and back_to.status != Deployment.Status.READY:
        raise Conflict(_("What ran before is not ready any more. Deploy it again first."))
    _back(release, by=by, reason=reason or Reason(Code.BACK_BY_HAND, {"who": by.called}))
    return release


def _back(release: Release, *, by: User | None, reason: Reason | str) -> None:
    """The shared end of every rollback, by hand or by itself. Shares that the candidate has lost already stay."""
    if release.baseline is not None and _takes_part(release):
        set_weights(release.capability, {release.baseline.pk: FULL}, by=None, going_back=True)
    for stage in release.stages.filter(status__in=[Stage.Status.ACTIVE, Stage.Status.PENDING]):
        ended = Stage.Status.FAILED if stage.status == Stage.Status.ACTIVE else Stage.Status.SKIPPED
        _end_stage(stage, ended, by=by)
    kept = reasons.fields(reason)
    Release.lifecycle.move(release, Release.Status.ROLLED_BACK, by=by, ended_at=timezone.now(), **kept)
    replays.end(release, by=by)
    if release.deployment is not None and release.deployment.desired == Deployment.Desired.RUNNING:
        stop_deployment(release.deployment, by=None, reason=reasons.said(reason))
    before = (
        Release.objects.filter(deployment=release.baseline, status=Release.Status.SUPERSEDED)
        .order_by("-pk")
        .first()
    )
    if before is not None:
        Release.lifecycle.move(before, Release.Status.RELEASED, by=by)
    with translation.override("en"):  # what programs and auditors read does not depend on who rolled back
        audit.record("releases.release.back", release, by=by, reason=reasons.said(reason), why=kept["why"])
        events.publish("releases.rolled_back", release.pk, reason=reasons.said(reason))
    _call_operators(
        release,
        lambda: _("%(version)s was rolled back: ") % {"version": release.version} + reasons.said(reason),
    )


def _takes_part(release: Release) -> bool:
    """Whether the traffic is divided between the candidate and what ran before, be it all for one of them."""
    assert release.baseline is not None
    there = weights_of(release.capability)
    return release.deployment_id in there or release.baseline_id in there


def on_voided(key: str, _facts: dict[str, Any]) -> None:
    """A release whose signature became void takes no production traffic any more."""
    release = Release.objects.select_related("deployment", "baseline").get(pk=key)
    replays.end(release, by=None)
    if release.deployment is None:
        return
    end_pins(release.capability, by=None, deployment=release.deployment.pk)
    if release.deployment.pk not in weights_of(release.capability):
        return
    give_back(release.capability, release.baseline)
    _call_operators(
        release,
        lambda: (
            _("%(version)s takes no production traffic: its signatures are void.")
            % {"version": release.version}
        ),
    )


def give_back(capability: Capability, before: Deployment | None) -> None:
    """All the traffic to what ran before; to nobody where that cannot take it, since going back never waits."""
    try:
        with transaction.atomic():
            set_weights(capability, {before.pk: FULL} if before else {}, by=None, going_back=True)
    except PortalError as error:
        log.warning("%s: what ran before takes no traffic: %s", capability, error.message)
        set_weights(capability, {}, by=None)


def _call_operators(release: Release, title: Callable[[], str]) -> None:
    """Tell them, each in their own language."""
    people = list(users_with(Role.OPERATOR, release.capability.team))
    notify(people, title, url=f"/releases/{release.pk}/")


def locked_release(release: Release) -> Release:
    """The release as it is now, locked until the transaction ends."""
    return (
        Release.objects.select_for_update(of=("self",))
        .select_related("deployment", "baseline", "capability__team", "version", "policy")
        .get(pk=release.pk)
    )
