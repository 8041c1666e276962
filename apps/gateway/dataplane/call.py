"""A request on its way through the gateway: what its head asks for, where that leads, and what the log will say."""

from __future__ import annotations

import hashlib
import os
import time
from copy import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from apps.gateway.dataplane.experiments import with_parameters
from apps.gateway.dataplane.http import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.gateway.dataplane.experiments import Part
    from apps.gateway.dataplane.http import Head, Request, Response
    from apps.gateway.dataplane.limits import Admission
    from apps.gateway.dataplane.snapshot import Capability, Deployment, Grant
    from apps.gateway.dataplane.upstream import Replica

BINARY_LENGTH = b"inference-header-content-length"
ENCODING = b"content-encoding"
TIMEOUT = b"x-atrium-timeout-ms"
CALLER = b"atrium-caller"
FORWARDED = (b"content-type", BINARY_LENGTH, ENCODING, b"accept-encoding", TIMEOUT)
VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Target:
    """What a head asks for: worked out once, and kept with the head for the requests that repeat it."""

    __slots__ = ("aim", "forward", "key", "name", "parts", "plain", "seconds", "version")

    def __init__(self, head: Head, most_seconds: float) -> None:
        parts = head.path.split("/")[1:] or [""]
        self.parts = [unquote(part) for part in parts] if "%" in head.path else parts
        self.name, self.version, rest = model_of(self.parts)
        """The capability of an inference call; empty for any other request."""
        if rest != ["infer"] or head.method != "POST":
            self.name = ""
        self.key = key_of(head)
        self.seconds = seconds_given(head, most_seconds)
        self.forward = forward_lines(head)
        self.plain = not (BINARY_LENGTH in head.headers or ENCODING in head.headers)
        self.aim: Aim | None = None


class Aim:
    """Where a target leads by one snapshot, with what every answered call on that way has in common."""

    __slots__ = ("capability", "deployment", "epoch", "grant", "lines", "part", "record", "stage")

    def __init__(
        self,
        epoch: int,
        grant: Grant,
        capability: Capability,
        deployment: Deployment,
        stage: float,
        part: Part | None = None,
    ) -> None:
        self.epoch = epoch
        """Of the snapshot, which itself would be kept in memory by heads that nobody sends any more."""
        self.grant = grant
        self.capability = capability
        self.deployment = deployment
        self.stage = stage
        self.part = part
        """Of the experiments that run."""
        version = (b"atrium-version", deployment.version.encode())
        self.lines = lines_of([version, *(deployment.farewell or capability.farewell)])
        facts = whose(grant, capability, deployment, stage) | {"status": 200, "error": ""}
        facts |= part.facts if part else {}
        self.record = orjson.dumps(facts)[1:]


class Call:
    """One inference call on its way through, and what the log will say of it."""

    __slots__ = (
        "admission",
        "aim",
        "at",
        "capability",
        "deployment",
        "grant",
        "id",
        "replica",
        "request",
        "send",
        "stage",
        "target",
        "values",
    )

    def __init__(self, request: Request, target: Target, send: Callable[[Response], None]) -> None:
        self.request = request
        self.target = target
        self.send = send
        self.id = new_id()
        self.at = time.time()
        self.aim: Aim | None = None
        self.grant: Grant | None = None
        self.capability: Capability | None = None
        self.deployment: Deployment | None = None
        self.replica: Replica | None = None
        self.admission: Admission | None = None
        self.stage = 0.0
        self.values = b""

    def milliseconds(self) -> float:
        return (time.perf_counter() - self.request.started) * 1000

    def record(self, aim: Aim) -> bytes:
        """The record's JSON of an answered call that has nothing special about it."""
        return b'{"kind":"call","id":"%b","at":%.6f,"ms":%.4f,%b' % (
            self.id.encode(),
            self.at,
            self.milliseconds(),
            aim.record,
        )

    def facts(self, status: int, error: str = "", *, kind: str = "call") -> dict[str, Any]:
        """The record's JSON; short names, since a busy day has millions."""
        facts: dict[str, Any] = {
            "kind": kind,
            "id": self.id,
            "at": self.at,
            **whose(self.grant, self.capability, self.deployment, self.stage),
            "status": status,
            "error": error,
            "ms": self.milliseconds(),
        }
        if self.aim is not None and self.aim.part is not None:
            facts |= self.aim.part.facts
        if binary := self.request.head.headers.get(BINARY_LENGTH):
            facts["request_json_bytes"] = binary.decode("latin-1")
        if self.values:
            facts["values"] = self.values.decode("utf-8", "replace")
        return facts


