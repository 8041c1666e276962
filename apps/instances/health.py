"""Asks runners over their unix sockets whether they are ready."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apps.core.telling import in_english, sentence

TIMEOUT_S = 1.0
_THREADS = 8
_MOST_BYTES = 16 << 10


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("runner", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def is_ready(path: str, timeout: float = TIMEOUT_S) -> bool:
    """Whether the runner behind a socket answers GET /v2/health/ready with 200 in time."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("GET", "/v2/health/ready", headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def words(path: str, timeout: float = TIMEOUT_S) -> str:
    """Why a runner says that it is not ready; empty when it says nothing in time."""
    return _sentence(_told(path, timeout))


def failure(path: str, timeout: float = TIMEOUT_S) -> str:
    """Why a runner says that it will never be ready: no model to load, or a shipped case fails; else empty."""
    told = _told(path, timeout) if path else {}
    return _sentence(told) if told.get("failed") is True else ""


def _sentence(told: dict[str, Any]) -> str:
    """The runner's words; with what they are made of where that really makes them, since user code runs there."""
    words, parts = str(told.get("error", "")), told.get("told")
    try:
        made = isinstance(parts, dict) and in_english(parts) == words
    except (KeyError, TypeError, ValueError, AttributeError):
        made = False
    return sentence(words, {words: parts} if made else {})


def _told(path: str, timeout: float) -> dict[str, Any]:
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("GET", "/v2/health/ready", headers={"Connection": "close"})
        answer = json.loads(connection.getresponse().read(_MOST_BYTES))
        return answer if isinstance(answer, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()


def check(paths: Iterable[str]) -> dict[str, bool]:
    """The answers of many sockets, asked at the same time."""
    asked = [path for path in dict.fromkeys(paths) if path]
    if not asked:
        return {}
    with ThreadPoolExecutor(min(_THREADS, len(asked))) as pool:
        return dict(zip(asked, pool.map(is_ready, asked), strict=True))
