"""What page and API can do with a demand, by one word each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.catalog.selectors import get_capability
from apps.core.errors import Invalid, NotFound
from apps.store import services

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.store.models import Demand


def act(demand: Demand, verb: str, asked: dict[str, Any], user: User) -> None:
    """Do one of the verbs with what page or API gave. Raises NotFound for another verb."""
    if verb == "need":
        services.add_need(demand, str(asked.get("text", "")), by=user)
    elif verb == "take":
        team = teams_of(user, Role.DEVELOPER).filter(slug=asked.get("team", "")).first()
        if team is None:
            raise Invalid(
                _("Choose a team in which you develop."), fields={"team": str(asked.get("team", ""))}
            )
        services.take_demand(demand, team, by=user)
    elif verb == "back":
        services.give_back(demand, by=user)
    elif verb == "answer":
        services.answer_demand(demand, get_capability(str(asked.get("capability", "")), user=user), by=user)
    elif verb == "withdraw":
        services.withdraw_demand(demand, by=user)
    else:
        raise NotFound(_("There is nothing here that you may see."))
