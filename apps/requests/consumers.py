"""The bell's websocket: tells open pages to show the new count. It carries a title and a number, no more."""

from __future__ import annotations

from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from apps.core.problems import NOT_LOGGED_IN
from apps.requests.notifications import group_of
from apps.requests.selectors import unread_count


class BellConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/notifications/`: sends `{"unread": n}` at once, and `{"unread": n, "title": "…"}` at each change."""

    async def connect(self) -> None:
        self.user = self.scope["user"]
        await self.accept()
        if not self.user.is_authenticated:
            await self.close(code=NOT_LOGGED_IN)
            return
        await self.channel_layer.group_add(group_of(self.user.pk), self.channel_name)
        await self._tell("")

    async def disconnect(self, code: int) -> None:
        if self.user.is_authenticated:
            await self.channel_layer.group_discard(group_of(self.user.pk), self.channel_name)

    async def bell_changed(self, event: dict[str, Any]) -> None:
        """Something was put into this person's bell, or read."""
        await self._tell(event.get("title", ""))

    async def _tell(self, title: str) -> None:
        unread = await database_sync_to_async(unread_count)(self.user)
        await self.send_json({"unread": unread, "title": title})
