"""A reverse proxy as ASGI: requests and websockets go to a server behind a unix socket, streamed both ways.

The caller decides who may pass and which headers go; here is only transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Protocol

import aiohttp
from django.db import DatabaseError
from multidict import CIMultiDict
from yarl import URL

from apps.core.errors import NotAllowed
from apps.core.problems import close_code

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[str, str]]

LARGEST_SOCKET_MESSAGE = 64 << 20

HOP_BY_HOP = frozenset(
    ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"]
).union(["te", "trailer", "transfer-encoding", "upgrade"])
_OWN_HANDSHAKE = frozenset(
    ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol")
)
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


def headers_of(scope: Scope) -> Headers:
    """The request's headers as text, without those that belong to one connection."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    named = {
        part.strip().lower() for name, value in pairs if name == "connection" for part in value.split(",")
    }
    return [(name, value) for name, value in pairs if name not in HOP_BY_HOP and name not in named]


def header(scope: Scope, name: bytes) -> str:
    """One header's value, or nothing."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def target_of(scope: Scope, base: str = "http://localhost") -> URL:
    """The address to ask for: path and query byte by byte as they came."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return URL(f"{base}{path}{'?' + query if query else ''}", encoded=True)


async def answer(
    send: Send,
    status: int,
    body: str,
    *,
    content_type: str = "text/plain; charset=utf-8",
    headers: Headers = (),  # type: ignore[assignment]
) -> None:
    """A short answer of our own."""
    data = body.encode()
    own = [("content-type", content_type), ("content-length", str(len(data))), ("cache-control", "no-store")]
    own += [("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": _raw(own)})
    await send({"type": "http.response.body", "body": data})


def _raw(pairs: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs]


class Exchange:
    """A request with its answer: told through here, it is known whether anything can still be said of a failure."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.began = self.left = False

    @property
    def is_over(self) -> bool:
        """Whether the answer has begun, or its caller has gone."""
        return self.began or self.left

    async def receive(self) -> Message:
        """The caller's next message."""
        message = await self._receive()
        self.left = self.left or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        self.began = True
        await self._send(message)


class _Inbound:
    """The request's body as it comes, and afterwards the news that the caller has gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = asyncio.Event()
        self.gone = False

    async def body(self) -> AsyncIterator[bytes]:
        """The body's pieces. Raises ConnectionResetError when the caller goes before the end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                self._whole.set()
                raise ConnectionResetError("the caller went away")
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                self._whole.set()
                return

    def no_body(self) -> None:
        """There is none to wait for."""
        self._whole.set()

    async def until_gone(self) -> None:
        """Return when the caller has closed its connection."""
        await self._whole.wait()
        while not self.gone:
            self.gone = (await self._receive())["type"] == "http.disconnect"


