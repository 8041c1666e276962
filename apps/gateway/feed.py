"""The live process's side of the routes: a long poll that answers when keys or routes have changed.

One listener per process hears PostgreSQL's NOTIFY, reads again what it names, and wakes every gateway, which gets
the changes alone when it has the revision before them.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import parse_qs

import orjson
import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from apps.gateway.dataplane.snapshot import GONE, Lines, changes, join, lines_of
from apps.gateway.services import CHANNEL
from apps.gateway.snapshot import Part, build, next_revision

log = logging.getLogger(__name__)

PATH = "/internal/gateway/"
WAIT_SECONDS = 25.0
SETTLE_SECONDS = 0.05
RETRY_SECONDS = 1.0
WHOLE_SECONDS = 600.0
MOST_CHANGES = 500
MOST_CHANGED = 5000
MOST_NAMED = 200

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Feed:
    """The newest snapshot of this process, the changes that led to it, and who waits for the next."""

    def __init__(self) -> None:
        self.revision = -1
        self._lines: Lines = {}
        self._deployments: dict[str, set[bytes]] = {}
        """The lines of each capability's deployments."""
        self._body: tuple[int, bytes] = (-1, b"")
        self._changes: deque[tuple[int, int, Lines]] = deque(maxlen=MOST_CHANGES)
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen from now on; called at each request, which costs nothing when it does already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen())

    async def after(self, revision: int, *, changes_do: bool = False) -> bytes | None:
        """The snapshot when it is another one than `revision`, at once or within the wait; else None.

        With `changes_do` the changes since that revision are enough, where they are still known.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._news:
                await self._news.wait_for(lambda: self.revision not in (-1, revision))
        except TimeoutError:
            return None
        return (self._since(revision) if changes_do else None) or self._whole()

    def _since(self, revision: int) -> bytes | None:
        """What changed since a revision; None when that is too long ago, or another process's."""
        merged: Lines = {}
        known = False
        for before, _after, lines in self._changes:
            known = known or before == revision
            if known:
                merged |= lines
        return changes(revision, self.revision, merged) if known else None

    def _whole(self) -> bytes:
        if self._body[0] != self.revision:
            self._body = (self.revision, join(self.revision, self._lines))
        return self._body[1]

    async def _listen(self) -> None:
        while True:
            try:
                await self._follow()
            except (psycopg.Error, DatabaseError, OSError) as problem:
                log.warning("the routes cannot be read now: %s", problem)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Read all, then after each NOTIFY what it names; those that come in quick succession are one.

        Everything is read again now and then, for what passes without a word, such as keys long expired.
        """
        async with await psycopg.AsyncConnection.connect(listening_address(), autocommit=True) as hearing:
            await hearing.execute(f"LISTEN {CHANNEL}")
            whole = 0.0
            named = {""}
            while True:
                if "" in named or time.monotonic() - whole > WHOLE_SECONDS:
                    whole = time.monotonic()
                    named = {""}
                await self.rebuild(named)
                named = {note.payload async for note in hearing.notifies(stop_after=1, timeout=WHOLE_SECONDS)}
                named |= {note.payload async for note in hearing.notifies(timeout=SETTLE_SECONDS)}

    async def rebuild(self, named: AbstractSet[str] = frozenset({""})) -> None:
        """Read what the announcements name, or all; wake the gateways when anything is different."""
        part = part_of(named)
        revision, found = await sync_to_async(_read, thread_sensitive=False)(part)
        covered = self._lines.keys() if part is None else self._covered(part, found.pop("slugs"))
        fresh = lines_of(found)
        changed: Lines = {name: item for name, item in fresh.items() if self._lines.get(name) != item}
        changed |= dict.fromkeys(covered - fresh.keys(), GONE)
        if not changed and self.revision != -1:
            return
        async with self._news:
            for name, item in changed.items():
                self._set(name, item)
            if self.revision != -1 and len(changed) <= MOST_CHANGED:
                self._changes.append((self.revision, revision, changed))
            else:
                self._changes.clear()
            self.revision = revision
            self._news.notify_all()

    def _set(self, name: bytes, item: bytes) -> None:
        """Keep a line or forget it, and which capability a deployment's line belongs to."""
        is_deployment = name.startswith(b"deployments ")
        if is_deployment and (before := self._lines.get(name)):
            self._deployments[orjson.loads(before)["capability"]].discard(name)
        if item == GONE:
            del self._lines[name]
            return
        self._lines[name] = item
        if is_deployment:
            self._deployments.setdefault(orjson.loads(item)["capability"], set()).add(name)

    def _covered(self, part: Part, slugs: AbstractSet[str]) -> set[bytes]:
        """The lines that are known of what a part covers: what it does not have any more is gone."""
        names = {f"keys {key}".encode() for key in part.keys} | {
            f"capabilities {slug}".encode() for slug in slugs
        }
        for slug in slugs:
            names |= self._deployments.get(slug, set())
        return names & self._lines.keys()


def part_of(named: AbstractSet[str]) -> Part | None:
    """What to read again for these announcements; None is all of it."""
    words = [name.partition(" ") for name in named]
    if len(words) > MOST_NAMED or any(kind not in ("key", "capability") for kind, _space, _name in words):
        return None
    return Part(
        keys=frozenset(name for kind, _space, name in words if kind == "key"),
        capabilities=frozenset(int(name) for kind, _space, name in words if kind == "capability"),
    )


def _read(part: Part | None) -> tuple[int, dict[str, Any]]:
    close_old_connections()
    try:
        return next_revision(), build(part)
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
    try:
        status, body = await _answer(scope)
    except asyncio.CancelledError:  # the process ends while a gateway waits for news
        status, body = 503, b'{"error": "the portal is stopping; ask again"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(scope: MutableMapping[str, Any]) -> tuple[int, bytes]:
    if scope["path"] != PATH + "snapshot" or scope["method"] != "GET":
        return 404, b'{"error": "there is only GET /internal/gateway/snapshot"}'
    shown = dict(scope["headers"]).get(b"authorization", b"")
    if not hmac.compare_digest(shown, f"Bearer {settings.ATRIUM.gateway_token}".encode()):
        return 401, b'{"error": "this is for gateways, which know the token"}'
    asked = parse_qs(scope["query_string"].decode("latin-1"))
    after = asked.get("after", ["-1"])[0]
    if not after.lstrip("-").isdecimal():
        return 400, b'{"error": "after must be a revision"}'
    here = feed()
    here.start()
    body = await here.after(int(after), changes_do="changes" in asked)
    return (204, b"") if body is None else (200, body)
