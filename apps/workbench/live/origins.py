"""The origins of the live process besides the portal's own: one per workspace, one for MLflow.

A person enters with a ticket, gets a cookie of this origin alone, and is looked up again and again. A program, such
as a local editor, shows a personal token with each request instead. Towards the server behind it go no cookie and
no credential of the portal's, only the signed identity.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from urllib.parse import parse_qs, quote

import aiohttp
from channels.db import database_sync_to_async
from django.conf import settings
from django.utils.html import escape
from django.utils.translation import gettext as _

from apps.compute.services import workload_socket
from apps.core.errors import NotAllowed
from apps.core.problems import close_code
from apps.workbench import entry, identity
from apps.workbench.entry import Access
from apps.workbench.live import pages, proxy
from apps.workbench.live.proxy import Headers, Message, Receive, Scope, Send
from apps.workbench.live.recorder import Recorder
from apps.workbench.live.upstream import Upstreams
from atrium.identity import EDITOR

log = logging.getLogger(__name__)

#: Cookies know no ports: workspaces of two portals on one machine have the same names of hosts.
COOKIE = "atrium_entry" + ("" if settings.ATRIUM.live_port == 8001 else f"_{settings.ATRIUM.live_port}")
ENTER = "/atrium/enter"
RECHECK_S = 10.0
REFUSED, COME_AGAIN = close_code(NotAllowed), 1012
"""Codes with which a socket is closed: nothing is to be had here any more; connect anew."""
_WORKSPACE = re.compile(r"w[1-9][0-9]{0,17}")
_BY_PATH = re.compile(r"/workspaces/([1-9][0-9]{0,17})(/.*)")
_NEVER_UPSTREAM = frozenset(("authorization", "cookie", "forwarded", "x-real-ip"))
_BLOCKED = re.compile(r"/+api/+shutdown/*$")
_WRITES = re.compile(r"/+(api/+collaboration|api/+kernels|terminals)/")
"""Sockets by which documents, kernels and terminals are written to."""
_FOR_PROGRAMS = re.compile(r"/api(/|$)|/terminals/websocket/")
_OF_DATA = frozenset(
    (b"content-type", b"content-length", b"content-encoding", b"last-modified", b"etag", b"retry-after")
)
_NO_PAGE = [
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]
_TERMINALS = re.compile(r"/terminals/websocket/\w+/?$")
_READS = ("GET", "HEAD", "OPTIONS")
_KNOWN_AT_MOST = 10_000
_RETURNS_WITHIN_S, _LOOKS_EVERY_S = 20.0, 0.3
_MOST_SAID = 300


def origin_of(host: str) -> str | None:
    """The origin's name for a Host header below the live address, such as `w5` or `mlflow`; None for others."""
    name, _dot, rest = host.lower().partition(".")
    parent = settings.ATRIUM.live_url.partition("://")[2]
    if rest != parent:
        return None
    return name if name == entry.MLFLOW or _WORKSPACE.fullmatch(name) else None


def address_of(origin: str) -> str:
    """The origin as browsers spell it."""
    scheme, _sep, parent = settings.ATRIUM.live_url.partition("://")
    return f"{scheme}://{origin}.{parent}"


class Doorkeeper:
    """Knows for a few seconds what each cookie opens, so that a page's many requests ask the database once."""

    def __init__(self, fresh_s: float = 5.0) -> None:
        self._fresh_s = fresh_s
        self._known: dict[tuple[str, str], tuple[Access | None, float]] = {}

    async def access(self, cookie: str, origin: str) -> Access | None:
        """What the cookie opens now, at most `fresh_s` seconds old."""
        if not cookie:
            return None
        return await self._fresh(entry.access_of, cookie, origin)

    async def access_of(self, scope: Scope, origin: str) -> Access | None:
        """What this request or socket opens now: by its cookie, else by the token that a program shows."""
        cookie, token = cookies_of(scope).get(COOKIE, ""), token_of(scope)
        if token and not cookie:
            return await self._fresh(entry.access_by_token, token, origin)
        return await self.access(cookie, origin)

    async def _fresh(
        self, find: Callable[[str, str], Access | None], secret: str, origin: str
    ) -> Access | None:
        now = asyncio.get_running_loop().time()
        access, at = self._known.get((secret, origin), (None, float("-inf")))
        if now - at > self._fresh_s:
            access = await database_sync_to_async(find, thread_sensitive=False)(secret, origin)
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()
            self._known[secret, origin] = (access, now)
        return access


