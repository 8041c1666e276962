"""A release as it goes on, over a websocket: what its calls show, and a word when its buttons change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils import timezone, translation

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.core.problems import NOT_LOGGED_IN, close_code
from apps.releases import live
from apps.releases.models import Release
from apps.releases.selectors import releases_visible_to

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
RESTS_EVERY_S = 5.0
"""How often one is looked at that nothing moves: signed, paused, or ended."""
INTERNAL_ERROR = 1011
"""The close code after which the page asks by itself and connects again."""


class ReleaseConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/releases/<pk>/`: sends `live.told` at once and whenever it says something else.

    Who may see the release is asked anew at every look; the page fetches its buttons itself, under its own policy.
    """

    async def connect(self) -> None:
        self.user_id = self.scope["user"].pk if self.scope["user"].is_authenticated else None
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        self.follower: asyncio.Task[None] | None = None
        await self.accept()
        if self.user_id is None:
            await self.close(code=NOT_LOGGED_IN)
        else:
            self.follower = asyncio.create_task(self._follow())

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.follower

    @database_sync_to_async
    def _look(self) -> tuple[bool, dict[str, Any]] | None:
        """Whether it moves by itself, and what is told of it; None when the viewer may not see it."""
        viewer = User.objects.filter(pk=self.user_id or 0, is_active=True).first()
        release = releases_visible_to(viewer).filter(pk=self.pk).first() if viewer else None
        if viewer is None or release is None:
            return None
        with translation.override(viewer.language), timezone.override(viewer.zone):
            shown = live.shown(release, user=viewer)
            return shown["moves"] and release.status != Release.Status.PAUSED, live.told(shown)

    async def _follow(self) -> None:
        said: dict[str, Any] | None = None
        while True:
            try:
                seen = await self._look()
            except Exception:  # whatever it is: a page whose socket stays open and silent would stand still
                log.exception("release %s cannot be looked at", self.pk)
                await self.close(code=INTERNAL_ERROR)
                return
            if seen is None:
                await self.close(code=close_code(NotFound))
                return
            moves, now = seen
            if now != said:
                said = now
                await self.send_json(now)
            await asyncio.sleep(LOOK_EVERY_S if moves else RESTS_EVERY_S)
