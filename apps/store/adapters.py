"""The gateway, called over HTTP like by anybody else."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

TIMEOUT_S = 35
_QUOTA = re.compile(r'"(?P<name>[^"]+)"\s*;\s*r=(?P<left>\d+)(?:\s*;\s*t=(?P<reset>\d+))?')


@dataclass(frozen=True)
class Answer:
    """What the gateway said. `status` 0 means that it could not be reached; `error` says why in words."""

    status: int
    body: dict[str, Any]
    request_id: str = ""
    took_ms: float = 0.0
    quota_left: dict[str, int] = field(default_factory=dict)
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.status == http.HTTPStatus.OK

    @property
    def error(self) -> str:
        """What was wrong, in the gateway's words."""
        return str(self.body.get("detail") or self.body.get("error") or "")


def infer(capability: str, inputs: list[dict[str, Any]], *, key: str, version: str = "") -> Answer:
    """One call of a capability's production route, or of one version among those that it leads to."""
    place = f"{capability}/versions/{version}" if version else capability
    return _post(f"/v2/models/{place}/infer", {"inputs": inputs}, key)


def send_feedback(feedback: Mapping[str, Any], *, key: str) -> Answer:
    """Say whether an answer was right; `feedback` names the request."""
    return _post("/v1/feedback", feedback, key)


def _post(path: str, document: Mapping[str, Any], key: str) -> Answer:
    url = urlsplit(settings.ATRIUM.gateway_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "127.0.0.1", url.port, timeout=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    began = time.perf_counter()
    try:
        connection.request("POST", url.path.rstrip("/") + path, json.dumps(document).encode(), headers)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException):
        return Answer(0, {"detail": _("The gateway does not answer. Try again in a few seconds.")})
    finally:
        connection.close()
    took = (time.perf_counter() - began) * 1000
    left = {m["name"]: int(m["left"]) for m in _QUOTA.finditer(response.getheader("RateLimit") or "")}
    return Answer(
        response.status,
        _json(text),
        request_id=response.getheader("X-Request-Id") or "",
        took_ms=took,
        quota_left=left,
        retry_after=_seconds(response.getheader("Retry-After")),
    )


def _json(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text) if text else {}
    except ValueError:
        return {"detail": text[:500].decode(errors="replace")}
    return document if isinstance(document, dict) else {"detail": document}


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
