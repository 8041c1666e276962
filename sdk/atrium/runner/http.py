"""HTTP/1.1 for the runner, on asyncio and llhttp: what its callers need and no more.

An ASGI server costs a multiple of what a small model takes to answer. Callers repeat themselves: a head whose very
bytes were parsed before is looked up instead. Requests on one connection are answered one after the other.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools

from atrium.runner.service import Headers, Reply, refusal

HEAD_BYTES = 32 << 10
BODY_BYTES = 64 << 20
KEPT_HEADS = 1024
KEPT_HEAD_BYTES = 1024
END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Head:
    """What stands above a body. Header names are lower case."""

    __slots__ = ("headers", "keep_alive", "length", "method", "path")

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.headers: dict[bytes, bytes] = {}
        self.keep_alive = True
        self.length = -1
        """Bytes of the body, where the head alone says so and nothing has to be done before they come; else -1."""


class Application(Protocol):
    """What answers requests: at once where it can, else by a coroutine. Neither raises."""

    def answer_now(self, method: str, path: str, headers: Headers, body: bytes) -> Reply | None: ...

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Coroutine[Any, Any, Reply]: ...


class Server:
    """The open connections, and the heads that came over them."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}
        self.closing = False

    def connection(self) -> "Connection":
        """The protocol factory for `create_server`."""
        return Connection(self)

    def keep(self, raw: bytes, head: Head) -> None:
        """Remember a head by its bytes."""
        if len(self.heads) >= KEPT_HEADS:
            self.heads.clear()
        self.heads[raw] = head

    async def drain(self, seconds: float) -> None:
        """Let the calls under way end, then close everything. Called at shutdown."""
        self.closing = True
        until = self.loop.time() + seconds
        while self.loop.time() < until and any(connection.busy for connection in self.connections):
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """Reads a request, has it answered, writes the answer, and reads the next."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.busy = False
        self._heads = server.heads
        self._application = server.application
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[tuple[Head, bytes]] = deque()
        self._receiving = self._refused = self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._chunk: bytes | None = None

    # --- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        self.server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if not (self._receiving or self.busy or self._refused):
            end = data.find(END) + len(END)
            head = self._heads.get(data[:end])
            if head is not None and len(data) - end == head.length:
                self._answer(head, data[end:])
                return
            self._chunk = data
        self._feed(data)
        self._chunk = None

    def _feed(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "this is HTTP/1.1 only; leave out the Upgrade header")
        except httptools.HttpParserCallbackError as problem:
            if not isinstance(problem.__context__, _Refused):
                raise
            self._refuse(*problem.__context__.args)
        except httptools.HttpParserError as problem:
            self._refuse(400, f"this is no valid HTTP/1.1 request: {problem}")

    def eof_received(self) -> bool:
        """A half-closed caller still gets the answer to what it asked."""
        self._ended = True
        return self.busy

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._queue.clear()
        self.server.connections.discard(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # --- the parser's side

    def on_message_begin(self) -> None:
        self._receiving = True
        self._head = Head()
        self._url = b""
        self._size = 0
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.headers[name.lower()] = value
        self._count(len(name) + len(value))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > HEAD_BYTES:
            raise _Refused(431, f"the address and headers are larger than {HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        self._size = 0
        if self._head.headers.get(b"expect", b"").lower() == b"100-continue" and self._transport:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._size += len(body)
        if self._size > BODY_BYTES:
            raise _Refused(413, f"the body is larger than {BODY_BYTES >> 20} MiB; send fewer items")

    def on_message_complete(self) -> None:
        self._receiving = False
        head, body = self._head, b"".join(self._body)
        self._body = []
        head.method = self._parser.get_method().decode("latin-1")
        head.path = _path_of(self._url)
        head.keep_alive = self._parser.should_keep_alive()
        self._remember(head, len(body))
        if self.busy:
            self._queue.append((head, body))
            if self._transport is not None:
                self._transport.pause_reading()
        else:
            self._answer(head, body)

    def _remember(self, head: Head, length: int) -> None:
        """Keep the head's bytes when this request alone came in one piece, and its head says how long it is."""
        chunk, self._chunk = self._chunk, None
        if chunk is None or not head.keep_alive:
            return
        end = chunk.find(END) + len(END)
        declared = int(head.headers.get(b"content-length", b"0"))
        special = b"expect" in head.headers or b"transfer-encoding" in head.headers
        if end <= KEPT_HEAD_BYTES and len(chunk) - end == length == declared and not special:
            head.length = length
            self.server.keep(chunk[:end], head)

    # --- answering

    def _answer(self, head: Head, body: bytes) -> None:
        reply = self._application.answer_now(head.method, head.path, head.headers, body)
        if reply is not None:
            self._send(head, reply)
            return
        self.busy = True
        self._task = self.server.loop.create_task(self._answer_later(head, body))

    async def _answer_later(self, head: Head, body: bytes) -> None:
        reply = await self._application.answer(head.method, head.path, head.headers, body)
        self.busy, self._task = False, None
        self._send(head, reply)
        while self._queue and not self.busy and head.keep_alive and self._transport is not None:
            head, body = self._queue.popleft()
            if not self._queue:
                self._transport.resume_reading()
            self._answer(head, body)

    def _send(self, head: Head, reply: Reply) -> None:
        transport = self._transport
        if transport is None:
            return
        keep = head.keep_alive and not self.server.closing and (not self._ended or bool(self._queue))
        lines = b"".join([b"\r\n%b: %b" % header for header in reply.headers]) if reply.headers else b""
        transport.write(
            b"%bcontent-type: %b\r\ncontent-length: %d%b%b%b"
            % (
                STATUS_LINES[reply.status],
                reply.content_type,
                len(reply.body),
                lines,
                END if keep else b"\r\nconnection: close\r\n\r\n",
                b"" if head.method == "HEAD" else reply.body,
            )
        )
        if not keep:
            transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what was no request, and hang up."""
        self._refused = True
        head = Head()
        head.keep_alive = False
        self._send(head, refusal(status, message))


class _Refused(Exception):
    """Out of the parser's callbacks: status and message."""


def _path_of(url: bytes) -> str:
    if url[:1] != b"/":
        return ""
    return (httptools.parse_url(url).path or b"").decode("latin-1")
