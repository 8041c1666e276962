"""A stage whose callers object: its calls stay away, so two people conclude it on what replayed calls showed.

Only where the policy that was signed says so (`replays_stand_in`), and only for calls that are missing: what real
calls say against the candidate, the load of its servers and a business metric count as ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.selectors import users_with
from apps.catalog.models import Version
from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.policy import Verdict, require
from apps.core.telling import say as _
from apps.gateway.models import Grant
from apps.gateway.selectors import usage_by_key
from apps.releases import replays
from apps.releases.evidence import replayed
from apps.releases.findings import most_percent
from apps.releases.judgement import Counts, Ruled, rule_out
from apps.releases.models import Conclusion, Release, Replay, Stage
from apps.releases.policy import (
    may_agree_to_conclude,
    may_ask_to_conclude,
    may_settle_conclusion,
)
from apps.releases.rollout import active_stage, leave_stage, locked_release, next_weight
from apps.releases.signing import may_take_production_traffic, prove
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.accounts.models import User

LOOK_BACK = timedelta(days=7)
MOST_OBJECTING = 200


@dataclass(frozen=True)
class Standstill:
    """Why the calls of a stage stay away, and what is known in their place.

    `share` is the objecting subscribers' part of the calls of the last days; None where nobody called.
    """

    objecting: list[Replay]
    share: float | None
    replayed: Counts
    ruled: Ruled
    answers: dict[str, int]
    asked: Conclusion | None
    may_ask: Verdict
    may_agree: Verdict | None

    def told(self) -> dict[str, Any]:
        """As it is kept beside the decision."""
        return {
            "objecting": [each.subscription.team.slug for each in self.objecting],
            "share_of_calls": self.share,
            "replayed": self.replayed.calls,
            "bad": self.replayed.bad,
            "at_most_bad": round(self.ruled.most, 6),
            "answers": self.answers,
        }


def standstill_of(release: Release, *, user: User) -> Standstill | None:
    """What keeps the calls of the present stage away; None while nobody objects."""
    stage = active_stage(release)
    objecting = list(
        release.replays.filter(status=Replay.Status.OBJECTED)
        .select_related("subscription__team", "subscription__plan", "answered_by", "asked_anew_by")
        .order_by("pk")[:MOST_OBJECTING]
    )
    if stage is None or not objecting:
        return None
    facts = _facts(release, stage, objecting)
    asked = stage.conclusions.filter(status=Conclusion.Status.ASKED).select_related("asked_by").first()
    return Standstill(
        objecting=objecting,
        share=_share_of(release, objecting),
        replayed=facts["replayed"],
        ruled=rule_out(facts["replayed"], worse_by=stage.worse_by),
        answers=_answers(release),
        asked=asked,
        may_ask=may_ask_to_conclude(user, release, stage, **facts),
        may_agree=may_agree_to_conclude(user, release, asked, stage, **facts) if asked else None,
    )


def _facts(release: Release, stage: Stage | None, objecting: list[Replay]) -> dict[str, Any]:
    return {
        "objecting": len(objecting),
        "replayed": replayed(stage, release) if stage is not None else Counts(0, 0),
        "limit": most_percent(release),
        "after": next_weight(release),
        "unanswered": replays.waiting(release),
    }


def _share_of(release: Release, objecting: list[Replay]) -> float | None:
    """The part of the last days' calls that came with keys of these subscribers."""
    calls: Counter[int] = Counter()
    for row in usage_by_key(release.capability, since=timezone.now() - LOOK_BACK):
        calls[row.grant_id] += row.count
    kept = list(Grant.objects.filter(pk__in=calls, kind=Grant.Kind.SUBSCRIPTION).values_list("pk", "pool"))
    total = sum(calls[pk] for pk, _pool in kept)
    pools = {each.subscription.pool for each in objecting}
    return sum(calls[pk] for pk, pool in kept if pool in pools) / total if total else None


def _answers(release: Release) -> dict[str, int]:
    """{outcome: calls} of all subscribers together."""
    found: Counter[str] = Counter()
    for counts in replays.counted(release.replays.only("pk")).values():
        found.update(counts)
    return dict(found)


