"""A lean HTTP/1.1 server on asyncio and llhttp.

Why not an ASGI server: none of them ends a client that sends half a header, each costs about as much per
call as all of the gateway, and the interface knows no back-pressure on a slow reader. One connection has
one request at work; pipelined ones wait, and with one waiting nothing more is read.

Clients repeat themselves: a head whose very bytes were parsed before is looked up instead of parsed again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools

from apps.gateway.dataplane.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apps.gateway.dataplane.config import Config

HEADER_BYTES = 32 << 10
KEPT_HEADS = 4096
KEPT_HEAD_BYTES = 1024
END = b"\r\n\r\n"
SPECIAL = frozenset((b"expect", b"transfer-encoding", b"upgrade"))
FOREVER = float("inf")
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


class Head:
    """What stands above a body; requests with the same bytes share it. Header names are lower case."""

    __slots__ = ("headers", "keep_alive", "length", "method", "path", "query", "target")

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        self.keep_alive = True
        self.length = -1
        """Bytes of the body, where the head alone says so and nothing has to be done before they come; else -1."""
        self.target: Any = None
        """What the handler made of it."""


class Request:
    """One request, complete when the handler sees it."""

    __slots__ = ("body", "head", "peer", "started")

    def __init__(self, head: Head, body: bytes, peer: str) -> None:
        self.head = head
        self.body = body
        self.peer = peer
        self.started = time.perf_counter()


class Response:
    """Status, header lines and body; the length and the date are added when it is sent."""

    __slots__ = ("body", "content_type", "lines", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        lines: bytes = b"",
        content_type: bytes = b"application/json",
    ) -> None:
        self.status = status
        self.body = body
        self.lines = lines
        """Each begins with a line break, see `lines_of`."""
        self.content_type = content_type


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as a response takes them."""
    return b"".join([b"\r\n%b: %b" % header for header in headers])


class Handler(Protocol):
    """What the server calls for each complete request. `handle` never raises, and sends one response, now or later."""

    def handle(self, request: Request, send: Callable[[Response], None]) -> None: ...

    def refuse(self, refusal: Refused) -> Response: ...


