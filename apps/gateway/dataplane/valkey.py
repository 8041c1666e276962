"""A lean client for the shared counters: one connection, pipelined, scripts by digest."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable

_pack: Callable[[tuple[bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]

TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 0.5


class Away(ConnectionError):
    """The shared counters cannot be reached now."""


class Script:
    """A Lua script, known to the server by its SHA-1 after the first use."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Valkey(asyncio.Protocol):
    """Connects when first asked, and again half a second after a failure."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = hiredis.Reader()
        self._connecting: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._oldest = 0.0

    @property
    def away(self) -> bool:
        """Whether the last try failed, a moment ago."""
        return time.monotonic() < self._away_until

    async def run(self, script: Script, keys: list[str], arguments: list[str | int | float]) -> Any:
        """Run a script. Raises Away."""
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._command("EVALSHA", script.digest, *rest)
        except hiredis.ReplyError as problem:
            if not str(problem).startswith("NOSCRIPT"):
                raise
        return await self._command("EVAL", script.text, *rest)

    async def _command(self, *words: Any) -> Any:
        if self.away:
            raise Away
        try:
            if self._transport is None:
                await self._connect()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._send(*words)
        except (OSError, TimeoutError) as problem:
            self._lost()
            raise Away(str(problem)) from problem

    def _send(self, *words: Any) -> asyncio.Future[Any]:
        if self._transport is None:
            raise Away
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(_pack(tuple(map(_word, words))))
        return answer

    async def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._open())
        try:
            await asyncio.shield(self._connecting)
        finally:
            if self._connecting is not None and self._connecting.done():
                self._connecting = None

    async def _open(self) -> None:
        url, loop = self._url, asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if url.scheme == "unix":
                await loop.create_unix_connection(lambda: self, unquote(url.path))
            else:
                secured = True if url.scheme == "rediss" else None
                await loop.create_connection(
                    lambda: self, url.hostname or "127.0.0.1", url.port or 6379, ssl=secured
                )
            if url.password:
                user = [unquote(url.username)] if url.username else []
                await self._send("AUTH", *user, unquote(url.password))
            database = parse_qs(url.query).get("db", [url.path.strip("/") if url.scheme != "unix" else ""])[0]
            if database and database != "0":
                await self._send("SELECT", database)

    def _lost(self) -> None:
        self._away_until = time.monotonic() + RETRY_SECONDS
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(Away())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._lost()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            answer = self._waiting.popleft()
            if answer.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)


def _word(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
