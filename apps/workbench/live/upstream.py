"""Connections to servers behind unix sockets, kept alive and shared between requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import UnixConnector

from apps.compute.engines.sockets import real_socket

_CONNECTS_WITHIN_S = 10.0
LONGEST_HEADER_BYTES = 1 << 16
"""As Python's own client takes. An answer carries what the model's code logged, up to 16 kB (`atrium.runner`)."""


class _PinnedConnector(UnixConnector):
    """Opens each connection to the socket itself, never through a link in its place (see `real_socket`)."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        try:
            with real_socket(Path(self._path)) as name:
                factory = cast("Callable[[], ResponseHandler]", self._factory)
                _transport, protocol = await asyncio.wait_for(
                    self._loop.create_unix_connection(factory, name),
                    _CONNECTS_WITHIN_S,
                )
        except (OSError, TimeoutError) as error:
            reason = error if isinstance(error, OSError) else OSError(str(error))
            raise UnixClientConnectorError(self._path, req.connection_key, reason) from error
        return protocol


class Upstreams:
    """One client session per socket, closed when it has not been asked for a while. One event loop only."""

    def __init__(self, idle_s: float = 300.0) -> None:
        self._idle_s = idle_s
        self._sessions: dict[Path, tuple[aiohttp.ClientSession, float]] = {}
        self._network: aiohttp.ClientSession | None = None

    def session(self, path: Path) -> aiohttp.ClientSession:
        """The session whose connections go to the socket at `path`."""
        now = asyncio.get_running_loop().time()
        known = self._sessions.get(path)
        session = known[0] if known else self._open(path)
        self._sessions[path] = (session, now)
        return session

    def network(self) -> aiohttp.ClientSession:
        """The session for servers that listen on a port."""
        if self._network is None:
            self._network = self._session(aiohttp.TCPConnector(limit=0, keepalive_timeout=15))
        return self._network

    def _open(self, path: Path) -> aiohttp.ClientSession:
        return self._session(_PinnedConnector(str(path), limit=0, keepalive_timeout=30))

    def _session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECTS_WITHIN_S),
            read_bufsize=1 << 18,
            max_line_size=LONGEST_HEADER_BYTES,
            max_field_size=LONGEST_HEADER_BYTES,
        )

    async def close_idle(self) -> None:
        """Close what nobody used lately and nobody uses now."""
        now = asyncio.get_running_loop().time()
        for path, (session, used) in list(self._sessions.items()):
            connector = session.connector
            busy = connector is not None and bool(connector._acquired)
            if not busy and now - used > self._idle_s:
                del self._sessions[path]
                await session.close()

    async def close(self) -> None:
        """Close everything."""
        for session, _used in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._network is not None:
            await self._network.close()
            self._network = None
