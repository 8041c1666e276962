"""Telling people: a row in their bell, and a nudge to the pages that they have open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.utils import timezone, translation

from apps.requests import letters
from apps.requests.models import Notification

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.requests.models import Request

log = logging.getLogger(__name__)

LONGEST = 200
"""Characters of a title; what is said below it may be longer."""


def group_of(user_id: int) -> str:
    """The Channels group of one person's open pages."""
    return f"user-{user_id}"


def notify(
    users: Iterable[User],
    title: str | Callable[[], str],
    *,
    url: str,
    body: str | Callable[[], str] = "",
    request: Request | None = None,
) -> None:
    """Put a line into each person's bell, once each; open pages hear of it after the commit.

    `title` and `body` may be functions, called once for each language among the readers with that language active:
    `lambda: _("Granted: %(title)s") % {…}`. With `request` an approver can decide right in the bell's page.
    """
    people = {user.pk: user for user in users}
    titles = {user.language: _told(title, user.language)[:LONGEST] for user in people.values()}
    bodies = {language: _told(body, language) for language in titles}
    kind = letters.kind_of(url, request)
    made = Notification.objects.bulk_create(
        Notification(
            user=user,
            title=titles[user.language],
            body=bodies[user.language],
            url=url,
            request=request,
            kind=kind,
        )
        for user in people.values()
    )
    letters.send_at_once(made)

    def nudge_all() -> None:
        for user in people.values():
            nudge(user.pk, titles[user.language])

    transaction.on_commit(nudge_all)


def _told(title: str | Callable[[], str], language: str) -> str:
    with translation.override(language):
        return str(title() if callable(title) else title)


def nudge(user_id: int, title: str = "") -> None:
    """Let one person's open pages read their bell again. A channel layer that is away loses nothing but time."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(group_of(user_id), {"type": "bell.changed", "title": title})
    except Exception:  # noqa: BLE001 - the row is written; the nudge is a convenience
        log.warning("the channel layer is away: an open page of person %s is not told", user_id)


def mark_settled(request: Request, users: Iterable[User] | None = None) -> None:
    """Nobody is asked any more to decide what is closed, nor these people what they have decided: it counts as read."""
    unread = Notification.objects.filter(request=request, read_at=None)
    if users is not None:
        unread = unread.filter(user__in=list(users))
    people = list(unread.values_list("user", flat=True))
    unread.update(read_at=timezone.now())

    def nudge_all() -> None:
        for pk in people:
            nudge(pk)

    transaction.on_commit(nudge_all)


def mark_read(user: User, pk: int | None = None) -> int:
    """Mark one notification, or all, of a person as read. Returns how many were unread."""
    unread = Notification.objects.filter(user=user, read_at=None)
    changed = (unread.filter(pk=pk) if pk is not None else unread).update(read_at=timezone.now())
    if changed:
        transaction.on_commit(lambda: nudge(user.pk))
    return changed
