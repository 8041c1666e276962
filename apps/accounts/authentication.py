"""`Authorization: Bearer atr_…` for the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from apps.accounts.services import live_token

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import PersonalToken, User


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the description of the API tells of personal tokens."""

    target_class = "apps.accounts.authentication.TokenAuthentication"
    name = "personalToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "atr_…"}


class TokenAuthentication(BaseAuthentication):
    """Personal tokens; `request.auth` is the token."""

    def authenticate(self, request: Request) -> tuple[User, PersonalToken] | None:
        scheme, _space, secret = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = live_token(secret.strip())
        if token is None:
            raise AuthenticationFailed(
                _("The token is unknown, revoked or expired. Make a new one in your profile.")
            )
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="atrium"'