class Server:
    """The open connections of this process and the clock that ends the slow ones."""

    def __init__(self, config: Config, handler: Handler) -> None:
        self.config = config
        self.handler = handler
        self.connections: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}
        self.closing = False
        self.date = formatdate(usegmt=True).encode()

    def connection(self) -> Connection:
        """The protocol factory for `create_server`."""
        return Connection(self)

    def keep(self, raw: bytes, head: Head) -> None:
        """Remember a head by its bytes."""
        if len(self.heads) >= KEPT_HEADS:
            self.heads.clear()
        self.heads[raw] = head

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
        while time.monotonic() < until and any(c.request for c in self.connections):
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """Reads one request, hands it on, writes the answer, and reads the next."""

    __slots__ = (
        "_body",
        "_chunk",
        "_full",
        "_head",
        "_heads",
        "_queue",
        "_receiving",
        "_refused",
        "_size",
        "_url",
        "deadline",
        "ended",
        "parser",
        "peer",
        "request",
        "server",
        "transport",
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.request: Request | None = None
        """The one at work."""
        self.peer = ""
        self.ended = False
        self.deadline = 0.0
        self._heads = server.heads
        self._refused = False
        self._receiving = False
        self._full = False
        self._queue: deque[Request] = deque()
        self._chunk: bytes | None = None
        self._reset()

    def _reset(self) -> None:
        self._head = Head()
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0

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
        if not self._receiving and self._free():
            end = data.find(END) + len(END)
            head = self._heads.get(data[:end])
            if head is not None and len(data) - end == head.length:
                self._start(Request(head, data[end:], self.peer))
                return
            self._chunk = data
        self._feed(data)
        self._chunk = None

    def _free(self) -> bool:
        """Whether the next request can be started: none is at work, and the client takes its answers."""
        return self.request is None and not self._queue and not self._full

    def _feed(self, data: bytes) -> None:
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
        return self.request is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.ended = True
        self._queue.clear()
        self.server.connections.discard(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write: it has a while to catch up, and is not listened to meanwhile."""
        self._full = True
        self.deadline = time.monotonic() + self.server.config.write_seconds
        if self.transport:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self.deadline = time.monotonic() + self.server.config.idle_seconds
        self._next()

    # --- the parser's side

    def on_message_begin(self) -> None:
        self._receiving = True
        self.deadline = time.monotonic() + self.server.config.header_seconds
        self._reset()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        self._head.headers[name.lower()] = value

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > HEADER_BYTES:
            raise Refused(431, f"The request's address and headers are larger than {HEADER_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        headers = self._head.headers
        config = self.server.config
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > config.body_bytes:
            raise too_large(int(declared), config.body_bytes)
        self._size = 0
        self.deadline = time.monotonic() + config.body_seconds
        if headers.get(b"expect", b"").lower() == b"100-continue" and self.transport:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._size += len(body)
        if self._size > self.server.config.body_bytes:
            raise too_large(self._size, self.server.config.body_bytes)

    def on_message_complete(self) -> None:
        self._receiving = False
        parser, head = self.parser, self._head
        url = httptools.parse_url(self._url) if self._url[:1] == b"/" else None
        head.method = parser.get_method().decode("latin-1")
        head.path = url.path.decode("latin-1") if url and url.path else ""
        head.query = (url.query if url else b"") or b""
        head.keep_alive = parser.should_keep_alive()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        self._remember(head, len(body))
        request = Request(head, body, self.peer)
        if self._free():
            self._start(request)
            return
        self._queue.append(request)
        if self.transport:
            self.transport.pause_reading()

    def _remember(self, head: Head, length: int) -> None:
        """Keep the head's bytes when this request alone came in one piece, and its head says how long it is."""
        chunk, self._chunk = self._chunk, None
        if chunk is None or not head.keep_alive or not SPECIAL.isdisjoint(head.headers):
            return
        end = chunk.find(END) + len(END)
        declared = head.headers.get(b"content-length", b"0")
        if end <= KEPT_HEAD_BYTES and declared == b"%d" % length and len(chunk) == end + length:
            head.length = length
            self.server.keep(chunk[:end], head)

    # --- answering

    def _start(self, request: Request) -> None:
        self.deadline = FOREVER  # the call has a deadline of its own
        self.request = request
        self.server.handler.handle(request, self.respond)

    def respond(self, response: Response) -> None:
        """Write the answer to the request at work, and turn to the next one."""
        request, self.request = self.request, None
        assert request is not None
        head = request.head
        keep = head.keep_alive and not self.server.closing and not (self.ended and not self._queue)
        self.send(response, keep_alive=keep, head=head.method == "HEAD")
        if self._queue and keep:
            self._next()

    def _next(self) -> None:
        """Start a request that waits; with none, listen again."""
        if self._queue:
            asyncio.get_running_loop().call_soon(
                self._start_waiting
            )  # answered at once, many would pile up here
        elif self.transport and not self.transport.is_closing():
            self.transport.resume_reading()

    def _start_waiting(self) -> None:
        if self.request is not None or self._full or not self._queue or self.transport is None:
            return
        request = self._queue.popleft()
        if not self._queue:
            self.transport.resume_reading()
        self._start(request)

    def send(self, response: Response, *, keep_alive: bool, head: bool = False) -> None:
        """Write an answer; a connection that is not kept is closed after it."""
        transport = self.transport
        if transport is None:
            return
        server = self.server
        self.deadline = time.monotonic() + server.config.idle_seconds
        body = response.body
        transport.write(
            b"%bcontent-type: %b\r\ncontent-length: %d\r\ndate: %b%b%b%b"
            % (
                STATUS_LINES[response.status],
                response.content_type,
                len(body),
                server.date,
                response.lines,
                END if keep_alive else b"\r\nconnection: close\r\n\r\n",
                b"" if head else body,
            )
        )
        if not keep_alive:
            transport.close()

    def refuse(self, refusal: Refused) -> None:
        """Answer what was not even a request, and hang up."""
        self._refused = True
        if self.transport and not self.transport.is_closing():
            self.send(self.server.handler.refuse(refusal), keep_alive=False)

    def expire(self) -> None:
        """Called past the deadline: 408 in the middle of a request, else just close."""
        self.deadline = FOREVER
        if self.transport is None or self.request is not None:
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
