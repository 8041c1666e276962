"""Tickets and cookies for the origins of the live process: asked for at the portal, redeemed once over there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from apps.accounts.services import live_token
from apps.core import secrets
from apps.workbench.models import Entry, Workspace
from apps.workbench.policy import may_edit_workspace, may_see_experiments, may_view_workspace
from apps.workbench.recordings import rule_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.accounts.models import User

TICKET_LIVES = timedelta(seconds=30)
COOKIE_LIVES = timedelta(hours=12)
MLFLOW = "mlflow"


@dataclass(frozen=True)
class Access:
    """What the bearer of a cookie may do at an origin right now."""

    origin: str
    user_id: int
    username: str
    name: str
    role: str
    """editor or viewer."""
    running: bool = True
    workload_id: str = ""
    workspace_id: int = 0
    watches: bool = False
    """Whether somebody who only reads may watch the terminals."""
    language: str = "en"
    recorded: bool = False
    """Whether what the terminals show is recorded."""
    by_token: bool = False
    """Whether a program showed a personal token, in place of a browser with a cookie."""


def issue_ticket(user: User, origin: str, session_key: str) -> str:
    """A ticket for one origin that lives for 30 s and works once. The caller has checked that the user may enter."""
    ticket, digest = secrets.new("ate")
    now = timezone.now()
    Entry.objects.create(
        origin=origin,
        user=user,
        session_key=session_key,
        ticket_digest=digest,
        ticket_expires_at=now + TICKET_LIVES,
        expires_at=now + COOKIE_LIVES,
    )
    return ticket


@transaction.atomic
def redeem_ticket(ticket: str, origin: str) -> str | None:
    """Turn a ticket into the cookie's secret; None when it is unknown, used, expired or for another origin."""
    cookie, digest = secrets.new("atc")
    now = timezone.now()
    won = Entry.objects.filter(
        ticket_digest=secrets.digest(ticket), origin=origin, redeemed_at=None, ticket_expires_at__gt=now
    ).update(redeemed_at=now, cookie_digest=digest)
    return cookie if won else None


def access_of(cookie: str, origin: str) -> Access | None:
    """What this cookie opens, read anew: the login still stands, the person is active and still allowed."""
    entry = (
        Entry.objects.select_related("user")
        .filter(cookie_digest=secrets.digest(cookie), origin=origin, expires_at__gt=timezone.now())
        .first()
    )
    if entry is None or not entry.user.is_active or not _standing(entry.user, [entry.session_key]):
        return None
    if origin == MLFLOW:
        return _access_to_mlflow(entry.user)
    return _access_to_workspace(entry.user, origin)


def access_by_token(secret: str, origin: str) -> Access | None:
    """What a personal token opens at a workspace's origin, as for its person. A job's own token opens nothing."""
    token = live_token(secret)
    if token is None or token.job_id is not None or origin == MLFLOW:
        return None
    access = _access_to_workspace(token.user, origin)
    return replace(access, by_token=True) if access else None


def _standing(user: User, session_keys: Iterable[str]) -> set[str]:
    """The logins that stand: not over, and not ended by another password of the person."""
    if not user.is_active:
        return set()
    rows = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    known = user.get_session_auth_hash()
    return {
        row.session_key
        for row in rows
        if constant_time_compare(str(row.get_decoded().get(HASH_SESSION_KEY, "")), known)
    }


def follow_session(before: str, after: str) -> None:
    """A login goes on under another key, as when its person has changed the password: so do its entries."""
    Entry.objects.filter(session_key=before).update(session_key=after)


def ended_logins(workspace: Workspace) -> tuple[list[int], bool]:
    """The owner's entries whose login is over, and whether another one stands with which they had entered, too."""
    entries = Entry.objects.filter(origin=f"w{workspace.pk}", user_id=workspace.owner_id).order_by("pk")
    known = list(entries.values_list("pk", "session_key", "redeemed_at"))
    if not known:
        return [], False
    # as it is now: a row read before may hold another password
    owner = get_user_model().objects.get(pk=workspace.owner_id)
    standing = _standing(owner, {key for _pk, key, _at in known})
    return [pk for pk, key, at in known if at is not None and key not in standing], bool(standing)


def forget_entries(pks: list[int]) -> None:
    """Remove entries that open nothing any more."""
    Entry.objects.filter(pk__in=pks).delete()


def _access_to_mlflow(user: User) -> Access | None:
    if not may_see_experiments(user):
        return None
    return Access(MLFLOW, user.pk, user.username, user.get_full_name() or user.username, "editor")


def _access_to_workspace(user: User, origin: str) -> Access | None:
    workspace = Workspace.objects.select_related("owner", "team").filter(pk=int(origin[1:])).first()
    if workspace is None or not may_view_workspace(user, workspace):
        return None
    return Access(
        origin=origin,
        user_id=user.pk,
        username=user.username,
        name=user.get_full_name() or user.username,
        role="editor" if may_edit_workspace(user, workspace) else "viewer",
        running=workspace.status == Workspace.Status.RUNNING,
        workload_id=workspace.workload_id,
        workspace_id=workspace.pk,
        watches=workspace.share_terminals,
        language=user.language,
        recorded=rule_for(workspace) is not None,
    )


def forget_expired_entries() -> None:
    """Remove entries that open nothing any more. One that was used is kept as long as a login can last, since shells
    end with it.
    """
    now = timezone.now()
    longest = now - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    useless = Q(redeemed_at=None) | Q(origin=MLFLOW) | Q(expires_at__lt=longest)
    Entry.objects.filter(useless, expires_at__lt=now).delete()
