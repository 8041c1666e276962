"""The door of each sandbox: a unix socket by which its code reaches the portal, and hosts on the allow-list.

The workload is known by the socket. What goes on to the portal carries the caller's bearer token, but no cookie
and no claim about where it came from.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import aiohttp
import uvicorn
from uvicorn.server import ServerState

from apps.core.errors import NotAllowed, Unavailable
from apps.workbench import sockets
from apps.workbench.live import proxy
from apps.workbench.live.outside import CHUNK, Outside, Stream
from apps.workbench.live.proxy import Headers, Receive, Scope, Send
from atrium.forwarder import PORT

log = logging.getLogger(__name__)

LOOKS_EVERY_S = 0.2
_OWN_NAMES = frozenset(
    ["", *(f"{host}{port}" for host in ("127.0.0.1", "localhost") for port in ("", f":{PORT}"))]
)
_DROPPED = frozenset(("cookie", "forwarded", "host", "x-real-ip", "origin", "referer"))

_TUNNEL = b"CONNECT "

Passage = Callable[[Scope, Receive, Send, Headers], Awaitable[None]]


@dataclass(frozen=True)
class Way:
    """Paths that begin with `prefix` go through `passage`."""

    prefix: str
    passage: Passage

    def leads(self, path: str) -> bool:
        """Whether this path goes here: the prefix itself, or something below it."""
        return path == self.prefix.rstrip("/") or path.startswith(self.prefix.rstrip("/") + "/")


class Door:
    """ASGI for one sandbox."""

    def __init__(self, workload_id: str, ways: list[Way], outside: Outside) -> None:
        self.workload_id, self._ways, self._outside = workload_id, ways, outside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what leads somewhere, refuse the rest."""
        if scope["type"] != "http":
            return
        exchange = proxy.Exchange(receive, send)
        place = proxy.header(scope, b"host").lower()
        try:
            if place in _OWN_NAMES:
                await self._to_the_portal(scope, exchange.receive, exchange.send)
            else:
                await self._to_the_outside(place, scope, exchange.receive, exchange.send)
        except (aiohttp.ClientError, ConnectionResetError) as error:
            if exchange.is_over:
                return  # cut short by either side; uvicorn closes the connection
            log.warning("%s asked for %s and got no answer: %s", self.workload_id, scope["path"], error)
            await _refuse(send, 502, f"{place or 'The portal'} gave no answer that can be read: {error}")

    async def _to_the_outside(self, place: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers = proxy.headers_of(scope)
        try:
            await self._outside.plain(self.workload_id, place, scope, receive, send, headers)
        except (NotAllowed, Unavailable) as error:
            await _refuse(send, 403 if isinstance(error, NotAllowed) else 502, error.message)
        except (aiohttp.ClientConnectorError, ValueError) as error:
            await _refuse(send, 502, f"{place} does not answer: {error}")

    async def _to_the_portal(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        plain = ".." not in path.split("/") and "\\" not in path and "//" not in path
        way = next((way for way in self._ways if plain and way.leads(path)), None)
        if way is None:
            await _refuse(send, 403, f"The sandbox may not reach {path}.")
            return
        kept = [
            (name, value)
            for name, value in proxy.headers_of(scope)
            if name not in _DROPPED and not name.startswith(("x-forwarded-", "x-atrium-"))
        ]
        try:
            await way.passage(scope, receive, send, kept)
        except aiohttp.ClientConnectorError:
            await _refuse(send, 503, "This part of the portal is starting or away. Try again soon.")


async def _refuse(send: Send, status: int, words: str) -> None:
    problem = {"type": "about:blank", "title": "Sandbox", "status": status, "detail": words, "error": words}
    headers = [("retry-after", "2")] if status == 503 else []
    await proxy.answer(
        send, status, json.dumps(problem), content_type="application/problem+json", headers=headers
    )


_Stamp = tuple[int, int]
"""Of the file that describes a workload: its inode, when it was written (ns)."""


class Doors:
    """Opens a door for each workload that may have one, and closes it when the workload is gone."""

    def __init__(self, run_dir: Path, workloads_dir: Path, ways: list[Way], outside: Outside) -> None:
        self._run_dir, self._workloads_dir, self._ways = run_dir, workloads_dir, ways
        self._outside = outside
        self._known: dict[str, tuple[_Stamp, asyncio.Server | None]] = {}

    async def keep(self) -> None:
        """Look again and again until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except OSError:
                    log.exception("the sandboxes' doors: tried again soon")
                await asyncio.sleep(LOOKS_EVERY_S)
        finally:
            for _stamp, server in self._known.values():
                if server is not None:
                    server.close()

    async def look(self) -> None:
        """Open and close once. A workload that was started anew under its name gets a new door."""
        here = set(os.listdir(self._run_dir)) if self._run_dir.is_dir() else set()  # noqa: PTH208 - 5 times a second
        stamps = {workload_id: self._stamp(workload_id) for workload_id in here}
        for gone in [each for each, (stamp, _server) in self._known.items() if stamps.get(each) != stamp]:
            _stamp, server = self._known.pop(gone)
            if server is not None:
                server.close()
            self._outside.forget(gone)
        for workload_id, stamp in stamps.items():
            if stamp is None or workload_id in self._known:
                continue
            with suppress(FileNotFoundError, ValueError):
                server = await self._serve(workload_id) if self._wants_a_door(workload_id) else None
                self._known[workload_id] = (stamp, server)

    def _stamp(self, workload_id: str) -> _Stamp | None:
        """Tells a workload from the next one of its name; None while it is being prepared."""
        try:
            found = (self._workloads_dir / workload_id / "spec.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _wants_a_door(self, workload_id: str) -> bool:
        """Whether the workload may reach the portal. Raises FileNotFoundError, ValueError."""
        spec = json.loads((self._workloads_dir / workload_id / "spec.json").read_bytes())
        return bool(spec.get("network") == "forwarder")

    async def _serve(self, workload_id: str) -> asyncio.Server:
        listener = sockets.listen(self._run_dir / workload_id / "egress.sock")
        options = uvicorn.Config(
            Door(workload_id, self._ways, self._outside),
            http="httptools",
            lifespan="off",
            ws="none",
            access_log=False,
            proxy_headers=False,
            log_config=None,
        )
        options.load()
        state = ServerState()

        def served() -> asyncio.Protocol:
            made: asyncio.Protocol = options.http_protocol_class(  # type: ignore[call-arg]
                config=options, server_state=state, app_state={}
            )
            return made

        async def tunnel(stream: Stream) -> None:
            await self._outside.tunnel(workload_id, stream)

        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: _FirstBytes(served, tunnel), sock=listener)
        log.info("door of %s is open", workload_id)
        return server


class _FirstBytes(asyncio.Protocol):
    """Decides by how a connection begins whether it becomes a tunnel or is served as HTTP."""

    _running: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(
        self, served: Callable[[], asyncio.Protocol], tunnel: Callable[[Stream], Awaitable[None]]
    ) -> None:
        self._served, self._tunnel = served, tunnel
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if len(self._seen) < len(_TUNNEL) and _TUNNEL.startswith(self._seen):
            return
        if self._seen.startswith(_TUNNEL):
            self._become_a_tunnel()
        else:
            self._become(self._served())

    def _become(self, protocol: asyncio.Protocol) -> None:
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._seen)

    def _become_a_tunnel(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        self._become(protocol)
        writer = asyncio.StreamWriter(self._transport, protocol, reader, loop)
        task = loop.create_task(cast("Coroutine[Any, Any, None]", self._tunnel((reader, writer))))
        self._running.add(task)  # the loop keeps only weak references
        task.add_done_callback(self._running.discard)
