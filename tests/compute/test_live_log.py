"""The live log over its websocket."""

import asyncio
import json

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, connections

from apps.accounts.models import Membership
from apps.compute import consumers
from apps.compute.routing import websocket_urlpatterns
from apps.compute.services import attempts

from .conftest import run, submit

pytestmark = [pytest.mark.usefixtures("outside"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
async def _close_connections():
    """The thread of the consumers' queries has a connection of its own, which would keep the database open."""
    yield
    await database_sync_to_async(connections.close_all)()


class Socket(ApplicationCommunicator):
    """A websocket of the portal without a server (the one in channels.testing needs daphne)."""

    async def receive_json_from(self, timeout: float) -> dict:
        message = await self.receive_output(timeout)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(5)


async def opened(user, job) -> Socket:
    scope = {"type": "websocket", "path": f"/ws/jobs/{job.pk}/", "headers": [], "user": user}
    socket = Socket(URLRouter(websocket_urlpatterns), scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(5))["type"] == "websocket.accept"
    return socket


async def collect(socket, wanted: str) -> tuple[str, list[dict]]:
    """Text of the log until it contains `wanted`, and the states on the way."""
    text, states = "", []
    while wanted not in text:
        message = await socket.receive_json_from(timeout=5)
        text = "" if "attempt" in message else text + message.get("log", "")
        states += [message["state"]] if "state" in message else []
    return text, states


async def test_log_is_followed_from_before_the_start_to_the_end(ada, radio, fake):
    job = await database_sync_to_async(submit)(radio, ada, "run")
    socket = await opened(ada, job)
    assert (await socket.receive_json_from(timeout=5))["state"]["status"] == "queued"

    await database_sync_to_async(attempts.start_job)(job.pk)
    await database_sync_to_async(job.refresh_from_db)()
    fake.say(job.workload_id, "first line\n")
    text, _ = await collect(socket, "first line")
    assert text == "first line\n"

    fake.say(job.workload_id, "世界\n")
    await collect(socket, "世界\n")
    fake.finish(job.workload_id, 1)
    await database_sync_to_async(run)(job)
    states = []
    while "failed" not in states:
        message = await socket.receive_json_from(timeout=5)
        states.append(message.get("state", {}).get("status"))
    await socket.disconnect()


async def test_log_of_an_ended_job_is_sent_again(ada, radio, fake):
    job = await database_sync_to_async(submit)(radio, ada, "echo", "all of it")
    await database_sync_to_async(run)(job)
    socket = await opened(ada, job)

    text, _ = await collect(socket, "all of it")

    assert text == "all of it\n"
    await socket.disconnect()


async def test_stranger_and_nobody_are_turned_away(ada, cy, radio, fake):
    job = await database_sync_to_async(submit)(radio, ada, "run")

    for user, code in ((cy, 4404), (AnonymousUser(), 4401)):
        socket = await opened(user, job)
        assert (await socket.receive_output(timeout=5)) == {"type": "websocket.close", "code": code}


async def test_who_leaves_the_team_stops_seeing_the_log(ada, radio, fake):
    job = await database_sync_to_async(submit)(radio, ada, "run")
    socket = await opened(ada, job)
    await socket.receive_json_from(timeout=5)

    await database_sync_to_async(Membership.objects.all().delete)()

    closed = await socket.receive_output(timeout=5)
    assert (closed["type"], closed["code"]) == ("websocket.close", 4404)


async def test_a_look_that_fails_closes_the_socket_so_that_the_page_comes_again(
    ada, radio, fake, monkeypatch
):
    job = await database_sync_to_async(submit)(radio, ada, "run")
    socket = await opened(ada, job)
    await socket.receive_json_from(timeout=5)

    monkeypatch.setattr(consumers, "jobs_visible_to", away)

    assert await socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 1011}


async def test_a_page_that_has_left_is_no_look_that_failed(ada, radio, fake, caplog):
    job = await database_sync_to_async(submit)(radio, ada, "run")
    said, told = [], asyncio.Event()

    async def receive():
        if not said:
            return {"type": "websocket.connect"}
        await told.wait()
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message):
        said.append(message["type"])
        if message["type"] != "websocket.accept":
            told.set()
            raise ConnectionResetError  # as a server does once the other side is gone

    scope = {"type": "websocket", "path": f"/ws/jobs/{job.pk}/", "headers": [], "user": ada}
    await URLRouter(websocket_urlpatterns)(scope, receive, send)

    assert said == ["websocket.accept", "websocket.send"]
    assert caplog.records == []


async def test_a_socket_whose_first_look_fails_does_not_open(ada, radio, fake, monkeypatch):
    job = await database_sync_to_async(submit)(radio, ada, "run")
    monkeypatch.setattr(consumers, "jobs_visible_to", away)
    scope = {"type": "websocket", "path": f"/ws/jobs/{job.pk}/", "headers": [], "user": ada}
    socket = Socket(URLRouter(websocket_urlpatterns), scope)

    await socket.send_input({"type": "websocket.connect"})

    assert (await socket.receive_output(timeout=5))["type"] == "websocket.close"


def away(*_args):
    raise OperationalError("the server is away")
