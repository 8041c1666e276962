"""Wanted capabilities: posted, shared by others, taken by a team, answered by a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Role, User
from apps.accounts.policy import is_platform_admin, may_act_as
from apps.accounts.selectors import users_with
from apps.catalog.policy import LISTED, may_view_capability
from apps.core import audit
from apps.core.errors import Invalid, NotAllowed
from apps.core.policy import require
from apps.requests import services as requests
from apps.store.models import Demand, DemandNeed
from apps.store.policy import may_offer
from apps.store.selectors import version_to_show

if TYPE_CHECKING:
    from apps.accounts.models import Team
    from apps.catalog.models import Capability


@transaction.atomic
def post_demand(title: str, need: str, *, by: User) -> Demand:
    """Ask all teams for a capability. Raises Invalid without words."""
    title, need = title.strip()[:120], need.strip()[:4000]
    if not title or not need:
        raise Invalid(_("Say what is wanted, and what for."), fields={"need": _("is empty")})
    demand = Demand.objects.create(title=title, need=need, posted_by=by)
    audit.record("store.demand.posted", demand, by=by, title=title)
    return demand


def add_need(demand: Demand, text: str, *, by: User) -> DemandNeed:
    """Say that one needs it too; a second word of the same person replaces the first."""
    if demand.status in (Demand.Status.ANSWERED, Demand.Status.WITHDRAWN):
        raise Invalid(_("This demand is closed: it is %(status)s.") % {"status": demand.get_status_display()})
    found, _made = DemandNeed.objects.update_or_create(
        demand=demand, user=by, defaults={"text": text.strip()[:2000]}
    )
    return found


@transaction.atomic
def take_demand(demand: Demand, team: Team, *, by: User) -> None:
    """A team says that it builds it. Raises NotAllowed, IllegalMove, StaleWrite."""
    require(may_act_as(by, team, Role.DEVELOPER))
    Demand.lifecycle.move(demand, Demand.Status.TAKEN, by=by, team=team)
    _tell(
        demand, lambda: _("%(team)s builds “%(title)s”") % {"team": team.name, "title": demand.title}, but=by
    )


@transaction.atomic
def give_back(demand: Demand, *, by: User) -> None:
    """The team does not build it after all."""
    if demand.team is not None:
        require(may_act_as(by, demand.team, Role.DEVELOPER))
    Demand.lifecycle.move(demand, Demand.Status.OPEN, by=by, team=None)


@transaction.atomic
def answer_demand(demand: Demand, capability: Capability, *, by: User) -> None:
    """Name the capability that answers it, with the version that a reader would call now."""
    require(may_offer(by, capability))
    if capability.status not in LISTED or not may_view_capability(demand.posted_by, capability):
        raise Invalid(
            _("“%(name)s” is not on offer to who asked for it. Publish it first.") % {"name": capability.name}
        )
    Demand.lifecycle.move(
        demand,
        Demand.Status.ANSWERED,
        by=by,
        team=capability.team,
        capability=capability,
        version=version_to_show(capability),
    )
    _tell(
        demand,
        lambda: _("“%(title)s”: %(name)s answers it") % {"title": demand.title, "name": capability.name},
    )


def may_close(user: User, demand: Demand) -> bool:
    """Whether a person may withdraw a demand: who posted it, or an administrator."""
    return demand.posted_by_id == user.pk or is_platform_admin(user)


@transaction.atomic
def withdraw_demand(demand: Demand, *, by: User) -> None:
    """Nobody needs it any more."""
    if not may_close(by, demand):
        raise NotAllowed(_("Only who posted it can withdraw it."))
    Demand.lifecycle.move(demand, Demand.Status.WITHDRAWN, by=by)
    if demand.team is not None:
        _tell_team(demand)


def _people(demand: Demand) -> list[User]:
    needing = DemandNeed.objects.filter(demand=demand).values("user")
    return [demand.posted_by, *User.objects.filter(pk__in=needing).exclude(pk=demand.posted_by_id)]


def _tell(demand: Demand, title: Callable[[], str], but: User | None = None) -> None:
    people = [user for user in _people(demand) if user != but]
    requests.notify(people, title, url=reverse("store:demand", args=[demand.pk]))


def _tell_team(demand: Demand) -> None:
    requests.notify(
        users_with(Role.DEVELOPER, demand.team),
        lambda: _("“%(title)s” is no longer wanted") % {"title": demand.title},
        url=reverse("store:demand", args=[demand.pk]),
    )
