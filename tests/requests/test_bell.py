"""The bell over its websocket: the count at once, a title at each change, nothing for strangers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import connections

from apps.core.problems import NOT_LOGGED_IN
from apps.requests.consumers import BellConsumer
from apps.requests.notifications import mark_read, notify
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _close_connections():
    """The thread of the consumer's queries has a connection of its own, which would keep the database open."""
    yield
    await database_sync_to_async(connections.close_all)()


class Socket(ApplicationCommunicator):
    """A browser's end of the websocket."""

    async def hears(self) -> Any:
        return json.loads((await self.receive_output(5))["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(5)


async def connected(user) -> Socket:
    scope = {"type": "websocket", "path": "/ws/notifications/", "user": user, "headers": []}
    socket = Socket(BellConsumer.as_asgi(), scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(5))["type"] == "websocket.accept"
    return socket


async def test_an_open_page_hears_of_a_notification_and_of_reading_it():
    team = await database_sync_to_async(make_team)("Radio")
    ada = await database_sync_to_async(make_user)("ada", team=team)
    socket = await connected(ada)
    assert await socket.hears() == {"unread": 0, "title": ""}

    await database_sync_to_async(notify)([ada], "Job 7 is done", url="/jobs/7/")
    assert await socket.hears() == {"unread": 1, "title": "Job 7 is done"}

    await database_sync_to_async(mark_read)(ada)
    assert await socket.hears() == {"unread": 0, "title": ""}
    await socket.disconnect()


async def test_nobody_hears_the_bell_of_another():
    team = await database_sync_to_async(make_team)("Radio")
    ada = await database_sync_to_async(make_user)("ada", team=team)
    bo = await database_sync_to_async(make_user)("bo", team=team)
    socket = await connected(bo)
    await socket.hears()

    await database_sync_to_async(notify)([ada], "For Ada", url="/")

    assert await socket.receive_nothing(0.5)
    await socket.disconnect()


async def test_a_visitor_is_sent_away():
    socket = await connected(AnonymousUser())

    assert (await socket.receive_output())["code"] == NOT_LOGGED_IN