@transaction.atomic
def ask_to_conclude(release: Release, *, by: User, reason: str, password: str) -> Conclusion:
    """Ask a second person to conclude the stage on replayed calls; nothing moves before. Raises NotAllowed, Invalid."""
    release = locked_release(release)
    found = standstill_of(release, user=by)
    require(found.may_ask if found else _not_now(release, by))
    prove(by, password)
    if not reason.strip():
        raise Invalid(
            _("Say why the stage can be concluded without these calls."), fields={"reason": _("is empty")}
        )
    stage = active_stage(release)
    assert found is not None
    assert stage is not None
    try:
        with transaction.atomic():
            made = Conclusion.objects.create(
                stage=stage, reason=reason.strip()[:4000], evidence=found.told(), asked_by=by
            )
    except IntegrityError as error:
        raise Conflict(_("A second person has been asked already.")) from error
    _record("asked_to_conclude", release, made, by)
    told = {"who": by.called, "version": release.version, "weight": stage.weight}
    _tell(
        release,
        by,
        lambda: (
            _("%(version)s: %(who)s asks to conclude the stage of %(weight)d %% on replayed calls") % told
        ),
        made.reason,
    )
    return made


@transaction.atomic
def agree_to_conclude(release: Release, *, by: User, password: str) -> Release:
    """The second person: the stage is passed and the release goes on, if everything still holds."""
    release = locked_release(release)
    require(may_settle_conclusion(by, release))
    found = standstill_of(release, user=by)
    if found is None or found.asked is None or found.may_agree is None:
        raise Conflict(_("Nobody asks to conclude this stage any more."))
    require(found.may_agree)
    prove(by, password)
    require(may_take_production_traffic(release.version))
    if release.version.status == Version.Status.RETIRED:
        raise Conflict(_("The version was taken out of use; it goes back by itself."))
    evidence = {"when_asked": found.asked.evidence, **found.told()}
    _settle(found.asked, Conclusion.Status.AGREED, by=by, evidence=evidence)
    _record("concluded", release, found.asked, by)
    told = {"who": by.called, "version": release.version, "weight": found.asked.stage.weight}
    _tell(
        release,
        by,
        lambda: _("%(version)s: the stage of %(weight)d %% was concluded; %(who)s agreed") % told,
        found.asked.reason,
    )
    leave_stage(release, found.asked.stage, by=by)
    return release


@transaction.atomic
def withdraw_conclusion(release: Release, *, by: User) -> Release:
    """Take back what nobody has agreed to. Raises NotAllowed, Conflict."""
    release = locked_release(release)
    require(may_settle_conclusion(by, release))
    asked = Conclusion.objects.filter(stage__release=release, status=Conclusion.Status.ASKED).first()
    if asked is None:
        raise Conflict(_("Nobody asks to conclude this stage any more."))
    _settle(asked, Conclusion.Status.WITHDRAWN, by=by)
    return release


def _not_now(release: Release, by: User) -> Verdict:
    """Why nobody can ask where nothing stands still."""
    return may_ask_to_conclude(by, release, active_stage(release), **_facts(release, None, []))


def _settle(conclusion: Conclusion, status: str, *, by: User, **facts: Any) -> None:
    Conclusion.lifecycle.move(conclusion, status, by=by, settled_by=by, settled_at=timezone.now(), **facts)


def _record(what: str, release: Release, conclusion: Conclusion, by: User) -> None:
    """Under the release, so that its dossier has it."""
    audit.record(
        f"releases.release.{what}",
        release,
        by=by,
        stage=conclusion.stage.weight,
        reason=conclusion.reason,
        evidence=conclusion.evidence,
    )


def _tell(release: Release, by: User, title: Callable[[], str], body: str) -> None:
    """Operators and QA but who did it, each in their own language."""
    people = {
        user.pk: user
        for role in (Role.OPERATOR, Role.QA)
        for user in users_with(role, release.capability.team)
        if user.pk != by.pk
    }
    notify(list(people.values()), title, url=f"/releases/{release.pk}/", body=body)
