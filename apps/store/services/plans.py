"""What happens to plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import Role, User
from apps.accounts.selectors import users_with
from apps.core import audit, events
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require
from apps.requests import services as requests
from apps.requests.services import Need, Rule
from apps.store.limits import WrongLimit, parse_limits
from apps.store.models import Plan, TrustedTeam
from apps.store.policy import may_offer

if TYPE_CHECKING:
    from apps.accounts.models import Team
    from apps.catalog.models import Capability


LIMITS = {
    "rate_per_s": gettext_lazy("Calls per second"),
    "burst": gettext_lazy("At most at once after a pause"),
    "per_day": gettext_lazy("Calls per day"),
    "per_month": gettext_lazy("Calls per month"),
    "concurrent": gettext_lazy("Calls at the same time"),
    "payload_bytes": gettext_lazy("Largest body in the call log (bytes)"),
}
"""What the limits of a plan are called."""
MOST_TRUSTED = 200
"""So many teams a capability's owner trusts at most; for more of them an approval that is automatic is the thing."""
_SAID = ("name", "limits", "approval", "trial", "description", "valid_days", "reuse", "device")


def wrong_limit(error: WrongLimit) -> str:
    """What is wrong with a limit, in the reader's language; the limit itself is named beside it."""
    words = {
        "unknown": _("is no limit; use %(names)s"),
        "whole": _("%(value)s is not a whole number"),
        "number": _("%(value)s is not a number"),
        "range": _("%(value)s is not between 0 and %(most)s"),
        "needs": _("needs “%(other)s” beside it"),
        "above": _("%(value)s is more than the %(most)s of “%(other)s”"),
    }[error.problem]
    facts = error.facts
    return words % (facts | {"other": LIMITS[facts["other"]]} if "other" in facts else facts)


@transaction.atomic
def create_plan(
    capability: Capability,
    name: str,
    *,
    by: User,
    limits: Mapping[str, Any],
    approval: str = Plan.Approval.AUTO,
    trial: bool = False,
    description: str = "",
    valid_days: int | None = None,
    reuse: bool = False,
    device: bool = False,
) -> Plan:
    """Draft a plan. Raises Invalid naming the limit that cannot be used, or the name that is taken."""
    require(may_offer(by, capability))
    said = (name, limits, approval, trial, description, valid_days, reuse, device)
    plan = Plan(capability=capability, created_by=by, **_checked(dict(zip(_SAID, said, strict=True))))
    _save(plan)
    facts = {"name": name, "limits": plan.limits, "approval": approval}
    audit.record("store.plan.created", plan, by=by, **facts)
    return plan


@transaction.atomic
def edit_plan(plan: Plan, *, by: User, **changed: Any) -> Plan:
    """Change a draft; what is left out stays. Raises Conflict once it was published, Invalid as `create_plan` does."""
    require(may_offer(by, plan.capability))
    _lock_draft(plan)
    before = {name: getattr(plan, name) for name in _SAID}
    for name, value in _checked(before | changed).items():
        setattr(plan, name, value)
    now = {name: getattr(plan, name) for name in _SAID if getattr(plan, name) != before[name]}
    if now:
        _save(plan)
        audit.record("store.plan.edited", plan, by=by, before={name: before[name] for name in now}, after=now)
    return plan


@transaction.atomic
def remove_plan(plan: Plan, *, by: User) -> None:
    """Throw a draft away. Raises Conflict once it was published: others rely on it, so it is withdrawn instead."""
    require(may_offer(by, plan.capability))
    _lock_draft(plan)
    audit.record("store.plan.removed", plan, by=by, **{name: getattr(plan, name) for name in _SAID})
    plan.delete()


def _lock(plan: Plan) -> None:
    """Hold a plan's row until the end of the transaction, as it is now. Raises NotFound for a draft that is gone."""
    try:
        plan.refresh_from_db(from_queryset=Plan.objects.select_for_update())
    except Plan.DoesNotExist as error:
        raise NotFound(_("The draft “%(plan)s” was removed.") % {"plan": plan.name}) from error


def _lock_draft(plan: Plan) -> None:
    _lock(plan)
    if plan.status != Plan.Status.DRAFT:
        raise Conflict(
            _(
                "“%(plan)s” is no draft any more, so it does not change. Withdraw it, and name another in its place."
            )
            % {"plan": plan.name}
        )


