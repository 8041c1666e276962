"""A lean keep-alive HTTP/1.1 client for the runners, on raw asyncio protocols over unix sockets.

httpx costs twenty times and aiohttp three times as much per call, measured on one row of digits.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_BYTES = 64 << 20
IDLE_PER_REPLICA = 128
RETRY_REPLICA_SECONDS = 1.0
UNUSED_SECONDS = 120.0
KEPT_HEADS = 1024
KEPT_HEAD_BYTES = 512
END = b"\r\n\r\n"
FOREVER = float("inf")


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

    def kept(self) -> Link | None:
        """A connection that is open and free, if there is one; it is the caller's until `keep`."""
        while self.idle:
            link = self.idle.pop()
            if link.transport is not None and not link.transport.is_closing():
                return link
        return None

    def keep(self, link: Link) -> None:
        """Keep a connection for the next call."""
        if link.transport is not None and len(self.idle) < IDLE_PER_REPLICA:
            self.idle.append(link)
        else:
            link.close()

    def drop_idle(self) -> None:
        """Close the kept connections: the process behind them has gone."""
        while self.idle:
            self.idle.pop().close()


class Link(asyncio.Protocol):
    """One connection to a runner; carries one call at a time.

    The heads of its answers differ in little: one whose very bytes were parsed before is looked up instead.
    """

    __slots__ = ("_chunk", "answer", "body", "deadline", "headers", "parser", "size", "transport")

    heads: ClassVar[dict[bytes, tuple[int, dict[bytes, bytes], int]]] = {}
    """Status, headers and length of the body by the bytes of a head."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.answer: Callable[[Answer | Exception], None] | None = None
        self.deadline = FOREVER
        self._chunk: bytes | None = None
        self._clear()

    def _clear(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.size = 0

    def send(
        self, head: bytes, body: bytes, deadline: float, answer: Callable[[Answer | Exception], None]
    ) -> None:
        """Send one request; `answer` is called once, with its answer, Died or TooSlow."""
        assert self.transport is not None
        self.size = 0
        self.answer = answer
        self.deadline = deadline
        if len(body) < 65536:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    async def call(self, head: bytes, body: bytes, deadline: float) -> Answer:
        """The same for who can wait; raises Died or TooSlow."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(found: Answer | Exception) -> None:
            if waiting.done():
                return
            if isinstance(found, Answer):
                waiting.set_result(found)
            else:
                waiting.set_exception(found)

        self.send(head, body, deadline, answered)
        return await waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        if self.size == 0 and self.answer is not None:
            end = data.find(END) + len(END)
            known = self.heads.get(data[:end])
            if known is not None and len(data) - end == known[2]:
                self._end(Answer(known[0], known[1], data[end:]))
                return
            self._clear()
            self._chunk = data
        self.size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as problem:
            self.fail(Died(f"its answer is no HTTP: {problem}", untouched=False))
            return
        self._chunk = None
        if self.size > ANSWER_BYTES:
            self.fail(Died(f"its answer is larger than {ANSWER_BYTES} bytes", untouched=False))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        self.body = []
        if self.parser.should_keep_alive():
            self._remember(status, len(body))
        else:
            self.close()
        self._end(Answer(status, self.headers, body))

    def _remember(self, status: int, length: int) -> None:
        """Keep the head's bytes when the whole answer came in one piece, and its head says how long it is."""
        chunk, self._chunk = self._chunk, None
        if chunk is None or b"transfer-encoding" in self.headers:
            return
        end = chunk.find(END) + len(END)
        declared = self.headers.get(b"content-length")
        if end <= KEPT_HEAD_BYTES and declared == b"%d" % length and len(chunk) == end + length:
            if len(self.heads) >= KEPT_HEADS:
                self.heads.clear()
            self.heads[chunk[:end]] = (status, self.headers, length)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.fail(Died("it closed the connection", untouched=self.size == 0))

    def fail(self, problem: Exception) -> None:
        """End the call at work, if any, and the connection with it."""
        self.close()
        self._end(problem)

    def _end(self, found: Answer | Exception) -> None:
        answer, self.answer = self.answer, None
        self.deadline = FOREVER
        if answer is not None:
            answer(found)

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

    def send(
        self,
        replica: Replica,
        head: bytes,
        body: bytes,
        deadline: float,
        answer: Callable[[Answer | Exception], None],
    ) -> bool:
        """One call over a kept connection, without waiting; False, and nothing is sent, when there is none.

        `answer` is called with its answer, TooSlow or Died; a death that left it untouched may be that of a connection
        which had just been closed: then `call` is to be tried.
        """
        link = replica.kept()
        if link is None:
            return False

        def answered(found: Answer | Exception) -> None:
            self._busy.discard(link)
            replica.in_flight -= 1
            if type(found) is Answer:
                replica.keep(link)
            elif isinstance(found, Died):
                if found.untouched:
                    replica.drop_idle()
                else:
                    replica.failed()
            answer(found)

        replica.in_flight += 1
        replica.used = time.monotonic()
        self._busy.add(link)
        link.send(head, body, deadline, answered)
        return True

    async def call(self, replica: Replica, head: bytes, body: bytes, deadline: float) -> Answer:
        """One call on one replica. A kept connection that had just been closed is replaced once.

        Raises Died (also when nothing listens) or TooSlow.
        """
        replica.in_flight += 1
        try:
            while True:
                kept = replica.kept()
                link = kept or await open_link(replica.address)
                try:
                    answer = await self._on(link, head, body, deadline)
                except Died as death:
                    if kept is None or not death.untouched:
                        raise
                    replica.drop_idle()
                    continue
                replica.keep(link)
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
