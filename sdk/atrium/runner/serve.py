"""HTTP around a Service: uvicorn on uvloop and httptools, without access log, on a unix socket or TCP."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from atrium.runner.service import Reply, Service, refusal

MAX_BODY = 64 << 20
GRACE_S = 10

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Application:
    """The ASGI application."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        if body is None:
            await _send(send, refusal(413, f"the body is larger than {MAX_BODY >> 20} MiB; send fewer items"))
            return
        headers = dict(scope["headers"])
        reply = self._service.answer_now(scope["method"], scope["path"], headers, body)
        if reply is None:
            reply = await self._service.answer(scope["method"], scope["path"], headers, body)
        await _send(send, reply)


async def _read_body(receive: Receive) -> bytes | None:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY:
            return None
    return b"".join(chunks)


async def _send(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def serve(package: Path, *, uds: Path | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve a package until SIGTERM or SIGINT; calls under way are answered first, for up to 10 s."""
    service = Service(package)
    if uds is not None:
        uds.unlink(missing_ok=True)
    config = uvicorn.Config(
        Application(service),
        uds=str(uds) if uds is not None else None,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=1024,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    for ending in (signal.SIGTERM, signal.SIGINT):
        # uvicorn drains on these and then raises them again for whoever listened before: nobody needs to
        signal.signal(ending, lambda *_: None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(server, service))
    os._exit(0)  # a model that hangs in its thread must not keep the process


async def _serve(server: uvicorn.Server, service: Service) -> None:
    loading = asyncio.create_task(service.start())
    await server.serve()
    loading.cancel()
