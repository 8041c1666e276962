"""The way from a sandbox to hosts of the network: those on the administrator's list, and what was asked is recorded.

As an HTTP proxy speaks: `CONNECT host:port` opens a tunnel (RFC 9110, 9.3.6), a plain request with the whole
address is passed on. The name is resolved here, and the very address that was judged is connected to.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from channels.db import database_sync_to_async
from django.db import DatabaseError, InterfaceError, OperationalError

from apps.compute import egress
from apps.compute.egress import Rule
from apps.compute.selectors import egress_rules
from apps.compute.services.egress import Asked, Use, record_egress
from apps.core.errors import NotAllowed, Unavailable
from apps.workbench.live import proxy
from apps.workbench.live.proxy import Headers, Receive, Scope, Send
from apps.workbench.live.upstream import LONGEST_HEADER_BYTES

log = logging.getLogger(__name__)

KNOWS_S = 2.0
CONNECTS_WITHIN_S = 15.0
IDLE_S = 600.0
CHUNK = 1 << 16
LONGEST_HEAD = 16_384
MOST_TUNNELS = 128
MOST_HOSTS_NOTED = 200
"""Per workload: further hosts are noted together, so that no code can fill the records."""
OTHERS = "…"
AWAY = (OperationalError, InterfaceError)
"""The database does not answer, and will."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Outside:
    """Lets the sandboxes' connections out, or says why not. One event loop only."""

    def __init__(self) -> None:
        self._rules: list[Rule] | None = None
        self._rules_at = float("-inf")
        self._uses: dict[Asked, Use] = {}
        self._hosts: dict[str, set[str]] = {}
        self._tunnels: Counter[str] = Counter()
        self._session: aiohttp.ClientSession | None = None

    async def keep(self) -> None:
        """Write down what was asked for, each second, until cancelled."""
        try:
            while True:
                await asyncio.sleep(1.0)
                await self._write_down()
        finally:
            await self._write_down()  # what cannot be written now is lost
            if self._session is not None:
                await self._session.close()

    async def _write_down(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await database_sync_to_async(record_egress, thread_sensitive=False)(uses)
        except AWAY as error:
            log.warning("what sandboxes asked of the network is written down later: %s", error)
            for (workload_id, host, port, allowed), use in uses.items():
                self._use(workload_id, host, port, allowed=allowed).add(use)
        except DatabaseError:  # rows that it does not take: kept, they would hold up all that follow
            log.exception("what sandboxes asked of the network was not written down")

    async def rule_for(self, host: str, port: int) -> Rule | None:
        """The entry of the list that opens a host now, two seconds old at most; older while the database is away.

        Raises Unavailable when the list has never been read.
        """
        now = asyncio.get_running_loop().time()
        if now - self._rules_at > KNOWS_S:
            try:
                self._rules = await database_sync_to_async(egress_rules, thread_sensitive=False)()
            except AWAY as error:
                if self._rules is None:
                    raise Unavailable(
                        "the list of hosts cannot be read now; try again in a moment"
                    ) from error
            self._rules_at = now
        assert self._rules is not None
        return egress.rule_for(self._rules, host, port)

    def _use(self, workload_id: str, host: str, port: int, *, allowed: bool) -> Use:
        known = self._hosts.setdefault(workload_id, set())
        if host not in known and len(known) >= MOST_HOSTS_NOTED:
            host, port = OTHERS, 0
        known.add(host)
        return self._uses.setdefault((workload_id, host, port, allowed), Use())

    def forget(self, workload_id: str) -> None:
        """The workload is gone."""
        self._hosts.pop(workload_id, None)

    async def _let_through(self, workload_id: str, host: str, port: int) -> Rule:
        """The entry that lets this workload reach a host. Raises NotAllowed, noting that it was refused."""
        rule = await self.rule_for(host, port)
        self._use(workload_id, host, port, allowed=rule is not None).connections += 1
        if rule is None:
            place = host if port in egress.PLAIN_PORTS else f"{host}:{port}"
            raise NotAllowed(
                f"{place} is not on the list of hosts that sandboxes may reach; an administrator can add it"
            )
        return rule

    # -- tunnels ------------------------------------------------------------------------------------

    async def tunnel(self, workload_id: str, inside: Stream) -> None:
        """Serve one connection that began with CONNECT, to its end."""
        reader, writer = inside
        outside: Stream | None = None
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), CONNECTS_WITHIN_S)
            if self._tunnels[workload_id] >= MOST_TUNNELS:
                raise Unavailable(f"this workload has {MOST_TUNNELS} connections open already")
            self._tunnels[workload_id] += 1
            try:
                host, port = _target(head)
                rule = await self._let_through(workload_id, host, port)
                outside = await _connect(rule, host, port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await self._join(workload_id, (host, port), inside, outside)
            finally:
                self._tunnels[workload_id] -= 1
        except NotAllowed as error:
            await _refuse(writer, 403, error.message)
        except Unavailable as error:
            await _refuse(writer, 502, error.message)
        except (ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError, TimeoutError) as error:
            await _refuse(writer, 400, f"no such request: {error}")
        except OSError:
            pass  # cut short by either side
        finally:
            for stream in (inside, outside):
                if stream is not None:
                    stream[1].close()

    async def _join(self, workload_id: str, place: tuple[str, int], inside: Stream, outside: Stream) -> None:
        """Copy both ways until one side has ended, nothing came for a while, or the host was taken off the list."""
        host, port = place

        def sent(count: int) -> None:
            self._use(workload_id, host, port, allowed=True).bytes_out += count

        def came(count: int) -> None:
            self._use(workload_id, host, port, allowed=True).bytes_in += count

        async def both() -> None:
            await asyncio.gather(_copy(inside[0], outside[1], sent), _copy(outside[0], inside[1], came))

        tasks = [asyncio.ensure_future(one) for one in (both(), self._until_refused(host, port))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_refused(self, host: str, port: int) -> None:
        while await self.rule_for(host, port):
            await asyncio.sleep(2 * KNOWS_S)

    # -- plain HTTP ---------------------------------------------------------------------------------

    async def plain(
        self, workload_id: str, place: str, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        """Pass on one request for a server that speaks no TLS. Raises NotAllowed, Unavailable, ValueError."""
        host, given = egress.split(place)
        port = given or 80
        rule = await self._let_through(workload_id, host, port)
        upstream = _proxy_for("http", host)
        address = host if upstream else (await _resolve(rule, host, port))[0]
        shown = f"[{address}]" if ":" in address else address
        named = [(name, value) for name, value in headers if name != "host"] + [("host", place)]
        base = f"http://{host if upstream else shown}:{port}"
        await proxy.forward_http(
            scope, receive, send, self._plain_session(), named, base=base, through=upstream or None
        )

    def _plain_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTS_WITHIN_S, sock_read=IDLE_S),
                max_line_size=LONGEST_HEADER_BYTES,
                max_field_size=LONGEST_HEADER_BYTES,
            )
        return self._session


def _target(head: bytes) -> tuple[str, int]:
    """Host and port that a CONNECT asks for. Raises ValueError."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
    if len(words) != 3:
        raise ValueError("CONNECT host:port HTTP/1.1 was expected")
    host, port = egress.split(words[1])
    if port is None:
        raise ValueError(f"{host} without a port")
    return host, port


async def _refuse(writer: asyncio.StreamWriter, status: int, words: str) -> None:
    """Answer in place of the tunnel; clients show the reason after the status."""
    reason = words.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " ")[:300]
    body = f"{words}\n".encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    with suppress(OSError, RuntimeError):
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[int], None]
) -> None:
    """Copy until the end, with the writer's pace; then close this direction only."""
    with suppress(OSError):
        while data := await asyncio.wait_for(reader.read(CHUNK), IDLE_S):
            note(len(data))
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def _resolve(rule: Rule, host: str, port: int) -> tuple[str, int]:
    """The address of a host that may be connected to. Raises Unavailable, NotAllowed."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"{host} cannot be found: {error.strerror or error}") from error
    for _family, _kind, _protocol, _name, address in found:
        if egress.may_lead_to(rule, str(address[0])):
            return str(address[0]), port
    raise NotAllowed(f"{host} leads to this machine itself, which a sandbox may not reach by that name")


async def _connect(rule: Rule, host: str, port: int) -> Stream:
    """A connection to the host, through the machine's own proxy where it has one. Raises Unavailable, NotAllowed."""
    try:
        async with asyncio.timeout(CONNECTS_WITHIN_S):
            if upstream := _proxy_for("https", host):
                return await _through(upstream, host, port)
            address, _port = await _resolve(rule, host, port)
            return await asyncio.open_connection(address, port)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{host}:{port} does not answer: {error or 'in time'}") from error


def _proxy_for(scheme: str, host: str) -> str:
    """The proxy that this machine is told to use for a host; nothing where it connects by itself."""
    return "" if proxy_bypass(host) else getproxies().get(scheme, "")


async def _through(upstream: str, host: str, port: int) -> Stream:
    """A tunnel through another proxy. Raises Unavailable."""
    parts = urlsplit(upstream if "//" in upstream else f"http://{upstream}")
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    default = 443 if secure else 80
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or default, ssl=secure)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        head += f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
    writer.write(f"{head}\r\n".encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("latin-1")
    if answer.split()[1:2] != ["200"]:
        writer.close()
        raise Unavailable(f"the proxy of this network refuses {place}: {answer[:200]}")
    return reader, writer
