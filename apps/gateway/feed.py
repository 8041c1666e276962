"""The live process's side of the routes: a long poll that answers when keys or routes have changed.

One listener per process hears PostgreSQL's NOTIFY, builds the snapshot once, and wakes every gateway.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from apps.gateway.dataplane.snapshot import dump
from apps.gateway.services import CHANNEL
from apps.gateway.snapshot import build, next_revision

log = logging.getLogger(__name__)

PATH = "/internal/gateway/"
WAIT_SECONDS = 25.0
SETTLE_SECONDS = 0.05
RETRY_SECONDS = 1.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Feed:
    """The newest snapshot of this process, and who waits for the next."""

    def __init__(self) -> None:
        self.revision = -1
        self.body = b""
        self._digest = b""
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen from now on; called at each request, which costs nothing when it does already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen())

    async def after(self, revision: int) -> bytes | None:
        """The snapshot when it is another one than `revision`, at once or within the wait; else None."""
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._news:
                await self._news.wait_for(lambda: self.revision not in (-1, revision))
        except TimeoutError:
            return None
        return self.body

    async def _listen(self) -> None:
        while True:
            try:
                await self._follow()
            except (psycopg.Error, DatabaseError, OSError) as problem:
                log.warning("the routes cannot be read now: %s", problem)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Build, then again after each NOTIFY; those that come in quick succession are one."""
        async with await psycopg.AsyncConnection.connect(listening_address(), autocommit=True) as hearing:
            await hearing.execute(f"LISTEN {CHANNEL}")
            while True:
                await self.rebuild()
                async for _first in hearing.notifies(stop_after=1):
                    pass
                async for _more in hearing.notifies(timeout=SETTLE_SECONDS):
                    pass

    async def rebuild(self) -> None:
        """Read the rows, and wake the gateways when anything is different."""
        revision, body = await sync_to_async(_build, thread_sensitive=False)()
        digest = hashlib.sha256(body[body.index(b"\n") :]).digest()  # all but the revision
        if digest == self._digest:
            return
        async with self._news:
            self._digest, self.revision = digest, revision
            self.body = body
            self._news.notify_all()


def _build() -> tuple[int, bytes]:
    close_old_connections()
    try:
        revision = next_revision()
        return revision, dump(revision, build())
    finally:
        connection.close()


def listening_address() -> str:
    """The database in libpq's words; the one that Django uses, so that tests hear their own."""
    found = settings.DATABASES["default"]
    return psycopg.conninfo.make_conninfo(
        host=found["HOST"] or None,
        port=found["PORT"] or None,
        user=found["USER"] or None,
        password=found["PASSWORD"] or None,
        dbname=connection.settings_dict["NAME"],
    )


_feeds: dict[int, Feed] = {}


def feed() -> Feed:
    """This event loop's feed."""
    return _feeds.setdefault(id(asyncio.get_running_loop()), Feed())


def mounted(rest: Application) -> Application:
    """The live process's HTTP: the gateways' paths here, everything else to `rest`."""

    async def either(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await (application if scope["path"].startswith(PATH) else rest)(scope, receive, send)

    return either


async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """`GET /internal/gateway/snapshot?after=<revision>` with the gateway's token: 200, 204, 400, 401 or 404."""
    status, body = await _answer(scope)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(scope: MutableMapping[str, Any]) -> tuple[int, bytes]:
    if scope["path"] != PATH + "snapshot" or scope["method"] != "GET":
        return 404, b'{"error": "there is only GET /internal/gateway/snapshot"}'
    shown = dict(scope["headers"]).get(b"authorization", b"")
    if not hmac.compare_digest(shown, f"Bearer {settings.ATRIUM.gateway_token}".encode()):
        return 401, b'{"error": "this is for gateways, which know the token"}'
    after = parse_qs(scope["query_string"].decode("latin-1")).get("after", ["-1"])[0]
    if not after.lstrip("-").isdigit():
        return 400, b'{"error": "after must be a revision"}'
    here = feed()
    here.start()
    body = await here.after(int(after))
    return (204, b"") if body is None else (200, body)
