"""The door of each sandbox: a unix socket by which its code reaches the portal, and nothing else.

The workload is known by the socket. What goes on carries the caller's bearer token, but no cookie and no
claim about where it came from.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvicorn
from uvicorn.server import ServerState

from apps.workbench import sockets
from apps.workbench.live import proxy
from apps.workbench.live.proxy import Headers, Receive, Scope, Send

log = logging.getLogger(__name__)

LOOKS_EVERY_S = 0.2
_DROPPED = frozenset(("cookie", "forwarded", "host", "x-real-ip", "origin", "referer"))

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

    def __init__(self, workload_id: str, ways: list[Way]) -> None:
        self.workload_id, self._ways = workload_id, ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what leads somewhere, refuse the rest."""
        if scope["type"] != "http":
            return
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
        except (aiohttp.ClientError, ConnectionResetError):
            return  # cut short; uvicorn closes the connection


async def _refuse(send: Send, status: int, words: str) -> None:
    problem = {"type": "about:blank", "title": "Sandbox", "status": status, "detail": words, "error": words}
    headers = [("retry-after", "2")] if status == 503 else []
    await proxy.answer(
        send, status, json.dumps(problem), content_type="application/problem+json", headers=headers
    )


class Doors:
    """Opens a door for each workload that may have one, and closes it when the workload is gone."""

    def __init__(self, run_dir: Path, workloads_dir: Path, ways: list[Way]) -> None:
        self._run_dir, self._workloads_dir, self._ways = run_dir, workloads_dir, ways
        self._open: dict[str, asyncio.Server] = {}
        self._without: set[str] = set()

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
            for server in self._open.values():
                server.close()

    async def look(self) -> None:
        """Open and close once."""
        here = set(os.listdir(self._run_dir)) if self._run_dir.is_dir() else set()  # noqa: PTH208 - 5 times a second
        for gone in set(self._open) - here:
            self._open.pop(gone).close()
        self._without &= here
        for workload_id in here - set(self._open) - self._without:
            wanted = self._wants_a_door(workload_id)
            if wanted:
                with suppress(FileNotFoundError):
                    self._open[workload_id] = await self._serve(workload_id)
            elif wanted is False:
                self._without.add(workload_id)

    def _wants_a_door(self, workload_id: str) -> bool | None:
        """Whether the workload may reach the portal; None while it is being prepared."""
        try:
            spec = json.loads((self._workloads_dir / workload_id / "spec.json").read_bytes())
        except (OSError, ValueError):
            return None
        return bool(spec.get("network") == "forwarder")

    async def _serve(self, workload_id: str) -> asyncio.Server:
        listener = sockets.listen(self._run_dir / workload_id / "egress.sock")
        options = uvicorn.Config(
            Door(workload_id, self._ways),
            lifespan="off",
            ws="none",
            access_log=False,
            proxy_headers=False,
            log_config=None,
        )
        options.load()
        state = ServerState()

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = options.http_protocol_class(  # type: ignore[call-arg]
                config=options, server_state=state, app_state={}
            )
            return made

        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(protocol, sock=listener)
        log.info("door of %s is open", workload_id)
        return server
