"""The session of who changes their password goes on under another key; apps that know it by the old one hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib.auth import update_session_auth_hash

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User

Following = Callable[[str, str], None]
_following: dict[str, Following] = {}


def register(name: str, following: Following) -> None:
    """Hear of a session's key before and after, in the request that changes it; for an app's `ready()`."""
    _following[name] = following


def keep(request: HttpRequest, user: User) -> None:
    """Keep this session of a person with a new password; the others end.

    Call it in the transaction that changes the password: whoever looks meanwhile would take it for one that has ended.
    """
    before = request.session.session_key
    update_session_auth_hash(request, user)
    request.session.save()
    after = request.session.session_key
    if before and after and before != after:
        for following in _following.values():
            following(before, after)
