"""What happens to plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import Role, User
from apps.accounts.selectors import users_with
from apps.core import audit, events
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.requests import services as requests
from apps.requests.services import Need, Rule
from apps.store.limits import WrongLimit, parse_limits
from apps.store.models import Plan, TrustedTeam
from apps.store.policy import may_offer

if TYPE_CHECKING:
    from apps.accounts.models import Team
    from apps.catalog.models import Capability


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
    try:
        wanted = parse_limits(limits).to_json()
    except WrongLimit as error:
        raise Invalid(
            _("The limits cannot be used: %(why)s.") % {"why": error}, fields={"limits": str(error)}
        ) from error
    if valid_days is not None and not 1 <= valid_days <= 3660:
        raise Invalid(
            _("A subscription lasts 1 to 3660 days; %(days)s is not possible.") % {"days": valid_days},
            fields={"valid_days": _("must be 1 to 3660")},
        )
    if approval not in Plan.Approval.values:
        raise Invalid(
            _("“%(value)s” is no kind of approval.") % {"value": approval}, fields={"approval": _("unknown")}
        )
    plan = Plan(
        capability=capability,
        name=name,
        limits=wanted,
        approval=approval,
        trial=trial,
        description=description,
        valid_days=valid_days,
        reuse=reuse and not trial,
        device=device and not trial,
        created_by=by,
    )
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError as error:
        raise Invalid(
            _("“%(capability)s” has a plan called “%(name)s” already.")
            % {"capability": capability, "name": name},
            fields={"name": _("This one is taken: choose another.")},
        ) from error
    audit.record("store.plan.created", plan, by=by, name=name, limits=wanted, approval=approval)
    return plan


@transaction.atomic
def publish_plan(plan: Plan, *, by: User) -> Plan:
    """Offer a plan; from now on it is immutable. Refused when nobody could legally approve a subscription to it."""
    require(may_offer(by, plan.capability))
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
    """Say which teams subscribe without asking. What they have already stays as it is."""
    require(may_offer(by, capability))
    wanted = {team.pk: team for team in teams}
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
