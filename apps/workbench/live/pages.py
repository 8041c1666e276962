"""The terminal's page at a workspace's own origin, where Jupyter's Origin check lets its sockets open."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from apps.workbench.entry import Access
from apps.workbench.live import proxy
from apps.workbench.live.proxy import Scope, Send
from atrium.identity import EDITOR

TERMINAL = "/atrium/terminal"
ASSETS = "/atrium/assets/"

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript",
}
_FILES = frozenset(
    (
        "css/terminal.css",
        "js/terminal.js",
        "vendor/xterm.css",
        "vendor/xterm.mjs",
        "vendor/xterm-addon-fit.mjs",
        "vendor/xterm-addon-search.mjs",
        "vendor/xterm-addon-web-links.mjs",
    )
)


async def asset(scope: Scope, send: Send) -> None:
    """One of the page's few files; they hold nothing of anybody's."""
    name = scope["path"].removeprefix(ASSETS)
    if name not in _FILES:
        await proxy.answer(send, 404, "There is no such file.")
        return
    text, kind = _content(name)
    await proxy.answer(send, 200, text, content_type=kind)


@lru_cache(maxsize=32)
def _content(name: str) -> tuple[str, str]:
    found = finders.find(name)
    assert isinstance(found, str), f"{name} is missing: run `make assets`"
    path = Path(found)
    return path.read_text(encoding="utf-8"), _KINDS[path.suffix]


async def terminal(scope: Scope, send: Send, access: Access) -> None:
    """The page with the terminals of a workspace; who only reads watches those that its owner shares."""
    watching = access.role != EDITOR
    if watching and not access.watches:
        await proxy.answer(send, 403, _("The owner does not share the terminals of this workspace."))
        return
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    language = query.get("lang", ["en"])[0]
    known = language if language in dict(settings.LANGUAGES) else "en"
    with translation.override(known):
        facts = {"language": known, "assets": ASSETS, "watching": watching, "recorded": access.recorded}
        page = render_to_string("workbench/terminal_frame.html", facts)
    host = proxy.header(scope, b"host")
    policy = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # xterm sets its own styles
        "font-src 'self'",
        f"connect-src 'self' ws://{host} wss://{host}",
        f"frame-ancestors {settings.ATRIUM.web_url}",
    ]
    headers = [("content-security-policy", "; ".join(policy))]
    await proxy.answer(send, 200, page, content_type="text/html; charset=utf-8", headers=headers)
