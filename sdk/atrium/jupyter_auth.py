"""The portal's login inside a workspace's Jupyter server.

The portal's proxy adds one signed header to each request (atrium.identity). The key is a file that only this
workspace can read. There is no token of Jupyter's and no login page: browsers always pass its XSRF and Origin checks.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User
from traitlets import Unicode

from atrium.identity import EDITOR, HEADER, VIEWER, verify


class PortalIdentityProvider(IdentityProvider):
    """Knows people by the proxy's signed header, and by nothing else."""

    key_file = Unicode("", help="The file with the HMAC key that the portal's proxy signs with.").tag(
        config=True
    )
    token = ""
    need_token = False

    @property
    def auth_enabled(self) -> bool:
        """Always: nobody gets in without the header."""
        return True

    @property
    def login_available(self) -> bool:
        """People log in at the portal."""
        return False

    @property
    def logout_available(self) -> bool:
        """People log out at the portal."""
        return False

    def is_token_authenticated(self, handler: Any) -> bool:
        """Only for programs that showed the portal a personal token: for browsers XSRF and Origin are checked."""
        return bool(getattr(handler, "atrium_token", False))

    async def get_user(self, handler: Any) -> User | None:
        """The person of this request, or None, which Jupyter answers with 403."""
        values = handler.request.headers.get_list(HEADER)
        if len(values) != 1:
            return None
        facts = verify(Path(self.key_file).read_bytes(), values[0], now=time.time())
        if facts is None:
            return None
        handler.atrium_role = facts.get("role", VIEWER)
        handler.atrium_token = facts.get("by") == "token"
        handler.atrium_watching = facts.get("by") == "watching"
        name = str(facts.get("name") or facts["user"])
        return User(username=str(facts["user"]), name=name, display_name=name, initials=name[:2].upper())


class PortalAuthorizer(Authorizer):
    """Editors may do everything, viewers only read; one that watches a terminal is muted by the portal's proxy."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """See Authorizer.is_authorized."""
        role = getattr(handler, "atrium_role", VIEWER)
        watching = getattr(handler, "atrium_watching", False) and resource == "terminals"
        return role == EDITOR or (role == VIEWER and (action == "read" or watching))
