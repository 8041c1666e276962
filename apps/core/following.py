"""Websockets that follow one row for one person: looked at before it opens, and again and again while it is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import get_user_model
from django.utils import timezone, translation

from apps.core.errors import NotFound
from apps.core.problems import NOT_LOGGED_IN, close_code

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
"""The close code after which a page connects again (`static/js/live.js`)."""


class FollowingConsumer(AsyncJsonWebsocketConsumer):
    """Follows what its address names by `pk`; a subclass says what that is, and what is told of it.

    Who may see it is asked anew at every look. It is looked at before the socket opens: where that fails the socket
    does not open at all, and pages come again after pauses that grow. A look that fails later closes it with
    `INTERNAL_ERROR`, as a page whose socket stays open and silent would stand still.
    """

    def followed(self, viewer: Any, pk: int) -> Any:
        """What `viewer` sees of it now, in their language and zone; None when nothing. In a thread of the database."""
        raise NotImplementedError

    async def follow(self, seen: Any) -> None:
        """Tell of what was seen, then of what `look` sees, for as long as the socket is open."""
        raise NotImplementedError

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def say(message: Any) -> None:
            try:
                await send(message)
            except (
                OSError
            ) as error:  # so a server tells that nobody is there any more (ASGI, "Disconnected Client")
                raise _Left from error

        with contextlib.suppress(_Left):
            await super().__call__(scope, receive, say)

    async def connect(self) -> None:
        self.user_id = self.scope["user"].pk if self.scope["user"].is_authenticated else None
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        self.follower: asyncio.Task[None] | None = None
        if self.user_id is None:
            await self._turn_away(NOT_LOGGED_IN)
            return
        try:
            seen = await self.look()
        except _NothingToSee:
            await self._turn_away(close_code(NotFound))
        except Exception:
            log.exception("%s cannot be looked at", self.scope["path"])
            await self.close()
        else:
            await self.accept()
            self.follower = asyncio.create_task(self._follow(seen))

    async def disconnect(self, code: int) -> None:
        if self.follower is not None:
            self.follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.follower

    async def look(self) -> Any:
        """What there is to see now. For `follow`, which ends where there is nothing any more."""
        seen = await self._look()
        if seen is None:
            raise _NothingToSee
        return seen

    async def _turn_away(self, code: int) -> None:
        await self.accept()  # else no browser learns the code
        await self.close(code=code)

    async def _follow(self, seen: Any) -> None:
        try:
            await self.follow(seen)
        except _Left:
            return
        except _NothingToSee:
            code = close_code(NotFound)
        except Exception:
            log.exception("%s cannot be looked at", self.scope["path"])
            code = INTERNAL_ERROR
        else:
            return
        with contextlib.suppress(_Left):
            await self.close(code=code)

    @database_sync_to_async
    def _look(self) -> Any:
        viewer = get_user_model().objects.filter(pk=self.user_id or 0, is_active=True).first()
        if viewer is None:
            return None
        with translation.override(viewer.language), timezone.override(viewer.zone):
            return self.followed(viewer, self.pk)


class _NothingToSee(Exception):
    pass


class _Left(Exception):
    pass
