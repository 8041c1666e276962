"""Single sign-on with OpenID Connect: allauth speaks the protocol, here is decided who somebody is.

A known account of the provider logs in its person. An unknown one is joined to the person whose address was proven
here (`User.verified_email`), and only when the provider too says that it is proven; an address that somebody merely
typed into their profile never counts. Else a new person is made, where the administrator allows it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from apps.accounts.models import Membership, Team, User
from apps.accounts.services import note_login, start_in_zone
from apps.accounts.throttling import address_of
from apps.core import audit

if TYPE_CHECKING:
    from allauth.socialaccount.models import SocialLogin
    from django.http import HttpRequest, HttpResponse

log = logging.getLogger(__name__)


class Adapter(DefaultSocialAccountAdapter):
    """What allauth asks after the provider has answered."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find or make the person, and give the roles that the provider's claim stands for."""
        claims = _claims(sociallogin)
        with transaction.atomic():
            if not sociallogin.is_existing:
                person = _person_for(claims)
                if person is None:
                    raise _refused(
                        request,
                        _(
                            "Nobody here has this account. Ask an administrator for an invitation to your address."
                        ),
                    )
                sociallogin.connect(request, person)
                audit.record(
                    "accounts.sso.joined", person, by=person, subject=str(claims.get("sub", ""))[:200]
                )
            map_roles(sociallogin.user, claims)
            if sociallogin.user.last_login is None:
                start_in_zone(sociallogin.user, request.COOKIES)
        if not sociallogin.user.is_active:
            raise _refused(request, _("This account is shut out. Ask an administrator."))

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        """Back to the door, with words."""
        log.warning("single sign-on failed: %s %r", error, exception)
        raise _refused(request, _("Single sign-on did not work. Try again, or log in with a password."))


class AccountAdapter(DefaultAccountAdapter):
    """The portal greets people itself."""

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: logging in shows where one is."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Only `pre_social_login` makes people."""
        return False

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """As at every login."""
        note_login(user, way="single sign-on", address=address_of(request))
        return cast("HttpResponse", super().post_login(request, user, **kwargs))

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Back to the door."""
        messages.error(request, _("This account is shut out. Ask an administrator."))
        return redirect("login")


def _refused(request: HttpRequest, words: str) -> ImmediateHttpResponse:
    messages.error(request, words)
    return ImmediateHttpResponse(redirect("login"))


def _claims(sociallogin: SocialLogin) -> dict[str, Any]:
    """What the provider said, its user info before the token."""
    told = sociallogin.account.extra_data or {}
    parts = [told.get("id_token") or {}, told.get("userinfo") or {}]
    return {name: value for part in parts if isinstance(part, dict) for name, value in part.items()} or dict(
        told
    )


def _person_for(claims: dict[str, Any]) -> User | None:
    email = str(claims.get("email") or "").strip()
    proven = email if claims.get("email_verified") is True else ""
    if proven:
        known = User.objects.filter(verified_email__iexact=proven).order_by("pk").first()
        if known is not None:
            return known
    if not settings.ATRIUM.oidc_new_people:
        return None
    first, last = str(claims.get("given_name") or ""), str(claims.get("family_name") or "")
    if not first:
        first, _space, last = str(claims.get("name") or "").partition(" ")
    person = User(
        username=_free_name(str(claims.get("preferred_username") or email.partition("@")[0] or "person")),
        first_name=first[:150],
        last_name=last[:150],
        email=email[:254],
        verified_email=proven[:254],
    )
    person.set_unusable_password()
    person.save()
    audit.record("accounts.user.created", person, by=person, username=person.username, by_single_sign_on=True)
    return person


def _free_name(wanted: str) -> str:
    """A user name that nobody has, as near to the wanted one as can be."""
    base = re.sub(r"[^\w.-]+", "-", wanted.partition("@")[0]).strip("-.")[:100] or "person"
    near = User.objects.filter(username__istartswith=base).values_list("username", flat=True)
    taken = {name.lower() for name in near}
    names = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name.lower() not in taken)


def map_roles(person: User, claims: dict[str, Any]) -> None:
    """Give the roles that the claim stands for now, and take those that it stood for. Other roles are left alone."""
    mapping: dict[str, tuple[tuple[str, str], ...]] = settings.ATRIUM.oidc_roles
    told = claims.get(settings.ATRIUM.oidc_claim) or []
    groups = {str(group) for group in (told if isinstance(told, list) else [told])}
    wanted = {place for group in groups for place in mapping.get(group, ())}
    possible = {place for places in mapping.values() for place in places}
    teams = {team.slug: team for team in Team.objects.filter(slug__in={slug for slug, _role in possible})}
    for slug, role in sorted(possible):
        team = teams.get(slug)
        if team is None:
            log.warning("ATRIUM_OIDC_ROLES names the team %s, which is not there", slug)
            continue
        facts = {"user": person.username, "role": role, "by_single_sign_on": True}
        if (slug, role) in wanted:
            _row, made = Membership.objects.get_or_create(team=team, user=person, role=role)
            if made:
                audit.record("accounts.member.added", team, by=None, **facts)
        elif Membership.objects.filter(team=team, user=person, role=role).delete()[0]:
            audit.record("accounts.member.removed", team, by=None, **facts)
