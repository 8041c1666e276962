"""One gateway process: builds the parts, listens, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from apps.gateway.dataplane.calllog import CallLog
from apps.gateway.dataplane.feed import Feed
from apps.gateway.dataplane.http import Server
from apps.gateway.dataplane.limits import Limiter
from apps.gateway.dataplane.metrics import Metrics, memory_bytes
from apps.gateway.dataplane.service import Parts, Service
from apps.gateway.dataplane.snapshot import Snapshot
from apps.gateway.dataplane.upstream import Pool
from apps.gateway.dataplane.valkey import Valkey

if TYPE_CHECKING:
    from apps.gateway.dataplane.config import Config

log = logging.getLogger("atrium.gateway")

DRAIN_SECONDS = 8.0
BACKLOG = 1024


def run(config: Config, index: int, unix: socket.socket | None) -> None:
    """Serve until SIGTERM or SIGINT. Called once per process."""
    uvloop.run(Process(config, index).serve(unix))


class Process:
    """The parts of one process and the tasks beside the calls."""

    def __init__(self, config: Config, index: int) -> None:
        self.config = config
        self.name = f"{index}-{time.time_ns():x}"
        self.index = index
        self.started = time.time()

    async def serve(self, unix: socket.socket | None) -> None:
        config = self.config
        calls = CallLog(config, self.name)
        valkey = Valkey(config.valkey_url) if config.valkey_url else None
        limiter = Limiter(calls.folder, valkey, config.processes)
        metrics = Metrics(Path(config.state_dir), str(self.index))
        parts = Parts(config, Snapshot.empty(), Pool(), limiter, calls, metrics)
        feed = Feed(config, parts.swap)
        feed.load()
        server = Server(config, Service(parts))
        parts.health = lambda: self._health(feed, limiter, server)
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        listening = await self._listen(server, unix)
        tasks = [asyncio.create_task(calls.keep_syncing()), asyncio.create_task(self._tick(parts, server))]
        if config.live_url:
            tasks.append(asyncio.create_task(feed.follow()))
        await _until_told(tasks)
        for listener in listening:
            listener.close()
        await server.drain(DRAIN_SECONDS)
        for task in tasks:
            task.cancel()
        await limiter.close()
        metrics.remove()
        calls.close()

    async def _listen(self, server: Server, unix: socket.socket | None) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        listening = [
            await loop.create_server(
                server.connection, self.config.bind, self.config.port, reuse_port=True, backlog=BACKLOG
            )
        ]
        if unix is not None:
            listening.append(await loop.create_unix_server(server.connection, sock=unix, backlog=BACKLOG))
        log.info("gateway process %s listens on %s:%s", self.name, self.config.bind, self.config.port)
        return listening

    async def _tick(self, parts: Parts, server: Server) -> None:
        """The slow clock: deadlines four times a second, the rest each second."""
        beat = 0
        while True:
            await asyncio.sleep(0.25)
            beat += 1
            parts.pool.tick()
            if beat % 4:
                continue
            server.tick()
            parts.pool.forget_unused()
            parts.metrics.set("atrium_gateway_connections", len(server.connections))
            parts.metrics.set("atrium_gateway_memory_bytes", memory_bytes())
            parts.metrics.set("atrium_gateway_log_records_total", parts.calls.written)
            parts.metrics.save()
            try:
                await parts.limiter.tick()
            except Exception:
                log.exception("the limits could not be reported")

    def _health(self, feed: Feed, limiter: Limiter, server: Server) -> dict[str, Any]:
        return {
            "status": "ok",
            "process": self.name,
            "pid": os.getpid(),
            "uptime_s": round(time.time() - self.started, 1),
            "centre_seen_s_ago": round(time.monotonic() - feed.seen, 1) if feed.seen else None,
            "quotas": "own share only: the shared counters are away" if limiter.degraded else "exact",
            "connections": len(server.connections),
            "memory_bytes": memory_bytes(),
        }


async def _until_told(tasks: list[asyncio.Task[None]]) -> None:
    """Return at SIGTERM or SIGINT; raise what ended one of the tasks."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waiting = asyncio.create_task(told.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if task is not waiting:
            task.result()
    with contextlib.suppress(asyncio.CancelledError):
        waiting.cancel()
