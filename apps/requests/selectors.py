"""Reads about requests and notifications, always under the viewer's rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.cache import caches
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from apps.accounts.models import Membership, Role, User
from apps.accounts.policy import is_platform_admin, memberships_of
from apps.requests.models import Decision, Deputy, Notification, Request, Step

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

BADGE_SECONDS = 10


def candidates(step: Step) -> QuerySet[User]:
    """The active people who hold the step's role, whatever else forbids them to decide."""
    held = Q(memberships__role=step.role)
    if step.team_id is not None:
        held &= Q(memberships__team_id=step.team_id)
    if step.role == Role.ADMIN:
        held |= Q(is_superuser=True)
    return User.objects.filter(held, is_active=True).distinct()


def who_refused(request: Request) -> User | None:
    """Whose no ended it; None while nobody has said no."""
    no = Decision.objects.filter(step__request=request, approve=False).select_related("user").first()
    return no.user if no is not None else None


def away(*, deputy: User | None = None) -> QuerySet[Deputy]:
    """Who is stood in for now, by anybody or by one person."""
    now = timezone.now()
    rows = Deputy.objects.filter(
        since__lte=now, until__gt=now, person__is_active=True, deputy__is_active=True
    )
    rows = rows if deputy is None else rows.filter(deputy=deputy)
    return rows.select_related("person", "deputy").order_by("pk")


def deputies_visible_to(user: User) -> QuerySet[Deputy]:
    """Whom a person named and for whom a person stands in, now and later. An administrator: all."""
    rows = Deputy.objects.filter(until__gt=timezone.now()).select_related("person", "deputy", "set_by")
    return rows if is_platform_admin(user) else rows.filter(Q(person=user) | Q(deputy=user))


def stands_for(user: User, step: Step, request: Request) -> User | None:
    """In whose place a person may decide a step: their own, or that of somebody who is away; None where in nobody's.

    Nobody is stood in for who may not decide: the author, whoever took part, and whoever has decided already.
    """
    decisions = [d for each in _looked_at(step, request) for d in each.decisions.all()]
    taken = {pk for d in decisions for pk in (d.user_id, d.instead_of_id)}
    if user.pk in taken or user.pk in (request.owner_id, *request.excluded_ids):
        return None
    able = candidates(step)
    if able.filter(pk=user.pk).exists():
        return user
    if not request.deputies:
        return None
    barred = {request.owner_id, *request.excluded_ids, *taken}
    people = [row.person for row in away(deputy=user) if row.person_id not in barred]
    known = set(able.filter(pk__in=[person.pk for person in people]).values_list("pk", flat=True))
    return next((person for person in people if person.pk in known), None)


def _looked_at(step: Step, request: Request) -> list[Step]:
    """With four eyes whoever has decided at another step counts too."""
    if not request.four_eyes:
        return [step]
    return list(request.steps.prefetch_related("decisions"))


def _held_by(user: User) -> Q:
    """The steps that somebody's roles decide."""
    teams: dict[str, list[int]] = {}
    for membership in memberships_of(user):
        teams.setdefault(membership.role, []).append(membership.team_id)
    held = Q(pk__in=[])
    for role, ids in teams.items():
        held |= Q(role=role) & (Q(team_id=None) | Q(team_id__in=ids))
    if user.is_superuser:
        held |= Q(role=Role.ADMIN)
    return held


def _instead_of(person: User) -> Q:
    """The steps that are decided in the place of somebody who is away."""
    taken = Decision.objects.filter(Q(user=person) | Q(instead_of=person))
    return (
        _held_by(person)
        & Q(request__deputies=True)
        & ~Q(request__owner=person)
        & ~Q(request__excluded_ids__contains=[person.pk])
        & ~Exists(taken.filter(step=OuterRef("pk")))
        & ~(Exists(taken.filter(step__request=OuterRef("request"))) & Q(request__four_eyes=True))
    )


def _stood_in_for(user: User) -> list[User]:
    """For whom a person decides now, for lists: read once per loaded user."""
    if "_stood_in_for" not in user.__dict__:
        user.__dict__["_stood_in_for"] = [row.person for row in away(deputy=user)]
    found: list[User] = user.__dict__["_stood_in_for"]
    return found


def _steps_open_to(user: User) -> QuerySet[Step]:
    """Unfilled steps of open requests that this person may decide, in their own place or in somebody's."""
    held = _held_by(user)
    for person in _stood_in_for(user):
        held |= _instead_of(person)
    decided = Decision.objects.filter(Q(user=user) | Q(instead_of=user))
    return (
        Step.objects.filter(held, filled=False, request__status=Request.Status.OPEN)
        .exclude(request__owner=user)
        .exclude(request__excluded_ids__contains=[user.pk])
        .exclude(Exists(decided.filter(step=OuterRef("pk"))))
        .exclude(Exists(decided.filter(step__request=OuterRef("request"))) & Q(request__four_eyes=True))
    )


def waiting_for(user: User) -> QuerySet[Request]:
    """The open requests in which this person can decide something now."""
    return Request.objects.filter(pk__in=_steps_open_to(user).values("request"))


def waiting_count(user: User) -> int:
    """How many requests this person can decide now; counting stops at 100."""
    return waiting_for(user)[:100].count()


def waiting_badge(user: User) -> int:
    """`waiting_count` for the menu of every page: behind by some seconds at most, never behind one's own decisions."""
    return caches["process"].get_or_set(_badge(user), lambda: waiting_count(user), BADGE_SECONDS) or 0


def forget_badge(user: User) -> None:
    """Count anew for this person's next page."""
    caches["process"].delete(_badge(user))


def _badge(user: User) -> str:
    return f"waiting-{user.pk}"


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
