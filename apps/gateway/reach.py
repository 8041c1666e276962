"""Whether the gateway answers, and knows a new key: whoever is handed one can use it at once."""

from __future__ import annotations

import http.client
import time
from urllib.parse import quote, urlsplit

from django.conf import settings

WITHIN_S = 2.0
PAUSE_S = 0.03


def wait_until_known(slug: str, secret: str, *, within: float = WITHIN_S) -> bool:
    """Ask a gateway about the key until it no longer answers 401. False: not within the time, or no gateway answers.

    Changes reach a gateway within two seconds anyway; the wait only spares the caller the refusals until then.
    """
    until = time.monotonic() + within
    while (status := _status(slug, secret)) == http.HTTPStatus.UNAUTHORIZED:
        if time.monotonic() >= until:
            return False
        time.sleep(PAUSE_S)
    return status != 0


def answers() -> bool:
    """Whether a gateway answers the portal now. Over the network, so outside of a transaction."""
    return _asked("/healthz", {}) != 0


def _status(slug: str, secret: str) -> int:
    """The gateway's answer to "is this model ready?", asked with the key; 0 when there is no answer."""
    return _asked(f"/v2/models/{quote(slug)}/ready", {"Authorization": f"Bearer {secret}"})


def _asked(path: str, headers: dict[str, str]) -> int:
    """The status of the gateway's answer; 0 when there is none."""
    url = urlsplit(settings.ATRIUM.gateway_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "127.0.0.1", url.port, timeout=1)
    try:
        connection.request("GET", url.path.rstrip("/") + path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
