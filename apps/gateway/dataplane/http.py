"""A lean HTTP/1.1 server on asyncio and llhttp.

Why not an ASGI server: none of them ends a client that sends half a header, each costs about as much per
call as all of the gateway, and the interface knows no back-pressure on a slow reader. One connection has
one request at work; pipelined ones wait, and with one waiting nothing more is read.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from apps.gateway.dataplane.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from apps.gateway.dataplane.config import Config

HEADER_BYTES = 32 << 10
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


class Request:
    """One request, complete when the handler sees it. Header names are lower case."""

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "peer", "query", "started")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.method = ""
        self.path = ""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True
        self.started = 0.0


class Response:
    """Status, headers and body; the length and the date are added when it is sent."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        headers: Headers | None = None,
        content_type: bytes = b"application/json",
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers or []
        self.content_type = content_type


class Handler(Protocol):
    """What the server calls for each complete request; it never raises."""

    def handle(self, request: Request) -> Coroutine[object, object, Response]: ...

    def refuse(self, refusal: Refused) -> Response: ...


class Server:
    """The open connections of this process and the clock that ends the slow ones."""

    def __init__(self, config: Config, handler: Handler) -> None:
        self.config = config
        self.handler = handler
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.closing = False
        self.date = formatdate(usegmt=True).encode()

    def connection(self) -> Connection:
        """The protocol factory for `create_server`."""
        return Connection(self)

    def tick(self) -> None:
        """Called every second: end connections past their deadline."""
        self.date = formatdate(usegmt=True).encode()
        now = time.monotonic()
        for connection in [c for c in self.connections if c.deadline < now]:
            connection.expire()

    async def drain(self, seconds: float) -> None:
        """Let the calls in flight end, then close everything. Called at shutdown."""
        self.closing = True
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(c.task for c in self.connections):
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """Reads one request, hands it on, writes the answer, and reads the next."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_header_bytes",
        "_queue",
        "_receiving",
        "_refused",
        "_url",
        "deadline",
        "ended",
        "parser",
        "peer",
        "request",
        "server",
        "task",
        "transport",
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.request: Request | None = None
        self.peer = ""
        self.ended = False
        self.deadline = 0.0
        self._refused = False
        self._receiving = False
        self._queue: list[Request] = []
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._header_bytes = 0

    # --- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else ""
        server = self.server
        server.connections.add(self)
        self.deadline = time.monotonic() + server.config.header_seconds
        if len(server.connections) > server.config.connections:
            self.refuse(Refused(503, "The gateway has too many open connections; try again.", retry_after=1))

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.refuse(Refused(400, "The gateway speaks HTTP/1.1 only; drop the Upgrade header."))
        except httptools.HttpParserCallbackError as problem:
            if not isinstance(problem.__context__, Refused):
                raise
            self.refuse(problem.__context__)
        except httptools.HttpParserError as problem:
            self.refuse(Refused(400, f"This is no valid HTTP/1.1 request: {problem}."))

    def eof_received(self) -> bool:
        """A half-closed client still gets the answer of a complete request, nothing else."""
        self.ended = True
        return self.task is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.ended = True
        self.server.connections.discard(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write: it has a while to catch up."""
        self.deadline = time.monotonic() + self.server.config.write_seconds

    def resume_writing(self) -> None:
        self.deadline = time.monotonic() + self.server.config.idle_seconds

    # --- the parser's side

    def on_message_begin(self) -> None:
        self._receiving = True
        self.request = Request(self.peer)
        self.deadline = time.monotonic() + self.server.config.header_seconds
        self._reset()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self.request is not None
        self._count(len(name) + len(value))
        self.request.headers[name.lower()] = value

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEADER_BYTES:
            raise Refused(431, f"The request's address and headers are larger than {HEADER_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        request = self.request
        assert request is not None
        config = self.server.config
        declared = request.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > config.body_bytes:
            raise too_large(int(declared), config.body_bytes)
        self.deadline = time.monotonic() + config.body_seconds
        if request.headers.get(b"expect", b"").lower() == b"100-continue" and self.transport:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > self.server.config.body_bytes:
            raise too_large(self._body_bytes, self.server.config.body_bytes)

    def on_message_complete(self) -> None:
        request = self.request
        assert request is not None
        parser = self.parser
        url = httptools.parse_url(self._url) if self._url[:1] == b"/" else None
        request.method = parser.get_method().decode("latin-1")
        request.path = url.path.decode("latin-1") if url and url.path else ""
        request.query = (url.query if url else b"") or b""
        request.keep_alive = parser.should_keep_alive() and not self.server.closing
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request.started = time.perf_counter()
        self._body = []
        self._receiving = False
        if self.task is None:
            self._start(request)
        else:
            self._queue.append(request)
            if self.transport:
                self.transport.pause_reading()

    # --- answering

    def _start(self, request: Request) -> None:
        self.deadline = float("inf")  # the call has a deadline of its own
        self.task = self.server.loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response = await self.server.handler.handle(request)
        self.task = None
        keep = request.keep_alive and not (self.ended and not self._queue)
        self.send(response, keep_alive=keep, head=request.method == "HEAD")
        if keep and self._queue:
            self._start(self._queue.pop(0))
            if not self._queue and self.transport:
                self.transport.resume_reading()

    def send(self, response: Response, *, keep_alive: bool, head: bool = False) -> None:
        """Write the answer; a connection that is not kept is closed after it."""
        transport = self.transport
        if transport is None:
            return
        self.deadline = time.monotonic() + self.server.config.idle_seconds
        parts = [
            STATUS_LINES[response.status],
            b"content-type: ",
            response.content_type,
            b"\r\ncontent-length: %d\r\ndate: " % len(response.body),
            self.server.date,
        ]
        for name, value in response.headers:
            parts += (b"\r\n", name, b": ", value)
        parts.append(b"\r\n\r\n" if keep_alive else b"\r\nconnection: close\r\n\r\n")
        if not head:
            parts.append(response.body)
        transport.write(b"".join(parts))
        if not keep_alive:
            transport.close()

    def refuse(self, refusal: Refused) -> None:
        """Answer what was not even a request, and hang up."""
        self._refused = True
        if self.transport and not self.transport.is_closing():
            self.send(self.server.handler.refuse(refusal), keep_alive=False)

    def expire(self) -> None:
        """Called past the deadline: 408 in the middle of a request, else just close."""
        self.deadline = float("inf")
        if self.transport is None or self.task is not None:
            return
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
        elif self._receiving and not self._refused:
            self.refuse(Refused(408, "The request did not arrive in time; send it without pauses."))
        else:
            self.close()

    def close(self) -> None:
        if self.transport:
            self.transport.close()


def too_large(size: int, limit: int) -> Refused:
    """The refusal of a body above the limit."""
    return Refused(413, f"The body has {size} bytes, the limit is {limit}: send fewer rows per call.")
