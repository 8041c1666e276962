"""Where a sandbox's door leads: REST, MLflow, the gateway."""

from __future__ import annotations

from django.conf import settings

from apps.workbench.live import proxy
from apps.workbench.live.door import Passage, Way
from apps.workbench.live.proxy import Headers, Receive, Scope, Send
from apps.workbench.live.upstream import Upstreams


def ways(upstreams: Upstreams) -> list[Way]:
    """All of them; whatever is not here, a sandbox does not reach."""
    gateway = _to_gateway(upstreams)
    return [Way("/api/", _to_web(upstreams)), Way("/v2", gateway), Way("/v1/feedback", gateway)]


def _to_web(upstreams: Upstreams) -> Passage:
    """REST, as a caller from this machine."""

    async def passage(scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        port, bound = settings.ATRIUM.web_port, settings.ATRIUM.bind
        host = "127.0.0.1" if bound in ("0.0.0.0", "::") else bound  # noqa: S104 - compared, not bound
        named = [*headers, ("host", f"127.0.0.1:{port}")]
        base = f"http://{host}:{port}"
        await proxy.forward_http(scope, receive, send, upstreams.network(), named, base=base)

    return passage


def _to_gateway(upstreams: Upstreams) -> Passage:
    """Inference and feedback, over the gateway's own socket."""

    async def passage(scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        session = upstreams.session(settings.ATRIUM.run_dir / "gateway.sock")
        await proxy.forward_http(scope, receive, send, session, [*headers, ("host", "gateway")])

    return passage
