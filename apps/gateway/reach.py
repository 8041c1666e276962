"""Waits until the gateway knows a new key, so that whoever is handed one can use it at once."""

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


def _status(slug: str, secret: str) -> int:
    """The gateway's answer to "is this model ready?", asked with the key; 0 when there is no answer."""
    url = urlsplit(settings.ATRIUM.gateway_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "127.0.0.1", url.port, timeout=1)
    try:
        path = f"{url.path.rstrip('/')}/v2/models/{quote(slug)}/ready"
        connection.request("GET", path, headers={"Authorization": f"Bearer {secret}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
