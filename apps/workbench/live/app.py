"""The live process by host name: the portal's own websockets, workspaces, MLflow; and the sandboxes' doors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from apps.compute.adapters import sockets_dir, workloads_dir
from apps.workbench.entry import MLFLOW
from apps.workbench.live import proxy
from apps.workbench.live.door import Doors, Way
from apps.workbench.live.experiments import Experiments
from apps.workbench.live.origins import RECHECK_S, Doorkeeper, Workspaces, local_origin, origin_of
from apps.workbench.live.outside import Outside
from apps.workbench.live.proxy import Headers, Receive, Scope, Send
from apps.workbench.live.upstream import Upstreams
from apps.workbench.live.ways import ways
from apps.workbench.tracking import PREFIX

log = logging.getLogger(__name__)
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_TIDY_S = 60.0


class LiveApplication:
    """Routes by Host header; everything that is no origin of its own goes to the portal's application."""

    def __init__(self, portal: Application, *, fresh_s: float = 5.0, recheck_s: float = RECHECK_S) -> None:
        self._portal = portal
        self._upstreams = Upstreams()
        doorkeeper = Doorkeeper(fresh_s)
        self._workspaces = Workspaces(self._upstreams, doorkeeper, recheck_s)
        self._experiments = Experiments(self._upstreams, doorkeeper)
        self._running: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        origin = origin_of(proxy.header(scope, b"host"))
        if origin == MLFLOW:
            await self._experiments.by_cookie(scope, receive, send, origin)
        elif origin is not None:
            await self._workspaces(scope, receive, send, origin)
        elif scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            await self._experiments.by_token(scope, receive, send)
        elif found := local_origin(scope["path"]):
            await self._workspaces.by_path(scope, receive, send, *found)
        else:
            await self._portal(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                outside = Outside()
                found = [*ways(self._upstreams), self._experiments_way()]
                doors = Doors(sockets_dir(), workloads_dir(), found, outside)
                keeping = (self._tidy(), doors.keep(), outside.keep())
                self._running = [asyncio.create_task(one) for one in keeping]
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
                await self._upstreams.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _experiments_way(self) -> Way:
        async def passage(scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
            raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            await self._experiments.by_token({**scope, "headers": raw}, receive, send)

        return Way(PREFIX, passage)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_S)
            with suppress(OSError):
                await self._upstreams.close_idle()