class Workspaces:
    """ASGI for `w<id>.…`: a workspace's Jupyter server."""

    def __init__(self, upstreams: Upstreams, doorkeeper: Doorkeeper, recheck_s: float = RECHECK_S) -> None:
        self._upstreams, self._doorkeeper, self._recheck_s = upstreams, doorkeeper, recheck_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        """Answer one request or websocket for `origin`."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, origin)
        elif scope["path"] == ENTER:
            await enter(scope, send, origin, landing="/lab")
        elif scope["path"].startswith(pages.ASSETS):
            await pages.asset(scope, send)
        else:
            await self._request(scope, receive, send, origin)

    async def by_path(self, scope: Scope, receive: Receive, send: Send, origin: str, path: str) -> None:
        """Answer a program that came by /workspaces/<id>/…, which is on the portal's host name.

        With a token only, for Jupyter's API only, and nothing of the answer counts as a page of that host.
        """
        if not token_of(scope) or not _FOR_PROGRAMS.match(path):
            words = _("Programs reach Jupyter's API here with Authorization: token atr_…")
            if scope["type"] == "websocket":
                await proxy.refuse_socket(scope, receive, send, 401, words)
            else:
                await proxy.answer(send, 401, words)
            return

        async def send_data(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] in _OF_DATA]
                message = {**message, "headers": [*kept, *_NO_PAGE]}
            await send(message)

        whole = scope.get("raw_path") or scope["path"].encode()
        raw = whole.partition(f"/workspaces/{origin[1:]}".encode())[2]
        await self({**scope, "path": path, "raw_path": raw}, receive, send_data, origin)

    async def _request(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        access = await self._doorkeeper.access_of(scope, origin)
        if access is None and token_of(scope):
            await proxy.answer(send, 401, _("This token opens no workspace here. Make one on your profile."))
        elif access is None:
            await must_enter(send, f"/workspaces/{origin[1:]}/")
        elif not access.running:
            await _not_running(send, f"/workspaces/{origin[1:]}/")
        elif scope["path"] == pages.TERMINAL:
            await pages.terminal(scope, send, access)
        elif _BLOCKED.match(scope["path"]):
            await proxy.answer(send, 403, _("A workspace is stopped in the portal."))
        elif access.role != EDITOR and scope["method"] not in _READS:
            await proxy.answer(send, 403, _("You may only read in this workspace."))
        else:
            await self._forward(scope, receive, send, origin, access)

    async def _forward(
        self, scope: Scope, receive: Receive, send: Send, origin: str, access: Access | None
    ) -> None:
        """Pass a request on. What only reads waits for a server that was killed and comes back in seconds.

        The Lab takes a single failure of the question what became of a cell for the end of the cell.
        """
        until = asyncio.get_running_loop().time() + _RETURNS_WITHIN_S
        waits = scope["method"] in ("GET", "HEAD") and not proxy.has_body(scope)
        exchange = proxy.Exchange(receive, send)
        while access is not None and access.running:
            session = self._upstreams.session(workload_socket(access.workload_id))
            try:
                headers = _upstream_headers(scope, access)
                await proxy.forward_http(
                    without_token(scope), exchange.receive, exchange.send, session, headers, change=_harmless
                )
            except aiohttp.ClientConnectionError:
                if exchange.began:
                    return  # it was cut short; uvicorn closes the connection
                if not waits or asyncio.get_running_loop().time() > until:
                    break
                await asyncio.sleep(_LOOKS_EVERY_S)
                access = await self._doorkeeper.access_of(scope, origin)
            except (aiohttp.ClientError, ConnectionResetError) as error:
                if exchange.is_over:
                    return  # the same, or nobody waits for it
                log.warning("%s answered %s so that it cannot be read: %s", origin, scope["path"], error)
                words = _("The workspace's server gave an answer that cannot be read: %(why)s")
                await proxy.answer(send, 502, words % {"why": str(error)[:_MOST_SAID]})
                return
            else:
                return
        await _not_running(send, f"/workspaces/{origin[1:]}/")

    async def _socket(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        access = await self._doorkeeper.access_of(scope, origin)
        if access is None or not access.running:
            await proxy.refuse_socket(scope, receive, send, 403, "Enter through the portal.")
            return
        role, watching = access.role, bool(_TERMINALS.match(scope["path"]))
        muted = role != EDITOR and watching and access.watches
        if role != EDITOR and _WRITES.match(scope["path"]) and not muted:
            await proxy.refuse_socket(scope, receive, send, 403, "You may only read in this workspace.")
            return

        recorded = watching and not muted and access.recorded

        async def why_closed() -> int:
            now = await self._doorkeeper.access_of(scope, origin)
            if now is None or not now.running or now.role != role or (muted and not now.watches):
                return REFUSED
            return COME_AGAIN if watching and not muted and now.recorded != recorded else 0

        await proxy.forward_socket(
            without_token(scope),
            receive,
            send,
            self._upstreams.session(workload_socket(access.workload_id)),
            _upstream_headers(scope, access, watching=muted),
            why_closed=why_closed,
            recheck_s=self._recheck_s,
            muted=muted,
            tap=Recorder(access, scope["path"].rstrip("/").rpartition("/")[2]) if recorded else None,
        )


async def enter(scope: Scope, send: Send, origin: str, *, landing: str) -> None:
    """Redeem the ticket in the address and send the browser on to the page that it came for."""
    if scope["method"] != "GET":
        await proxy.answer(send, 405, "GET only.")
        return
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    ticket, onward = query.get("ticket", [""])[0], query.get("next", [landing])[0]
    cookie = await database_sync_to_async(entry.redeem_ticket, thread_sensitive=False)(ticket, origin)
    if cookie is None:
        await must_enter(send, "/workspaces/")
        return
    if not onward.startswith("/") or onward.startswith(("//", "/\\")):
        onward = landing
    secure = "; Secure" if settings.ATRIUM.live_url.startswith("https:") else ""
    age = int(entry.COOKIE_LIVES.total_seconds())
    set_cookie = f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}"
    onward = quote(onward, safe="/?&=%#:@+,;~-._")
    await proxy.answer(send, 303, "", headers=[("location", onward), ("set-cookie", set_cookie)])


def cookies_of(scope: Scope) -> dict[str, str]:
    """The request's cookies."""
    pairs = (part.partition("=") for part in _cookie_parts(scope))
    return {name.strip(): value.strip().strip('"') for name, _equals, value in pairs}


