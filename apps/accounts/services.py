"""Changes to people, teams and tokens."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts import throttling
from apps.accounts.models import Membership, PersonalToken, Role, Site, Team, User
from apps.accounts.policy import may_administer, may_archive_site, may_lead
from apps.core import audit, events, secrets
from apps.core.errors import Invalid, NotAllowed
from apps.core.policy import require

_TOUCH_EVERY = timedelta(minutes=1)

ZONE_COOKIE = "atrium_zone"
"""The time zone of the browser, which every page notes (`static/js/shell.js`)."""


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


def live_token(secret: str) -> PersonalToken | None:
    """The token with this secret while it is good, or None. Notes the use, at most once a minute."""
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
    return token


def user_of_token(secret: str) -> User | None:
    """The person whose live token this is, or None."""
    token = live_token(secret)
    return token.user if token else None


@transaction.atomic
def add_member(team: Team, user: User, role: str, *, by: User) -> Membership:
    """Give a person a role in a team. Only an administrator makes administrators."""
    require(may_administer(by) if role == Role.ADMIN else may_lead(by, team))
    membership, created = Membership.objects.get_or_create(team=team, user=user, role=role)
    if created:
        audit.record("accounts.member.added", team, by=by, user=user.username, role=role)
        events.publish("accounts.role_given", team.pk, user=user.pk, role=role, by=by.pk)
    return membership


@transaction.atomic
def remove_member(membership: Membership, *, by: User) -> None:
    """Take a role in a team from a person."""
    require(may_administer(by) if membership.role == Role.ADMIN else may_lead(by, membership.team))
    audit.record(
        "accounts.member.removed", membership.team, by=by, user=membership.user.username, role=membership.role
    )
    events.publish(
        "accounts.role_taken", membership.team_id, user=membership.user_id, role=membership.role, by=by.pk
    )
    membership.delete()


@transaction.atomic
def create_site(slug: str, name: str, kind: str, *, by: User) -> Site:
    """Add a site: the centre or a province."""
    require(may_administer(by))
    if Site.objects.filter(slug=slug).exists():
        raise Invalid(
            _("There is a site “%(slug)s” already. Choose another short name.") % {"slug": slug},
            fields={"slug": _("This one is taken: choose another.")},
        )
    site = Site.objects.create(slug=slug, name=name, kind=kind)
    audit.record("accounts.site.created", site, by=by, slug=slug)
    return site


@transaction.atomic
def create_team(slug: str, name: str, site: Site, *, by: User) -> Team:
    """Add a team at a site. Raises NotAllowed, Invalid for a short name that is taken and for an archived site."""
    require(may_administer(by))
    if Team.objects.filter(slug=slug).exists():
        raise Invalid(
            _("There is a team “%(slug)s” already. Choose another short name.") % {"slug": slug},
            fields={"slug": _("This one is taken: choose another.")},
        )
    _take_in(site)
    team = Team.objects.create(slug=slug, name=name, site=site)
    audit.record("accounts.team.created", team, by=by, slug=slug, site=site.slug)
    return team


@transaction.atomic
def change_team(team: Team, *, name: str, site: Site, owner: User | None, by: User) -> Team:
    """Give a team another name, site or owner. Raises NotAllowed, Invalid for an archived site."""
    require(may_administer(by))
    if site.pk != team.site_id:
        _take_in(site)
        events.publish("accounts.team_moved", team.pk, site=site.slug)
    team.name, team.site, team.owner = name, site, owner
    team.save(update_fields=["name", "site", "owner"])
    told = owner.get_username() if owner else ""
    audit.record("accounts.team.changed", team, by=by, name=name, site=site.slug, owner=told)
    return team


@transaction.atomic
def archive_team(team: Team, *, archived: bool, by: User) -> None:
    """Take a team out of use, or open it again. Roles in an archived team count for nothing; what it made stays."""
    require(may_administer(by))
    when = timezone.now() if archived else None
    if not archived:
        _take_in(team.site)
    if Team.objects.filter(pk=team.pk, archived_at__isnull=archived).update(archived_at=when):
        audit.record("accounts.team.archived" if archived else "accounts.team.reopened", team, by=by)


@transaction.atomic
def change_site(site: Site, *, name: str, kind: str, by: User) -> Site:
    """Give a site another name or kind."""
    require(may_administer(by))
    site.name, site.kind = name, kind
    site.save(update_fields=["name", "kind"])
    audit.record("accounts.site.changed", site, by=by, name=name, kind=kind)
    return site


@transaction.atomic
def archive_site(site: Site, *, archived: bool, by: User) -> None:
    """Take a site out of use, or open it again. An archived site takes no teams. Raises NotAllowed with the reason."""
    Site.objects.select_for_update().get(pk=site.pk)
    require(may_archive_site(by, site) if archived else may_administer(by))
    when = timezone.now() if archived else None
    if Site.objects.filter(pk=site.pk, archived_at__isnull=archived).update(archived_at=when):
        audit.record("accounts.site.archived" if archived else "accounts.site.reopened", site, by=by)


def _take_in(site: Site) -> None:
    """Keep a site open until the end of the transaction, for a team that is about to work there. Raises Invalid."""
    if Site.objects.select_for_update().get(pk=site.pk).archived_at is not None:
        words = _("The site %(site)s is archived. Open it again first, or choose another one.")
        told = words % {"site": site.name}
        raise Invalid(told, fields={"site": told})


@transaction.atomic
def create_person(username: str, full_name: str, password: str, *, by: User) -> User:
    """Add a person who can log in with this password; they should change it at once."""
    require(may_administer(by))
    person = new_person(username, full_name, password)
    audit.record("accounts.user.created", person, by=by, username=username)
    return person


def new_person(username: str, full_name: str, password: str, *, email: str = "") -> User:
    """A new row, for a caller that has checked who asks and writes the audit entry. Raises Invalid."""
    if User.objects.filter(username__iexact=username).exists():
        raise Invalid(
            _("There is a person “%(name)s” already. Choose another user name.") % {"name": username},
            fields={"username": _("This one is taken: choose another.")},
        )
    first, _space, last = full_name.strip().partition(" ")
    person = User(username=username, first_name=first[:150], last_name=last[:150], email=email)
    _set_password(person, password, field="password")
    person.save()
    return person


def note_login(person: User, *, way: str, address: str) -> None:
    """Write down that somebody has come in: `way` is `password` or `single sign-on`."""
    audit.record("accounts.user.logged_in", person, by=person, way=way, address=address)


def note_failed_login(username: str, *, address: str) -> None:
    """Write down that somebody tried to come in as a person of ours. Throttling bounds how many there are."""
    if person := User.objects.filter(username=username).first():
        audit.record("accounts.user.login_failed", person, by=None, address=address)


def note_logout(person: User, *, address: str) -> None:
    """Write down that somebody has left."""
    audit.record("accounts.user.logged_out", person, by=person, address=address)


def prove(person: User, password: str) -> bool:
    """Whether somebody who is logged in knows their password. Guesses wait as at the login. Raises Invalid."""
    place = f"password of {person.pk}"  # whoever guesses has the session or a token: the address says nothing
    if wait_s := throttling.seconds_to_wait(person.username, place):
        raise Invalid(_("Too many failed attempts. Wait %(seconds)d s and try again.") % {"seconds": wait_s})
    if not person.check_password(password):
        throttling.note_failure(person.username, place)
        return False
    throttling.note_success(person.username, place)
    return True


@transaction.atomic
def change_password(person: User, *, old: str, new: str) -> None:
    """Give oneself another password; the old one proves who asks. Other sessions end. Raises Invalid."""
    if not prove(person, old):
        words = _("This is not your present password. Nothing was changed.")
        raise Invalid(words, fields={"old_password": words})
    _set_password(person, new, field="new_password")
    person.save(update_fields=["password"])
    audit.record("accounts.user.password_changed", person, by=person)


def _set_password(person: User, password: str, *, field: str) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        words = " ".join(error.messages)
        raise Invalid(words, fields={field: words}) from error
    person.set_password(password)


@transaction.atomic
def set_active(person: User, active: bool, *, by: User) -> None:
    """Let a person log in, or stop it at once: sessions and tokens of an inactive person are refused."""
    require(may_administer(by))
    if person.pk == by.pk:
        raise Invalid(_("You cannot deactivate yourself; ask another administrator."))
    if User.objects.filter(pk=person.pk).exclude(is_active=active).update(is_active=active):
        audit.record("accounts.user.activated" if active else "accounts.user.deactivated", person, by=by)


def save_preferences(user: User, *, language: str = "", theme: str = "") -> None:
    """Keep how a person wants the portal to look; empty values stay as they are."""
    wanted = {"language": language, "theme": theme}
    changed = {name: value for name, value in wanted.items() if value}
    if changed:
        User.objects.filter(pk=user.pk).update(**changed)


def start_in_zone(user: User, cookies: Mapping[str, str]) -> None:
    """Tell a new person the times of the zone that their browser noted; what is no zone changes nothing."""
    zone = cookies.get(ZONE_COOKIE, "")
    if zone in zoneinfo.available_timezones():
        User.objects.filter(pk=user.pk).update(time_zone=zone)
        user.time_zone = zone


@transaction.atomic
def remember_look(user: User, page: str, look: str) -> None:
    """Keep how a person looks at a list, such as `table` or `grid`; the other lists stay as they are."""
    person = User.objects.select_for_update().only("pk", "looks").get(pk=user.pk)
    person.looks[page] = look
    person.save(update_fields=["looks"])
    user.looks = person.looks
