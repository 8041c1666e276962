"""Reads about people and teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.accounts.models import Team, User
from apps.accounts.policy import is_platform_admin

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


def teams_of(user: User | AnonymousUser, *roles: str) -> QuerySet[Team]:
    """The teams in which a person holds one of the roles (any role when none is named). An administrator: all."""
    if is_platform_admin(user):
        return Team.objects.all()
    if not user.is_authenticated:
        return Team.objects.none()
    mine = Team.objects.filter(memberships__user_id=user.pk, archived_at=None)
    if roles:
        mine = Team.objects.filter(
            memberships__user_id=user.pk, memberships__role__in=roles, archived_at=None
        )
    return mine.distinct()


def users_with(role: str, team: Team | None = None) -> QuerySet[User]:
    """The active people who hold a role, in one team or in any."""
    found = User.objects.filter(is_active=True, memberships__role=role)
    if team is not None:
        found = User.objects.filter(is_active=True, memberships__role=role, memberships__team=team)
    return found.distinct()