def token_of(scope: Scope) -> str:
    """The personal token that a program shows, as Jupyter's clients do: in Authorization or as ?token=."""
    scheme, _space, secret = proxy.header(scope, b"authorization").partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return secret.strip()
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("token", [""])[0]


def without_token(scope: Scope) -> Scope:
    """The request without a token in its query: the server behind runs people's code."""
    query = scope.get("query_string", b"")
    kept = [part for part in query.split(b"&") if part.partition(b"=")[0] != b"token"]
    return {**scope, "query_string": b"&".join(kept)} if b"token=" in query else scope


def local_origin(path: str) -> tuple[str, str] | None:
    """(origin, the rest) of /workspaces/<id>/…, by which programs reach a workspace without its host name."""
    match = _BY_PATH.fullmatch(path)
    return (f"w{match[1]}", match[2]) if match else None


def _upstream_headers(scope: Scope, access: Access, *, watching: bool = False) -> Headers:
    """What the server behind gets: the browser's headers without credentials, and who it is."""
    passed = [
        (name, value)
        for name, value in proxy.headers_of(scope)
        if name not in _NEVER_UPSTREAM and not name.startswith(("x-atrium-", "x-forwarded-"))
    ]
    own = "; ".join(part for part in _cookie_parts(scope) if not part.startswith("atrium_"))
    if own:
        passed.append(("cookie", own))
    by = "watching" if watching else "token" if access.by_token else ""
    who = identity.header_for(
        access.workload_id, user=access.username, name=access.name, role=access.role, by=by
    )
    return [*passed, (identity.HEADER, who)]


def _cookie_parts(scope: Scope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    return [part.strip() for value in values for part in value.split(";") if part.strip()]


def _harmless(headers: Headers) -> Headers:
    """The server's headers, with cookies kept to its own origin: user code may have written them."""
    return [
        (name, _own_cookie(value) if name.lower() == "set-cookie" else value)
        for name, value in headers
        if not (name.lower() == "set-cookie" and value.strip().lower().startswith("atrium_"))
    ]


def _own_cookie(value: str) -> str:
    return ";".join(part for part in value.split(";") if not part.strip().lower().startswith("domain"))


async def must_enter(send: Send, path: str) -> None:
    """Answer somebody without a way in; `path` is the portal's page that gives one."""
    words = _("Your way in has expired. Open the page in the portal again.")
    await _page(send, 403, words, path)


async def _not_running(send: Send, path: str) -> None:
    await _page(send, 503, _("The workspace is not running. Start it in the portal."), path)


async def _page(send: Send, status: int, words: str, path: str) -> None:
    url = escape(settings.ATRIUM.web_url + path)
    text = f'<!doctype html><meta charset="utf-8"><title>Atrium</title><p>{escape(words)}</p>'
    link = f'<p><a href="{url}" target="_top">{url}</a></p>'
    policy = f"default-src 'none'; frame-ancestors {settings.ATRIUM.web_url}"
    headers = [("content-security-policy", policy)]
    await proxy.answer(send, status, text + link, content_type="text/html; charset=utf-8", headers=headers)
