"""Changes to people, teams and tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Membership, PersonalToken, Team
from apps.accounts.policy import may_administer
from apps.core import audit, secrets
from apps.core.errors import Invalid, NotAllowed
from apps.core.policy import require

if TYPE_CHECKING:
    from apps.accounts.models import User

_TOUCH_EVERY = timedelta(minutes=1)


@transaction.atomic
def create_token(
    user: User, name: str, *, by: User, expires_at: datetime | None = None, job_id: int | None = None
) -> tuple[PersonalToken, str]:
    """Make a personal token; returns the row and the secret, which is shown this once."""
    if user.pk != by.pk:
        raise NotAllowed(_("A token can only be made by its owner."))
    if not name.strip():
        raise Invalid(_("Give the token a name that tells what uses it."), fields={"name": _("is empty")})
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(_("The expiry lies in the past."), fields={"expires_at": _("lies in the past")})
    secret, digest = secrets.new("atr")
    token = PersonalToken.objects.create(
        user=user,
        name=name.strip()[:100],
        prefix=secret[:8],
        digest=digest,
        expires_at=expires_at,
        job_id=job_id,
    )
    audit.record("accounts.token.created", token, by=by, name=token.name)
    return token, secret


@transaction.atomic
def revoke_token(token: PersonalToken, *, by: User) -> None:
    """End a token at once."""
    if token.user_id != by.pk:
        require(may_administer(by))
    if PersonalToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record("accounts.token.revoked", token, by=by)


def user_of_token(secret: str) -> User | None:
    """The person whose live token this is, or None. Notes the use, at most once a minute."""
    token = (
        PersonalToken.objects.select_related("user")
        .filter(digest=secrets.digest(secret), revoked_at=None)
        .first()
    )
    now = timezone.now()
    if token is None or (token.expires_at and token.expires_at <= now) or not token.user.is_active:
        return None
    if token.last_used_at is None or now - token.last_used_at > _TOUCH_EVERY:
        PersonalToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token.user


@transaction.atomic
def add_member(team: Team, user: User, role: str, *, by: User) -> Membership:
    """Give a person a role in a team."""
    require(may_administer(by))
    membership, created = Membership.objects.get_or_create(team=team, user=user, role=role)
    if created:
        audit.record("accounts.member.added", team, by=by, user=user.username, role=role)
    return membership


@transaction.atomic
def remove_member(membership: Membership, *, by: User) -> None:
    """Take a role in a team from a person."""
    require(may_administer(by))
    audit.record(
        "accounts.member.removed", membership.team, by=by, user=membership.user.username, role=membership.role
    )
    membership.delete()