def whose(
    grant: Grant | None, capability: Capability | None, deployment: Deployment | None, stage: float
) -> dict[str, Any]:
    """The part of a record that calls on the same way share."""
    return {
        "grant": grant.id if grant else None,
        "subject": grant.subject if grant else "",
        "capability": capability.id if capability else None,
        "deployment": deployment.id if deployment else None,
        "version": deployment.version if deployment else "",
        "stage": stage,
    }


def new_id() -> str:
    """A UUID of version 7: unique everywhere, and neighbours in time are neighbours in an index."""
    chance = os.urandom(10).hex()
    stamp = "%012x" % (time.time_ns() // 1_000_000)
    return f"{stamp[:8]}-{stamp[8:]}-7{chance[:3]}-{VARIANTS[chance[3]]}{chance[4:7]}-{chance[7:19]}"


def model_of(parts: list[str]) -> tuple[str, str | None, list[str]]:
    """Name, version and rest of `v2/models/<name>[/versions/<version>]/…`; no name when the path is another."""
    if parts[:2] != ["v2", "models"] or len(parts) < 3:
        return "", None, []
    rest = parts[3:]
    if len(rest) >= 2 and rest[0] == "versions":
        return parts[2], rest[1], rest[2:]
    return parts[2], None, rest


def key_of(head: Head) -> bytes | None:
    """The SHA-256 of the key that a request carries."""
    scheme, _, key = head.headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key:
        return None
    return hashlib.sha256(key.strip()).digest()


def caller_of(head: Head, grant: Grant) -> str:
    """Who sticks to a version: the key's subject, or the end user that a system names in Atrium-Caller."""
    named = head.headers.get(CALLER)
    return f"{grant.subject}/{named.decode('latin-1')}" if named else grant.subject


def seconds_given(head: Head, most: float) -> float:
    """How long the caller waits at most: X-Atrium-Timeout-Ms, by which the runner sheds what would come too late."""
    given = head.headers.get(TIMEOUT, b"")
    return min(int(given) / 1000, most) if given.isdigit() and len(given) < 10 and int(given) else most


def forward_lines(head: Head) -> bytes:
    """Of the caller's headers those that the runner gets: they describe the body."""
    return lines_of((name, head.headers[name]) for name in FORWARDED if name in head.headers)


def give_parameters(call: Call, values: dict[str, Any]) -> None:
    """Give the parameters of a call values where the caller gave none: of this call alone, for heads are shared."""
    head, body = call.request.head, call.request.body
    declared = head.headers.get(BINARY_LENGTH)
    if declared is None:
        call.request.body = with_parameters(body, values)
        return
    length = int(declared)
    text = with_parameters(body[:length], values)
    call.request.head = copy(head)
    call.request.head.headers = {**head.headers, BINARY_LENGTH: b"%d" % len(text)}
    call.request.body = text + body[length:]
    call.target = copy(call.target)
    call.target.forward = forward_lines(call.request.head)


def request_head(call: Call, deployment: Deployment) -> bytes:
    """The head that the runner gets. It differs as little as it can, so that the runner knows it again."""
    return b"POST /v2/models/%b/infer HTTP/1.1\r\nhost: runner%b\r\ncontent-length: %d\r\n\r\n" % (
        deployment.capability.encode(),
        call.target.forward,
        len(call.request.body),
    )
