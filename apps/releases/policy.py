"""Who may open, sign and steer a release, and why not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.policy import may_act_as
from apps.core.policy import Verdict, allow, deny
from apps.core.telling import say as _
from apps.evaluation.policy import decides
from apps.instances.models import Deployment
from apps.instances.policy import may_deploy
from apps.releases.judgement import rule_out
from apps.releases.models import Bypass, Conclusion, Finding, Release, Replay, Stage
from apps.releases.order import UNDER_WAY, may_divide_by_hand
from apps.requests.policy import may_decide
from apps.store.policy import may_use_keys

EVERYTHING = 100
ASKED_ANEW_EVERY = timedelta(days=1)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import Team, User
    from apps.catalog.models import Capability, Version
    from apps.evaluation.demands import Demand
    from apps.evaluation.models import Report
    from apps.releases.judgement import Counts


def may_see_releases(actor: User, capability: Capability) -> Verdict:
    """The team's developers, QA and operators."""
    return may_act_as(actor, capability.team, Role.DEVELOPER, Role.QA, Role.OPERATOR)


def may_open_release(
    actor: User, version: Version, report: Report | None, demands: Sequence[Demand] | None = None
) -> Verdict:
    """A developer or operator, on a report that decides; `demands` as in `evaluation.policy.decides`."""
    decided = decides(report, version, demands)
    return may_act_as(actor, version.capability.team, Role.DEVELOPER, Role.OPERATOR) if decided else decided


def may_sign(actor: User, release: Release) -> Verdict:
    """Who the policy names, never the version's author; once each."""
    if release.status != Release.Status.SIGNING:
        return deny(_("This release is %(status)s.") % {"status": release.get_status_display().lower()})
    if actor.pk in (release.version.created_by_id, release.opened_by_id):
        return deny(_("Nobody signs a release of their own."))
    if release.request is None:
        return deny(_("Nobody has to sign this release."))
    return may_decide(actor, release.request)


def may_steer(actor: User, release: Release) -> Verdict:
    """Operators start, promote, pause and roll back."""
    return may_act_as(actor, release.capability.team, Role.OPERATOR)


def may_roll_back(actor: User, release: Release) -> Verdict:
    """Operators; what everybody has not while another release is in gray, or a bypass has the traffic."""
    verdict = may_steer(actor, release)
    if verdict and release.status == Release.Status.RELEASED:
        return may_divide_by_hand(release.capability)
    return verdict


def offers_way_back(actor: User, release: Release) -> bool:
    """Whether a page has a button for it: something is under way, or what ran before is known."""
    back = release.status == Release.Status.RELEASED and release.baseline_id is not None
    return (back or release.status in UNDER_WAY) and bool(may_roll_back(actor, release))


def may_promote(
    actor: User,
    release: Release,
    stage: Stage | None,
    *,
    limit: int | None = None,
    after: int = 100,
    unanswered: int = 0,
) -> Verdict:
    """An operator, once the stage's evidence is a success. Too little data never passes.

    `limit` is the share that open findings leave, `after` the share of the next stage, `unanswered` how many
    subscribers may still object.
    """
    if release.status != Release.Status.ROLLING or stage is None:
        return deny(_("There is no stage under way."))
    if stage.outcome != "success":
        missing = stage.evidence.get("missing")
        if stage.outcome == "failure":
            return deny(_("The evidence of this stage speaks against the candidate."))
        return deny(
            _("Not enough evidence yet: %(missing)s more calls of the candidate.") % {"missing": missing}
            if missing
            else _("The load of its servers is being measured; that takes a minute.")
            if (stage.evidence.get("load") or {}).get("outcome") == "undecided"
            else _("The stage has not been judged yet.")
        )
    return _may_go_on(limit, after, unanswered) and may_steer(actor, release)


def _may_go_on(limit: int | None, after: int, unanswered: int) -> Verdict:
    """What stands in the way of the next share, whatever the evidence of the present one says."""
    if limit is not None and after > limit:
        return deny(
            _("A finding limits this release to %(most)d %% of the traffic. QA has to close it first.")
            % {"most": limit}
        )
    if after == EVERYTHING and unanswered:
        return deny(
            _(
                "Subscribers that have not said yet what they think of the differences: %(n)d. Their time is not over."
            )
            % {"n": unanswered}
        )
    return allow()


def _may_conclude(
    release: Release,
    stage: Stage | None,
    *,
    objecting: int,
    replayed: Counts,
    limit: int | None,
    after: int,
    unanswered: int,
) -> Verdict:
    """Whether replayed calls may stand in for those that the stage lacks. They never outweigh what real calls said."""
    if release.status != Release.Status.ROLLING or stage is None:
        return deny(_("There is no stage under way."))
    if not objecting:
        return deny(_("Nobody objects, so the calls of this stage are still to come."))
    if not release.policy.replays_stand_in:
        return deny(
            _("The policy of this release does not let replayed calls stand in for calls that stay away.")
        )
    if stage.outcome == "success":
        return deny(_("The evidence of this stage is a success. It can be promoted."))
    if stage.outcome == "failure":
        return deny(_("The evidence of this stage speaks against the candidate."))
    if (stage.evidence.get("load") or {"outcome": "success"})["outcome"] != "success":
        return deny(_("The load of its servers is being measured; that takes a minute."))
    if (stage.evidence.get("metric") or {"outcome": "success"})["outcome"] != "success":
        return deny(_("The business metric of this stage needs real calls; replayed ones get no feedback."))
    missing = rule_out(replayed, worse_by=stage.worse_by).missing
    if missing:
        return deny(
            _(
                "Replayed calls that were answered badly: %(bad)d of %(calls)d. It takes %(missing)d more good ones to"
                " rule out the rise that this stage asks about."
            )
            % {"bad": replayed.bad, "calls": replayed.calls, "missing": missing}
        )
    return _may_go_on(limit, after, unanswered)


