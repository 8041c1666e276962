"""A lean keep-alive HTTP/1.1 client for the runners, on raw asyncio protocols over unix sockets.

httpx costs twenty times and aiohttp three times as much per call, measured on one row of digits.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import httptools

ANSWER_BYTES = 64 << 20
IDLE_PER_REPLICA = 128
RETRY_REPLICA_SECONDS = 1.0
UNUSED_SECONDS = 120.0


class Died(ConnectionError):
    """The connection ended before the answer was complete."""

    def __init__(self, message: str, *, untouched: bool) -> None:
        super().__init__(message)
        self.untouched = untouched
        """Not one byte of an answer had arrived, so the call may go to another replica."""


class TooSlow(TimeoutError):
    """The runner did not answer within the call's deadline."""


@dataclass(slots=True)
class Answer:
    """What a runner said. Header names are lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass(slots=True, eq=False)
class Replica:
    """One runner as this process sees it."""

    address: str
    in_flight: int = 0
    down_until: float = 0.0
    used: float = field(default_factory=time.monotonic)
    idle: list[Link] = field(default_factory=list)

    def ready(self, now: float) -> bool:
        return self.down_until <= now

    def failed(self) -> None:
        """Leave it alone for a moment; called when it refuses or drops a connection."""
        self.down_until = time.monotonic() + RETRY_REPLICA_SECONDS

    def drop_idle(self) -> None:
        """Close the kept connections: the process behind them has gone."""
        while self.idle:
            self.idle.pop().close()


class Link(asyncio.Protocol):
    """One connection to a runner; carries one call at a time."""

    __slots__ = ("answer", "body", "deadline", "headers", "parser", "size", "transport", "used")

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Answer] | None = None
        self.deadline = float("inf")
        self.used = False
        self._clear()

    def _clear(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.size = 0

    def call(self, head: bytes, body: bytes, deadline: float) -> asyncio.Future[Answer]:
        """Send one request; the future ends with its answer, Died or TooSlow."""
        assert self.transport is not None
        self._clear()
        self.answer = asyncio.get_running_loop().create_future()
        self.deadline = deadline
        self.transport.write(head + body if len(body) < 65536 else head)
        if len(body) >= 65536:
            self.transport.write(body)
        return self.answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as problem:
            self.fail(Died(f"its answer is no HTTP: {problem}", untouched=False))
            return
        if self.size > ANSWER_BYTES:
            self.fail(Died(f"its answer is larger than {ANSWER_BYTES} bytes", untouched=False))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        waiting, self.answer = self.answer, None
        self.deadline = float("inf")
        if not self.parser.should_keep_alive():
            self.close()
        if waiting is not None and not waiting.done():
            body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
            waiting.set_result(Answer(self.parser.get_status_code(), self.headers, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.fail(Died("it closed the connection", untouched=self.size == 0))

    def fail(self, problem: Exception) -> None:
        """End the call at work, if any, and the connection with it."""
        waiting, self.answer = self.answer, None
        self.deadline = float("inf")
        self.close()
        if waiting is not None and not waiting.done():
            waiting.set_exception(problem)

    def close(self) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()


class Pool:
    """All replicas that this process has met, with their open connections.

    Replicas survive a change of routes: they are known by their address, a socket's path or `host:port`.
    """

    def __init__(self) -> None:
        self._replicas: dict[str, Replica] = {}
        self._busy: set[Link] = set()

    def replica(self, address: str) -> Replica:
        found = self._replicas.get(address)
        if found is None:
            found = self._replicas[address] = Replica(address)
        return found

    def tick(self) -> None:
        """Called several times a second: end the calls that are past their deadline."""
        now = time.monotonic()
        for link in [link for link in self._busy if link.deadline < now]:
            link.fail(TooSlow())

    def forget_unused(self) -> None:
        """Called now and then: close the connections to replicas that nobody has called for a while."""
        before = time.monotonic() - UNUSED_SECONDS
        for address, replica in list(self._replicas.items()):
            if not replica.in_flight and replica.used < before:
                del self._replicas[address]
                replica.drop_idle()

    async def call(self, replica: Replica, head: bytes, body: bytes, deadline: float) -> Answer:
        """One call on one replica. A kept connection that had just been closed is replaced once.

        Raises Died (also when nothing listens) or TooSlow.
        """
        replica.in_flight += 1
        try:
            while True:
                link, fresh = await self._link(replica)
                try:
                    answer = await self._on(link, head, body, deadline)
                except Died as death:
                    if fresh or not death.untouched:
                        raise
                    replica.drop_idle()
                    continue
                if link.transport is not None and len(replica.idle) < IDLE_PER_REPLICA:
                    replica.idle.append(link)
                else:
                    link.close()
                return answer
        except Died:
            replica.failed()
            raise
        finally:
            replica.in_flight -= 1
            replica.used = time.monotonic()

    async def _on(self, link: Link, head: bytes, body: bytes, deadline: float) -> Answer:
        self._busy.add(link)
        try:
            return await link.call(head, body, deadline)
        finally:
            self._busy.discard(link)

    async def _link(self, replica: Replica) -> tuple[Link, bool]:
        while replica.idle:
            link = replica.idle.pop()
            if link.transport is not None and not link.transport.is_closing():
                return link, False
        return await open_link(replica.address), True


async def open_link(address: str) -> Link:
    """Connect to a socket's path or to `host:port`; raises Died when nothing listens there."""
    loop = asyncio.get_running_loop()
    try:
        if "/" in address:
            _, link = await loop.create_unix_connection(Link, address)
        else:
            host, _, port = address.rpartition(":")
            _, link = await loop.create_connection(Link, host, int(port))
    except OSError as problem:
        raise Died(f"nothing listens at {address}", untouched=True) from problem
    return link