def has_body(scope: Scope) -> bool:
    """Whether a request comes with a body."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _value in scope["headers"])


async def forward_http(
    scope: Scope,
    receive: Receive,
    send: Send,
    session: aiohttp.ClientSession,
    headers: Headers,
    *,
    change: Callable[[Headers], Headers] = lambda headers: headers,
    base: str = "http://localhost",
    through: str | None = None,
    withhold: Callable[[aiohttp.ClientResponse], Awaitable[bool]] | None = None,
) -> bool:
    """Pass one request on and its answer back; whether the answer went back.

    `change` gets the answer's headers, `through` is another proxy's address, `withhold` says of an answer that the
    caller gives another one instead. OSError, ClientError: no answer.
    """
    inbound = _Inbound(receive)
    body = inbound.body() if has_body(scope) else None
    if body is None:
        inbound.no_body()
    async with session.request(
        scope["method"],
        target_of(scope, base),
        headers=CIMultiDict(headers),
        data=body,
        allow_redirects=False,
        skip_auto_headers=_NOT_ADDED,
        proxy=through,
    ) as response:
        if withhold is not None and await withhold(response):
            return False
        passing = asyncio.ensure_future(_pass_back(response, send, change))
        watching = asyncio.ensure_future(inbound.until_gone())
        try:
            await asyncio.wait({passing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if passing.done():
                passing.result()
        finally:
            for task in (passing, watching):
                task.cancel()
            await asyncio.gather(passing, watching, return_exceptions=True)
    return True


async def _pass_back(
    response: aiohttp.ClientResponse, send: Send, change: Callable[[Headers], Headers]
) -> None:
    pairs = [(name, value) for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP]
    await send({"type": "http.response.start", "status": response.status, "headers": _raw(change(pairs))})
    async for chunk in response.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def refuse_socket(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    """Refuse a websocket before it opens, with a status where the server can give one."""
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        start: Message = {"type": "websocket.http.response.start", "status": status}
        await send({**start, "headers": [(b"content-type", b"text/plain; charset=utf-8")]})
        await send({"type": "websocket.http.response.body", "body": words.encode()})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": words[:100]})


async def forward_socket(
    scope: Scope,
    receive: Receive,
    send: Send,
    session: aiohttp.ClientSession,
    headers: Headers,
    *,
    why_closed: Callable[[], Awaitable[int]],
    recheck_s: float,
    muted: bool = False,
    tap: Tap | None = None,
) -> None:
    """Join a browser's websocket with the server's, until either closes or `why_closed` gives a code.

    What a `muted` browser sends is dropped: it only watches. A `tap` hears both sides; where it fails, the socket
    does not open, or ends.
    """
    own = [(name, value) for name, value in headers if name not in _OWN_HANDSHAKE]
    try:
        upstream = await session.ws_connect(
            target_of(scope),
            headers=CIMultiDict(own),
            protocols=scope.get("subprotocols") or (),
            max_msg_size=LARGEST_SOCKET_MESSAGE,
            autoclose=True,
            autoping=True,
        )
    except aiohttp.WSServerHandshakeError as error:
        await refuse_socket(scope, receive, send, error.status, error.message)
        return
    except (aiohttp.ClientError, OSError):
        await refuse_socket(scope, receive, send, 503, "The server does not answer.")
        return
    async with upstream:
        try:
            first = await tap.begin() if tap else []
        except (OSError, DatabaseError):
            log.exception("a session that has to be recorded was refused")
            await refuse_socket(scope, receive, send, 503, "The session cannot be recorded.")
            return
        try:
            if (await receive())["type"] != "websocket.connect":
                return
            await send({"type": "websocket.accept", "subprotocol": upstream.protocol})
            for text in first:
                await send({"type": "websocket.send", "text": text})
            heard = _only_the_end(receive) if muted else receive
            await _join(upstream, heard, send, why_closed, recheck_s, tap)
        finally:
            if tap:
                await asyncio.shield(tap.end())


class Tap(Protocol):
    """Hears the messages of a socket as they pass."""

    async def begin(self) -> list[str]:
        """What the browser gets before anything else."""

    def from_server(self, text: str) -> None:
        """Text for the browser."""

    def from_browser(self, text: str) -> None:
        """Text for the server."""

    async def end(self) -> None:
        """The socket has closed."""


def _only_the_end(receive: Receive) -> Receive:
    """Hears nothing of a browser but that it left."""

    async def hear() -> Message:
        while (message := await receive())["type"] != "websocket.disconnect":
            pass
        return message

    return hear


async def _join(
    upstream: aiohttp.ClientWebSocketResponse,
    receive: Receive,
    send: Send,
    why_closed: Callable[[], Awaitable[int]],
    recheck_s: float,
    tap: Tap | None,
) -> None:
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(_to_server(upstream, receive, tap)),
        asyncio.ensure_future(_to_browser(upstream, send, tap)),
        asyncio.ensure_future(_until_refused(why_closed, recheck_s)),
    ]
    browser_left, server_left, refused = tasks
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if any(_failed_to_record(task) for task in (browser_left, server_left)):
        code = 1011
    elif not browser_left.cancelled():
        return
    else:
        code = _code(upstream.close_code) if refused.cancelled() else _why(refused)
    with suppress(RuntimeError, OSError):
        await send({"type": "websocket.close", "code": code})


def _why(refused: asyncio.Future[int]) -> int:
    return close_code(NotAllowed) if refused.exception() else refused.result()


def _failed_to_record(task: asyncio.Future[Any]) -> bool:
    return not task.cancelled() and isinstance(task.exception(), CannotRecord)


class CannotRecord(Exception):
    """A tap failed."""


def _tell(heard: Callable[[str], None], text: str) -> None:
    try:
        heard(text)
    except OSError as error:
        log.exception("a session that has to be recorded ends")
        raise CannotRecord from error


def _code(code: int | None) -> int:
    """A close code that may be sent: 1005, 1006 and 1015 only describe."""
    return 1011 if code is None or code in (1005, 1006, 1015) else code


async def _to_server(upstream: aiohttp.ClientWebSocketResponse, receive: Receive, tap: Tap | None) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = _code(message.get("code"))
            await upstream.close(code=1000 if code == 1011 else code)
            return
        if message.get("bytes") is not None:
            await upstream.send_bytes(message["bytes"])
        elif message.get("text") is not None:
            if tap:
                _tell(tap.from_browser, message["text"])
            await upstream.send_str(message["text"])


async def _to_browser(upstream: aiohttp.ClientWebSocketResponse, send: Send, tap: Tap | None) -> None:
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
        elif message.type is aiohttp.WSMsgType.TEXT:
            if tap:
                _tell(tap.from_server, message.data)
            await send({"type": "websocket.send", "text": message.data})


async def _until_refused(why_closed: Callable[[], Awaitable[int]], recheck_s: float) -> int:
    while True:
        await asyncio.sleep(recheck_s)
        if code := await why_closed():
            return code
