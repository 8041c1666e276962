"""A release as it goes on, over a websocket: what its calls show, and a word when its buttons change."""

from __future__ import annotations

import asyncio
from typing import Any

from apps.accounts.models import User
from apps.core.following import FollowingConsumer
from apps.releases import live
from apps.releases.models import Release
from apps.releases.selectors import releases_visible_to

LOOK_EVERY_S = 1.0
RESTS_EVERY_S = 5.0
"""How often one is looked at that nothing moves: signed, paused, or ended."""

Seen = tuple[bool, dict[str, Any]]
"""Whether it moves by itself, and what is told of it."""


class ReleaseConsumer(FollowingConsumer):
    """`/ws/releases/<pk>/`: sends `live.told` at once and whenever it says something else.

    The page fetches its buttons itself, under its own policy.
    """

    def followed(self, viewer: User, pk: int) -> Seen | None:
        """See FollowingConsumer.followed."""
        release = releases_visible_to(viewer).filter(pk=pk).first()
        if release is None:
            return None
        shown = live.shown(release, user=viewer)
        return shown["moves"] and release.status != Release.Status.PAUSED, live.told(shown)

    async def follow(self, seen: Seen) -> None:
        """See FollowingConsumer.follow."""
        said: dict[str, Any] | None = None
        while True:
            moves, now = seen
            if now != said:
                said = now
                await self.send_json(now)
            await asyncio.sleep(LOOK_EVERY_S if moves else RESTS_EVERY_S)
            seen = await self.look()
