"""Reads about people and teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import Team, User
from apps.accounts.policy import is_platform_admin, team_ids_of
from apps.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Collection

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


def person_called(username: str) -> User:
    """The person with this user name, in whatever case. Raises Invalid with what to do."""
    person = User.objects.filter(username__iexact=username.strip()).first()
    if person is None:
        words = _("There is no person “%(name)s”. Check the spelling, or add the person first.")
        raise Invalid(words % {"name": username[:150]}, fields={"username": _("is nobody here")})
    return person


def people_named(pks: Collection[int], user: User | AnonymousUser) -> dict[int, tuple[str, str]]:
    """What people are called in lineage that a person may see; they have no page."""
    rows = User.objects.filter(pk__in=pks) if user.is_authenticated else User.objects.none()
    return {row.pk: (row.called, "") for row in rows}


def people_found(query: str) -> QuerySet[User]:
    """Everybody who can log in or could once, with their roles; those with `query` in the user name, if it is given."""
    rows = User.objects.prefetch_related("memberships__team")
    return rows.filter(username__icontains=query.strip()) if query.strip() else rows
