"""A person hears of a role that somebody else gave or took: their menu and what they may do change with it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Role, Team, User
from apps.core import events
from apps.requests.notifications import notify


def register() -> None:
    """Listen to what teams tell; called once when the app is ready."""
    events.on("accounts.role_given", tell_of_given)
    events.on("accounts.role_taken", tell_of_taken)


def tell_of_given(key: str, facts: dict[str, Any]) -> None:
    """Tell whom a team gave a role, with the team's page."""
    team, role = Team.objects.get(pk=key), Role(facts["role"])
    notify(
        _others(facts),
        lambda: _("You are now %(role)s in %(team)s") % {"role": role.label, "team": team.name},
        url=reverse("accounts:team", args=[team.slug]),
    )


def tell_of_taken(key: str, facts: dict[str, Any]) -> None:
    """Tell from whom a team took a role."""
    team, role = Team.objects.get(pk=key), Role(facts["role"])
    notify(
        _others(facts),
        lambda: _("You are no longer %(role)s in %(team)s") % {"role": role.label, "team": team.name},
        url=reverse("home"),
    )


def _others(facts: dict[str, Any]) -> list[User]:
    """The person, unless they did it themselves."""
    return list(User.objects.filter(pk=facts["user"]).exclude(pk=facts["by"]))
