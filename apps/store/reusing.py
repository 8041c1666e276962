"""What a person is offered of running a capability at the own site, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.accounts.models import Team
from apps.core.policy import Verdict, deny
from apps.instances.guard import may_take_production_traffic
from apps.store.models import Plan, SiteCopy, Subscription, TrustedTeam
from apps.store.policy import may_reuse

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version


@dataclass(frozen=True)
class Reuse:
    """Whether a team could run a capability at its site, and what it takes."""

    team: Team
    verdict: Verdict
    plan: Plan | None
    held: bool
    """The team has a subscription under these terms already."""
    must_ask: bool


def reuses(user: User, capability: Capability, version: Version | None) -> list[Reuse]:
    """For each team of a person at another site that has no copy yet: may it run this there, and under which plan."""
    running = SiteCopy.objects.filter(subscription__capability=capability, status__in=SiteCopy.OPEN)
    teams = Team.objects.filter(memberships__user=user.pk).exclude(site=capability.team.site_id)
    teams = teams.exclude(pk__in=running.values("subscription__team"))
    mine = list(teams.select_related("site").distinct().order_by("name")[:20])
    if not mine:
        return []
    allowed = Q(reuse=True, capability=capability)
    plans = list(Plan.objects.filter(allowed, status=Plan.Status.PUBLISHED).order_by("pk"))
    living = Subscription.objects.filter(
        capability=capability, plan__reuse=True, team__in=mine, status=Subscription.Status.GRANTED
    )
    held = {subscription.team_id: subscription.plan for subscription in living.select_related("plan")}
    trusted = set(
        TrustedTeam.objects.filter(capability=capability, team__in=mine).values_list("team", flat=True)
    )
    guarded = _may_run(capability, version, plans or list(held.values()))
    return [_reuse(user, capability, team, held.get(team.pk), plans, guarded, trusted) for team in mine]


def _may_run(capability: Capability, version: Version | None, plans: list[Plan]) -> Verdict:
    if not plans:
        return deny(
            _("No plan of it lets other sites run it themselves; ask %(team)s.") % {"team": capability.team}
        )
    if version is None:
        return deny(_("No version is in production, so there is none to run elsewhere."))
    return may_take_production_traffic(version)


def _reuse(
    user: User, capability: Capability, team: Team, held: Plan | None, plans: list[Plan], guarded: Verdict,
    trusted: set[int],
) -> Reuse:  # fmt: skip
    may = may_reuse(user, capability, team)
    plan = held or (plans[0] if plans else None)
    at_once = (
        held is not None or team.pk in trusted or (plan is not None and plan.approval == Plan.Approval.AUTO)
    )
    return Reuse(team, may and guarded, plan, held is not None, not at_once)
