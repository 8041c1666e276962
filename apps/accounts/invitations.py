"""Invitations: somebody gets an account, and roles in a team, by a link that works once.

    open → accepted | revoked        (and past `expires_at` no longer good)

Only the SHA-256 of the link's secret is kept. Sending again makes a new secret, so that an older letter ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts import services
from apps.accounts.models import Invitation, Membership, Role, Team, User
from apps.accounts.policy import may_administer, may_invite
from apps.core import audit, mail, secrets
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import QuerySet

GOOD_FOR = timedelta(days=7)


@transaction.atomic
def invite(
    email: str, team: Team, roles: Iterable[str], *, by: User, language: str = ""
) -> tuple[Invitation, str]:
    """Invite an address into a team; returns the row and the link, which also goes out by e-mail.

    Raises NotAllowed, Invalid, or Conflict when this address has an open invitation into the team.
    """
    require(may_invite(by, team))
    wanted = _checked_roles(roles, by)
    address = _checked_address(email)
    if team.memberships.filter(user__email__iexact=address, user__is_active=True).exists():
        raise Conflict(_("%(email)s is in this team already; give the role there.") % {"email": address})
    living = open_invitations().filter(team=team, email__iexact=address).first()
    if living is not None:
        raise Conflict(
            _("%(email)s has an open invitation into this team. Send it again, or revoke it first.")
            % {"email": address}
        )
    secret, digest = secrets.new("inv")
    invitation = Invitation.objects.create(
        email=address,
        team=team,
        roles=wanted,
        digest=digest,
        language=language if language in dict(settings.LANGUAGES) else by.language,
        invited_by=by,
        expires_at=timezone.now() + GOOD_FOR,
    )
    audit.record("accounts.invitation.sent", invitation, by=by, email=address, team=team.slug, roles=wanted)
    return invitation, _send(invitation, secret)


def _checked_roles(roles: Iterable[str], by: User) -> list[str]:
    wanted = [role for role in Role.values if role in set(roles)]
    if not wanted:
        raise Invalid(_("Choose at least one role."), fields={"roles": _("is empty")})
    if Role.ADMIN in wanted:
        require(may_administer(by))
    return wanted


def _checked_address(email: str) -> str:
    address = email.strip()
    try:
        validate_email(address)
    except ValidationError as error:
        raise Invalid(
            _("“%(email)s” is not an e-mail address.") % {"email": address[:100]},
            fields={"email": _("is not an e-mail address")},
        ) from error
    return address


def _send(invitation: Invitation, secret: str) -> str:
    link = settings.ATRIUM.web_url + reverse("accounts:accept_invitation", args=[secret])
    team, by = invitation.team, invitation.invited_by

    def write() -> mail.Letter:
        roles = ", ".join(str(Role(role).label) for role in invitation.roles)
        who = by.called
        return mail.Letter(
            subject=_("Invitation into the team %(team)s") % {"team": team.name},
            paragraphs=(
                _(
                    "%(who)s invites you to Atrium, the portal for AI models, as %(roles)s in the team %(team)s."
                )
                % {"who": who, "roles": roles, "team": team.name},
                _("The link works once, for %(days)d days.") % {"days": GOOD_FOR.days},
            ),
            url=link,
            action=_("Accept the invitation"),
            why=_("If you do not know this team, throw the letter away; nothing happens then."),
        )

    mail.post(invitation.email, write, language=invitation.language)
    return link


@transaction.atomic
def send_again(invitation: Invitation, *, by: User) -> str:
    """Send a fresh link, good for as long as a new one; the former one ends. Returns the link."""
    require(may_invite(by, invitation.team))
    secret, digest = secrets.new("inv")
    changed = _living(invitation).update(digest=digest, expires_at=timezone.now() + GOOD_FOR)
    if not changed:
        raise Conflict(_("This invitation is accepted or revoked already."))
    audit.record("accounts.invitation.sent_again", invitation, by=by, email=invitation.email)
    return _send(invitation, secret)


@transaction.atomic
def revoke(invitation: Invitation, *, by: User) -> None:
    """End an invitation: its link works no more."""
    require(may_invite(by, invitation.team))
    if not _living(invitation).update(revoked_at=timezone.now()):
        raise Conflict(_("This invitation is accepted or revoked already."))
    audit.record("accounts.invitation.revoked", invitation, by=by, email=invitation.email)


def _living(invitation: Invitation) -> QuerySet[Invitation]:
    return Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)


def invitation_of(secret: str, *, lock: bool = False) -> Invitation:
    """The invitation that a link stands for. Raises NotFound, or Conflict when it is no longer good."""
    rows = Invitation.objects.select_related("team__site", "invited_by")
    if lock:
        rows = rows.select_for_update(of=("self",))
    found = rows.filter(digest=secrets.digest(secret)).first()
    if found is None:
        raise NotFound(_("This invitation is not known here. Ask for a new letter: an older link ends then."))
    if found.accepted_at is not None:
        raise Conflict(_("This invitation was accepted already. Log in with the name that you chose."))
    if found.revoked_at is not None:
        raise Conflict(_("This invitation was revoked. Ask whoever invited you."))
    if found.expires_at <= timezone.now():
        raise Conflict(_("This invitation has expired. Ask whoever invited you to send it again."))
    return found


@transaction.atomic
def accept_as_new(secret: str, *, username: str, full_name: str, password: str) -> User:
    """Make the account that an invitation is for, with its roles. Raises NotFound, Conflict, Invalid."""
    invitation = invitation_of(secret, lock=True)
    if User.objects.filter(email__iexact=invitation.email).exists():
        raise Conflict(
            _("Somebody has an account with this address already. Log in, then open the link again.")
        )
    person = services.new_person(username, full_name, password, email=invitation.email)
    audit.record(
        "accounts.user.created", person, by=person, username=person.username, invitation=invitation.pk
    )
    _accept(invitation, person)
    return person


@transaction.atomic
def accept_as(secret: str, person: User) -> Invitation:
    """Give the roles to somebody who is here already and has the address. Raises NotFound, Conflict."""
    invitation = invitation_of(secret, lock=True)
    if person.email.lower() != invitation.email.lower():
        raise Conflict(
            _("The invitation is for %(email)s; your profile has another address.")
            % {"email": invitation.email}
        )
    _accept(invitation, person)
    return invitation


def _accept(invitation: Invitation, person: User) -> None:
    """The link came by e-mail, so the address is the person's."""
    for role in invitation.roles:
        Membership.objects.get_or_create(team=invitation.team, user=person, role=role)
    User.objects.filter(pk=person.pk).update(verified_email=invitation.email)
    Invitation.objects.filter(pk=invitation.pk).update(accepted_at=timezone.now(), accepted_by=person)
    audit.record(
        "accounts.invitation.accepted",
        invitation,
        by=person,
        team=invitation.team.slug,
        roles=invitation.roles,
    )


def open_invitations() -> QuerySet[Invitation]:
    """Those that are neither accepted nor revoked."""
    return Invitation.objects.filter(accepted_at=None, revoked_at=None)


def invitations_visible_to(user: User | AnonymousUser) -> QuerySet[Invitation]:
    """All for an administrator, those of one's own teams for their owner."""
    rows = Invitation.objects.select_related("team", "invited_by", "accepted_by")
    return rows if may_administer(user) else rows.filter(team__owner=user.pk)


def get_invitation(pk: int, *, user: User) -> Invitation:
    """An invitation by its key. Raises NotFound for what the person may not know of."""
    found = invitations_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no invitation %(pk)s that you may see.") % {"pk": pk})
    return found
