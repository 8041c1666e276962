"""The content security policy of every page: scripts only by nonce, no eval, no foreign host.

Inline styles stay allowed because Plotly and xterm set them. A view that needs one more source (an IDE frame, a
socket of its own) says so with `allow(request, "frame-src", "http://w5.portal.localhost:8001")`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.functional import SimpleLazyObject

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_HEADER = "Content-Security-Policy"


def live_port(request: HttpRequest) -> int:
    """The port of the live process, which serves websockets on the portal's own host name."""
    return int(settings.ATRIUM.live_port)


def live_origin(request: HttpRequest) -> str:
    """Where this page's websockets go: `ws://<the host that the person typed>:<live port>`."""
    scheme = "wss" if request.is_secure() else "ws"
    host = (
        request.get_host().rsplit(":", 1)[0] if not request.get_host().endswith("]") else request.get_host()
    )
    return f"{scheme}://{host}:{live_port(request)}"


def allow(request: HttpRequest, directive: str, *sources: str) -> None:
    """Let this one response use more sources for a directive."""
    extra: dict[str, list[str]] = request.__dict__.setdefault("csp_extra", {})
    extra.setdefault(directive, []).extend(sources)


def policy_for(request: HttpRequest) -> str:
    """The header's value for this request, with its nonce and what its view allowed."""
    directives: dict[str, list[str]] = {
        "default-src": ["'self'"],
        "script-src": ["'self'", f"'nonce-{request.csp_nonce}'"],  # type: ignore[attr-defined]
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", live_origin(request)],
        "worker-src": ["'self'", "blob:"],
        "frame-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    extra: dict[str, list[str]] = getattr(request, "csp_extra", {})
    for directive, sources in extra.items():
        directives.setdefault(directive, ["'self'"]).extend(sources)
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


class ContentSecurityPolicyMiddleware:
    """Gives each request a nonce (`{{ request.csp_nonce }}`) and each response the policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        nonce: Any = SimpleLazyObject(lambda: secrets.token_urlsafe(16))
        request.csp_nonce = nonce  # type: ignore[attr-defined]
        response = self.get_response(request)
        if _HEADER not in response:
            response[_HEADER] = policy_for(request)
        return response
