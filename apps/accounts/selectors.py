"""Reads about people and teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.accounts.models import Team, User
from apps.accounts.policy import is_platform_admin, team_ids_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


def teams_of(user: User | AnonymousUser, *roles: str) -> QuerySet[Team]:
    """The teams in which a person holds one of the roles (any role when none is named). An administrator: all."""
    if is_platform_admin(user):
        return Team.objects.all()
    if not user.is_authenticated:
        return Team.objects.none()
    return Team.objects.filter(pk__in=team_ids_of(user, *roles))


def users_with(role: str, team: Team | None = None) -> QuerySet[User]:
    """The active people who hold a role, in one team or in any."""
    found = User.objects.filter(is_active=True, memberships__role=role)
    if team is not None:
        found = User.objects.filter(is_active=True, memberships__role=role, memberships__team=team)
    return found.distinct()