def _checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan may say, as it is kept. Raises Invalid naming what cannot be used."""
    try:
        limits = parse_limits(said["limits"]).to_json()
    except WrongLimit as error:
        why = f"{error.name}: {wrong_limit(error)}"
        raise Invalid(
            _("The limits cannot be used: %(why)s.") % {"why": why}, fields={"limits": why}
        ) from error
    days, approval = said["valid_days"], said["approval"]
    if days is not None and not 1 <= days <= 3660:
        raise Invalid(
            _("A subscription lasts 1 to 3660 days; %(days)s is not possible.") % {"days": days},
            fields={"valid_days": _("must be 1 to 3660")},
        )
    if approval not in Plan.Approval.values:
        raise Invalid(
            _("“%(value)s” is no kind of approval.") % {"value": approval}, fields={"approval": _("unknown")}
        )
    elsewhere = {name: said[name] and not said["trial"] for name in ("reuse", "device")}
    return {**said, **elsewhere, "limits": limits}


def _save(plan: Plan) -> None:
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError as error:
        raise Invalid(
            _("“%(capability)s” has a plan called “%(name)s” already.")
            % {"capability": plan.capability, "name": plan.name},
            fields={"name": _("This one is taken: choose another.")},
        ) from error


@transaction.atomic
def publish_plan(plan: Plan, *, by: User) -> Plan:
    """Offer a plan; from now on it is immutable. Refused when nobody could legally approve a subscription to it."""
    require(may_offer(by, plan.capability))
    _lock(plan)  # nobody edits what is checked here
    if plan.approval != Plan.Approval.AUTO:
        why = requests.why_rule_unsatisfiable(rule_of(plan, asking=None), author=User())
        if why:
            raise Invalid(
                _("Nobody could approve a subscription to “%(plan)s”: %(why)s.")
                % {"plan": plan.name, "why": why}
            )
    Plan.lifecycle.move(plan, Plan.Status.PUBLISHED, by=by)
    events.publish("store.plan_published", plan.pk)
    return plan


@transaction.atomic
def set_trusted_teams(capability: Capability, teams: Iterable[Team], *, by: User) -> None:
    """Say which teams subscribe without asking. What they have already stays as it is.

    Raises Invalid for more than `MOST_TRUSTED`.
    """
    require(may_offer(by, capability))
    wanted = {team.pk: team for team in teams}
    if len(wanted) > MOST_TRUSTED:
        words = _("Choose at most %(most)d.") % {"most": MOST_TRUSTED}
        raise Invalid(words, fields={"teams": words})
    before = set(TrustedTeam.objects.filter(capability=capability).values_list("team", flat=True))
    TrustedTeam.objects.filter(capability=capability).exclude(team__in=wanted).delete()
    TrustedTeam.objects.bulk_create(
        TrustedTeam(capability=capability, team=team, added_by=by)
        for pk, team in wanted.items()
        if pk not in before
    )
    slugs = sorted(team.slug for team in wanted.values())
    audit.record("store.trusted_teams.set", capability, by=by, teams=slugs)


def is_trusted(capability: Capability, team: Team) -> bool:
    """Whether a team subscribes to a capability without asking."""
    return TrustedTeam.objects.filter(capability=capability, team=team).exists()


def grants_at_once(plan: Plan, team: Team) -> bool:
    """Whether nobody has to agree: the plan says so, or the team is trusted."""
    return plan.approval == Plan.Approval.AUTO or is_trusted(plan.capability, team)


def rule_of(plan: Plan, *, asking: User | None) -> Rule:
    """Who has to agree: for four eyes an operator and a developer of the providing team, two people; else one role."""
    team = plan.capability.team
    if plan.approval == Plan.Approval.FOUR_EYES:
        return Rule(
            steps=[Need(Role.OPERATOR, team.pk), Need(Role.DEVELOPER, team.pk)],
            exclude_user_ids=[asking.pk] if asking else [],
            four_eyes=True,
        )
    operators = users_with(Role.OPERATOR, team).exclude(pk=asking.pk if asking else 0)
    role = Role.OPERATOR if operators.exists() else Role.DEVELOPER
    return Rule(steps=[Need(role, team.pk)])
