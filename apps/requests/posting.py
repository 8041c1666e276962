"""One signed message over HTTP, as Standard Webhooks has it (standardwebhooks.com). No Django here.

The name is resolved once and the connection goes to exactly that address, so that a name cannot lead elsewhere after it
was checked. Redirects are not followed. Addresses of this machine are refused: behind them are the portal's own parts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from atrium.told import Told, tell

TIMEOUT_S = 10.0
IN_ALL_S = 20.0
"""From the connection to the answer's status: a receiver that sends a byte at a time keeps no worker."""
PREFIX = "whsec_"


class BadAddress(ValueError):
    """An address to which nothing is sent; `why` can be told in any language."""

    def __init__(self, why: Told) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0 when nothing did; `error` then says why, in words for any language."""

    status: int
    error: Told | None
    took_ms: float

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


def new_secret() -> str:
    """A secret in the form that the libraries of Standard Webhooks take."""
    return PREFIX + base64.b64encode(os.urandom(32)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`: HMAC-SHA256 over id, timestamp and body."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def is_refused(address: str) -> bool:
    """Whether an IP address is this machine's own, or no single host's."""
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast or ip.is_reserved


_OWN_NAME = re.compile(r"(.*\.)?(localhost|localdomain)\.?|ip6-(localhost|loopback)\.?", re.IGNORECASE)
"""Names that mean this machine everywhere (RFC 6761), or in the hosts file of most systems."""


def _told_address(host: str) -> str | None:
    """The IP address that a host is written as, in any form that a connection takes (127.1, 0x7f000001)."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return str(found[0][4][0])


def _is_own(host: str) -> bool:
    """Whether a host is this machine's own, as far as can be told without asking for its name."""
    if _OWN_NAME.fullmatch(host):
        return is_refused("127.0.0.1")
    address = _told_address(host)
    return address is not None and is_refused(address)


def checked(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path) of an address. Raises BadAddress for one that cannot be a webhook."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadAddress(tell("its host or its port cannot be read")) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadAddress(tell("use an address like https://host/path"))
    if parts.username or parts.password:
        raise BadAddress(tell("leave name and password out; messages are signed"))
    if _is_own(parts.hostname):
        raise _not_sent_to(parts.hostname)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port, path


def _not_sent_to(host: str) -> BadAddress:
    return BadAddress(tell("%(host)s is an address that messages are not sent to", host=host))


def resolve(host: str, port: int) -> str:
    """The IP address to connect to. Raises BadAddress for one of this machine, OSError for an unknown name."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    refused = [address for address in found if is_refused(address)]
    if refused or not found:
        raise _not_sent_to(f"{host} ({', '.join(refused) or '–'})")
    return found[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to one IP address under the name that it was asked for."""

    def __init__(self, host: str, port: int, address: str, *, secure: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self._address, self._secure = address, secure

    def connect(self) -> None:
        plain = self.sock = socket.create_connection((self._address, self.port), TIMEOUT_S)
        context = ssl.create_default_context() if self._secure else None
        self.sock = context.wrap_socket(plain, server_hostname=self.host) if context else plain


def post(url: str, secret: str, message_id: str, body: bytes) -> Answer:
    """Send one message, signed. Every failure is an Answer; nothing is raised."""
    began, timestamp = time.perf_counter(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Atrium-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
    status, error = 0, None
    try:
        scheme, host, port, path = checked(url)
        connection = _Pinned(host, port, resolve(host, port), secure=scheme == "https")
        end = threading.Timer(IN_ALL_S, _hang_up, [connection])
        end.start()
        try:
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        finally:
            end.cancel()
            connection.close()
    except (
        OSError,
        http.client.HTTPException,
        ValueError,
    ) as problem:  # ValueError: no name, no path in ASCII
        error = _why(problem, url)
    return Answer(status, error, (time.perf_counter() - began) * 1000)


def _why(problem: Exception, url: str) -> Told:
    """Why nothing came back, in a sentence."""
    if isinstance(problem, BadAddress):
        return problem.why
    host = urlsplit(url).netloc[:100]
    if isinstance(problem, TimeoutError):
        return tell("%(host)s did not answer within %(seconds)d s", host=host, seconds=int(TIMEOUT_S))
    if isinstance(problem, ConnectionRefusedError):
        return tell("nobody listens at %(host)s", host=host)
    if isinstance(problem, socket.gaierror):
        return tell("no machine is known by the name of %(host)s", host=host)
    why = f"{type(problem).__name__}: {problem}"[:200]
    if isinstance(problem, ssl.SSLError):
        return tell("no secure connection to %(host)s: %(why)s", host=host, why=why)
    return tell("%(host)s gave no answer that can be read: %(why)s", host=host, why=why)


def _hang_up(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
