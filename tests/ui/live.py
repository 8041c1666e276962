"""The live process's websockets beside `live_server`, in this process: to be ended and started while pages are open."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvicorn
from asgiref.typing import ASGIApplication
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.db import connections

from portal.routing import websocket_urlpatterns


def websockets_for(origin: str) -> Callable[[], ASGIApplication]:
    """Makes the portal's websockets for pages of `origin`."""
    routed = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
    return lambda: ProtocolTypeRouter({"websocket": OriginValidator(routed, [origin])})


class Live:
    """Serves an application, made anew for each start, on one port for as long as the test lasts."""

    def __init__(
        self, make: Callable[[], ASGIApplication], close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._make, self._close = make, close
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve from now on."""
        config = uvicorn.Config(
            self._make(), host="127.0.0.1", port=self.port, lifespan="off", log_level="warning"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=[self._server], daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the websockets do not start"
            self._thread.join(0.01)

    def end(self) -> None:
        """Cut every connection off and let nobody in."""
        if self._server is None or self._thread is None:
            return
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the websockets do not end"
        self._server = self._thread = None

    def _run(self, server: uvicorn.Server) -> None:
        async def serve() -> None:
            try:
                await server.serve()
            finally:
                if self._close is not None:
                    await self._close()
                # The thread of the consumers' queries would keep the test's database open.
                with suppress(asyncio.CancelledError):
                    await database_sync_to_async(connections.close_all)()

        asyncio.run(serve())