def may_ask_to_conclude(actor: User, release: Release, stage: Stage | None, **facts: Any) -> Verdict:
    """An operator, where callers stay away since they object and the replayed calls say enough.

    `facts` are `objecting` subscribers, the `replayed` calls, and those of `may_promote`.
    """
    return may_steer(actor, release) and _may_conclude(release, stage, **facts)


def may_agree_to_conclude(
    actor: User, release: Release, conclusion: Conclusion, stage: Stage | None, **facts: Any
) -> Verdict:
    """QA or another operator, never who asked or the version's author."""
    if conclusion.status != Conclusion.Status.ASKED:
        return deny(_("This conclusion is %(status)s.") % {"status": conclusion.get_status_display().lower()})
    if actor.pk == conclusion.asked_by_id:
        return deny(_("A second person has to agree."))
    if actor.pk == release.version.created_by_id:
        return deny(_("The version's author cannot agree to it."))
    return may_settle_conclusion(actor, release) and _may_conclude(release, stage, **facts)


def may_settle_conclusion(actor: User, release: Release) -> Verdict:
    """Operators and QA."""
    return may_act_as(actor, release.capability.team, Role.QA, Role.OPERATOR)


def may_ask_anew(actor: User, replay: Replay) -> Verdict:
    """An operator of the provider, of who objects, while the release is in gray; once a day."""
    if replay.release.status not in (Release.Status.ROLLING, Release.Status.PAUSED):
        return deny(_("The release is %(status)s.") % {"status": replay.release.get_status_display().lower()})
    if replay.status != Replay.Status.OBJECTED:
        return deny(_("This subscriber does not object."))
    if replay.asked_anew_at is not None and timezone.now() < replay.asked_anew_at + ASKED_ANEW_EVERY:
        return deny(_("This subscriber was asked again less than a day ago."))
    return may_steer(actor, replay.release)


def may_answer_replay(actor: User, replay: Replay) -> Verdict:
    """The people of the subscribing team, while the release is in gray and has been replayed."""
    if replay.release.status not in (Release.Status.ROLLING, Release.Status.PAUSED):
        return deny(_("The release is %(status)s.") % {"status": replay.release.get_status_display().lower()})
    if replay.status == Replay.Status.RUNNING:
        return deny(_("Your calls are being replayed. Look again in a moment."))
    if replay.status in (Replay.Status.SKIPPED, Replay.Status.ENDED):
        return deny(
            _("There is nothing to answer: %(status)s.") % {"status": replay.get_status_display().lower()}
        )
    return may_use_keys(actor, replay.subscription)


def may_run_again(actor: User, version: Version) -> Verdict:
    """The team's developers, QA and operators: a version may have to be brought up for it."""
    return may_deploy(actor, version, Deployment.Kind.TEST)


def may_see_policy(actor: User, team: Team) -> Verdict:
    """The team's developers, QA and operators."""
    return may_act_as(actor, team, Role.DEVELOPER, Role.QA, Role.OPERATOR)


def may_write_policy(actor: User, team: Team) -> Verdict:
    """QA of the team and administrators."""
    return may_act_as(actor, team, Role.QA)


def may_raise_finding(actor: User, release: Release) -> Verdict:
    """QA of the team, while the release can still be limited."""
    if release.ended_at is not None and release.status != Release.Status.RELEASED:
        return deny(_("This release is %(status)s.") % {"status": release.get_status_display().lower()})
    return may_act_as(actor, release.capability.team, Role.QA)


def may_close_finding(actor: User, finding: Finding) -> Verdict:
    """QA of the team, never the version's author."""
    if actor.pk == finding.release.version.created_by_id:
        return deny(_("Nobody closes a finding about a version of their own."))
    return may_act_as(actor, finding.release.capability.team, Role.QA)


def may_ask_for_bypass(actor: User, version: Version) -> Verdict:
    """Operators and QA, for a packaged version."""
    if version.status != version.Status.PACKAGED:
        return deny(_("Only a packaged version can run."))
    return may_act_as(actor, version.capability.team, Role.OPERATOR, Role.QA)


def may_end_bypass(actor: User, bypass: Bypass) -> Verdict:
    """Operators and QA take back what is asked, and end what is in force."""
    return may_act_as(actor, bypass.capability.team, Role.OPERATOR, Role.QA)


def may_agree_to_bypass(actor: User, bypass: Bypass) -> Verdict:
    """Another person than who asked, not the version's author; one of the two is an operator."""
    if bypass.status != Bypass.Status.ASKED:
        return deny(_("This bypass is %(status)s.") % {"status": bypass.get_status_display().lower()})
    if actor.pk == bypass.asked_by_id:
        return deny(_("A second person has to agree."))
    if actor.pk == bypass.version.created_by_id:
        return deny(_("The version's author cannot agree to its bypass."))
    team = bypass.capability.team
    verdict = may_act_as(actor, team, Role.OPERATOR, Role.QA)
    if verdict and not any(may_act_as(one, team, Role.OPERATOR) for one in (actor, bypass.asked_by)):
        return deny(_("One of the two must be an operator."))
    return verdict
