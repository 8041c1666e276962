"""The runner's process: listens on a unix socket or TCP, loads its package, and ends in order."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import uvloop

from atrium.runner.http import Server
from atrium.runner.service import Service

BACKLOG = 1024
GRACE_S = 10.0


def serve(package: Path, *, uds: Path | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve a package until SIGTERM or SIGINT; calls under way are answered first, for up to 10 s."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Service(package), uds, host, port))
    os._exit(0)  # a model that hangs in its thread must not keep the process


async def _serve(service: Service, uds: Path | None, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, told.set)
    server = Server(service)
    if uds is not None:
        listening = await loop.create_unix_server(server.connection, sock=_bound(uds), backlog=BACKLOG)
    else:
        listening = await loop.create_server(server.connection, host, port, backlog=BACKLOG)
    loading = asyncio.create_task(service.start())
    await told.wait()
    listening.close()
    await server.drain(GRACE_S)
    loading.cancel()


def _bound(path: Path) -> socket.socket:
    """A unix socket at `path`; whoever may enter its folder may call."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    path.chmod(0o666)
    bound.setblocking(False)
    return bound
