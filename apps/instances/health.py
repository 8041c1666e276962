"""Asks runners over their unix sockets whether they are ready."""

from __future__ import annotations

import http.client
import json
import selectors
import socket
import time
from collections.abc import Iterable
from typing import Any

from apps.core.telling import in_english, sentence

TIMEOUT_S = 1.0
_MOST_BYTES = 16 << 10
_QUESTION = b"GET /v2/health/ready HTTP/1.1\r\nHost: runner\r\nConnection: close\r\n\r\n"


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
    return check([path], timeout).get(path, False)


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


def check(paths: Iterable[str], timeout: float = TIMEOUT_S) -> dict[str, bool]:
    """The answers of many sockets, asked at the same time: each second, so nothing but the status line is read."""
    answers = dict.fromkeys((path for path in paths if path), False)
    until = time.monotonic() + timeout
    with selectors.DefaultSelector() as waiting:
        for path in answers:
            if asked := _ask(path):
                waiting.register(asked, selectors.EVENT_READ, path)
        while waiting.get_map() and (left := until - time.monotonic()) > 0:
            for key, _events in waiting.select(left):
                answers[key.data] = _says_yes(key.fileobj)  # type: ignore[arg-type]
                _forget(waiting, key)
        for key in list(waiting.get_map().values()):
            _forget(waiting, key)
    return answers


def _ask(path: str) -> socket.socket | None:
    """A connection on which the question was asked; None when nobody takes it at once."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.connect(path)
        connection.send(_QUESTION)
    except OSError:
        connection.close()
        return None
    return connection


def _says_yes(connection: socket.socket) -> bool:
    try:
        return connection.recv(64).split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False


def _forget(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    waiting.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]
