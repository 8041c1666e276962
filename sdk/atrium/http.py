"""A small HTTP client over the standard library: kept-alive connections, and retries of what is safe.

A request is repeated when the server cannot have done it: the connection could not be opened, or it
answered 429 or 503 with Retry-After. When a connection breaks after the request was sent, only GET,
HEAD and PUT, and requests with an Idempotency-Key, are repeated.
"""

import http.client
import json
import os
import select
import socket
import ssl
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atrium import errors, jsontext

SAFE = frozenset({"GET", "HEAD", "PUT"})
LONGEST_PAUSE_S = 30.0
FIRST_PAUSE_S = 0.2
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer below 400."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return jsontext.loads(self.body) if self.body else None


class Http:
    """Requests to one server; safe to use from several threads, each with its own connection."""

    def __init__(self, url: str, *, timeout_s: float = 60.0, retries: int = 3, token: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address; write it like http://portal.localhost:8000")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_s, self._retries, self._token = timeout_s, retries, token
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Path | None = None,
        headers: dict[str, str] | None = None,
        *,
        timeout_s: float | None = None,
        into: Path | None = None,
    ) -> Answer:
        """Send, repeat what is safe to repeat, and raise an AtriumError for 400 and above.

        A body that is a Path is read from that file while it is sent; then give Content-Length. With `into` what is
        answered goes to that file, as it comes, and the answer's own body is empty.
        """
        sent = dict(headers or {})
        if self._token:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        pause = FIRST_PAUSE_S
        for left in range(self._retries, -1, -1):
            try:
                return self._once(method, self._prefix + path, body, sent, timeout_s or self._timeout_s, into)
            except (errors.Limited, errors.Unavailable) as error:
                if not left or error.retry_after > LONGEST_PAUSE_S:
                    raise
                time.sleep(max(error.retry_after, pause))
            except errors.ConnectionLost as error:
                repeatable = method in SAFE or "Idempotency-Key" in sent or getattr(error, "unsent", False)
                if not left or not repeatable:
                    raise
                time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    def json(
        self, method: str, path: str, document: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        """Send and read JSON."""
        body = None if document is None else jsontext.dumps(document)
        given = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        return self.request(method, path, body, given).json()

    def _once(
        self,
        method: str,
        path: str,
        body: bytes | Path | None,
        headers: dict[str, str],
        timeout_s: float,
        into: Path | None,
    ) -> Answer:
        connection = self._connection(timeout_s)
        try:
            with body.open("rb") if isinstance(body, Path) else nullcontext(body) as content_sent:
                connection.request(method, path, content_sent, headers)
            response = connection.getresponse()
            content = b"" if into is not None and response.status < 400 else response.read()
            if into is not None and response.status < 400:
                _save(response, into)
        except (OSError, http.client.HTTPException) as error:
            self._forget()
            raise errors.ConnectionLost(
                f"{method} {self._shown()}{path}: the connection broke ({type(error).__name__}: {error})"
            ) from error
        if response.will_close:
            self._forget()
        named = {name.lower(): value for name, value in response.headers.items()}
        if response.status >= 400:
            raise errors.of_status(response.status, _document(named, content), _retry_after(named))
        return Answer(response.status, named, content)

    def _shown(self) -> str:
        return f"{'https' if self._secure else 'http'}://{self._host}:{self._port or ''}".rstrip(":")

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        """This thread's connection: the kept one when it is still open, else a new one."""
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None and getattr(self._local, "pid", 0) == os.getpid() and _is_open(kept):
            kept.sock.settimeout(timeout_s)
            return kept
        self._forget()
        connection = self._new(timeout_s)
        try:
            connection.connect()
        except OSError as error:
            lost = errors.ConnectionLost(
                f"{self._shown()} cannot be reached: {error}; is the portal running?"
            )
            lost.unsent = True  # type: ignore[attr-defined]
            raise lost from error
        self._local.connection, self._local.pid = connection, os.getpid()
        return connection

    def _new(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        if self._host.endswith(".localhost"):
            # These names lead to this machine, also where the resolver does not know that.
            connection._create_connection = _to_loopback  # type: ignore[attr-defined]
        return connection

    def _forget(self) -> None:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if kept is not None:
            kept.close()


def _to_loopback(address: tuple[str, int], *arguments: Any, **named: Any) -> Any:
    return socket.create_connection(("127.0.0.1", address[1]), *arguments, **named)


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """A kept connection that is readable while nothing was asked has been closed by the server."""
    if connection.sock is None:
        return False
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return not readable


def _document(headers: dict[str, str], content: bytes) -> Any:
    if "json" in headers.get("content-type", ""):
        try:
            return json.loads(content)
        except ValueError:
            pass
    return content.decode(errors="replace")


def _save(response: http.client.HTTPResponse, into: Path) -> None:
    with into.open("wb") as file:
        while piece := response.read(PIECE_BYTES):
            file.write(piece)
    if response.length:  # read(amount) ends quietly where the connection does
        raise http.client.IncompleteRead(b"", response.length)


def _retry_after(headers: dict[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isdigit() else None
