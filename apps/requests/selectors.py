"""Reads about requests and notifications, always under the viewer's rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import Membership, Role, User
from apps.accounts.policy import is_platform_admin, memberships_of
from apps.requests.models import Decision, Notification, Request, Step

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


def candidates(step: Step) -> QuerySet[User]:
    """The active people who hold the step's role, whatever else forbids them to decide."""
    held = Q(memberships__role=step.role)
    if step.team_id is not None:
        held &= Q(memberships__team_id=step.team_id)
    if step.role == Role.ADMIN:
        held |= Q(is_superuser=True)
    return User.objects.filter(held, is_active=True).distinct()


def _steps_open_to(user: User) -> QuerySet[Step]:
    """Unfilled steps of open requests that this person may decide."""
    held = Q(pk__in=[])
    for membership in memberships_of(user):
        held |= Q(role=membership.role) & (Q(team_id=None) | Q(team_id=membership.team_id))
    if user.is_superuser:
        held |= Q(role=Role.ADMIN)
    decided = Decision.objects.filter(user=user)
    return (
        Step.objects.filter(held, filled=False, request__status=Request.Status.OPEN)
        .exclude(request__owner=user)
        .exclude(request__excluded_ids__contains=[user.pk])
        .exclude(Exists(decided.filter(step=OuterRef("pk"))))
        .exclude(Exists(decided.filter(step__request=OuterRef("request"))) & Q(request__four_eyes=True))
    )


def waiting_for(user: User) -> QuerySet[Request]:
    """The open requests in which this person can decide something now."""
    return Request.objects.filter(Exists(_steps_open_to(user).filter(request=OuterRef("pk"))))


def waiting_count(user: User) -> int:
    """How many requests this person can decide now; counting stops at 100."""
    return waiting_for(user)[:100].count()


def requests_visible_to(user: User | AnonymousUser) -> QuerySet[Request]:
    """One's own, those of one's teams, and those that one's roles decide. An administrator: all."""
    if not user.is_authenticated:
        return Request.objects.none()
    if is_platform_admin(user):
        return Request.objects.all()
    teams = Membership.objects.filter(user=user).values("team")
    held = Membership.objects.filter(user=user, role=OuterRef("role"))
    deciding = Step.objects.filter(
        Exists(held.filter(team=OuterRef("team"))) | Q(team_id=None) & Exists(held), request=OuterRef("pk")
    )
    return Request.objects.filter(Q(owner=user) | Q(team__in=teams) | Exists(deciding))


def notifications_of(user: User) -> QuerySet[Notification]:
    """A person's own notifications."""
    return Notification.objects.filter(user=user)


def unread_count(user: User | AnonymousUser) -> int:
    """How many notifications a person has not seen; counting stops at 100."""
    if not user.is_authenticated:
        return 0
    return Notification.objects.filter(user=user, read_at=None)[:100].count()
