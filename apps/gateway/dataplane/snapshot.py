"""What the data plane knows of keys and routes: one immutable picture, swapped as a whole.

The centre sends a text; the last one is kept on disk, so a gateway starts and serves without the centre.
Items stay packed until they are used: a hundred thousand keys are mostly asleep.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from apps.gateway.dataplane.experiments import Experiment

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCTION = "production"
DEPLOYMENT_SCOPE = "deployment:"


class BadSnapshot(ValueError):
    """What the centre or the disk gave is no snapshot; the old one stays."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan allows; None is no limit."""

    rate_per_s: float | None = None
    burst: int | None = None
    per_day: int | None = None
    per_month: int | None = None
    concurrent: int | None = None
    payload_bytes: int | None = None

    @classmethod
    def parse(cls, raw: dict[str, Any] | None) -> Limits:
        raw = raw or {}
        return cls(
            rate_per_s=raw.get("rate_per_s"),
            burst=raw.get("burst"),
            per_day=raw.get("per_day"),
            per_month=raw.get("per_month"),
            concurrent=raw.get("concurrent"),
            payload_bytes=raw.get("payload_bytes"),
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """What one key may do. Keys of one `pool` share its limits."""

    id: Any
    subject: str
    pool: str
    capability: str
    scope: str
    limits: Limits
    status: str = "active"
    expires: float | None = None
    addresses: tuple[str, ...] = ()
    site: str = ""
    """Where the caller's team is."""

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Grant:
        return cls(
            id=raw["grant"],
            subject=str(raw.get("subject") or raw["pool"].partition("/")[0]),
            pool=raw["pool"],
            capability=raw["capability"],
            scope=raw.get("scope") or PRODUCTION,
            limits=Limits.parse(raw.get("limits")),
            status=raw.get("status", "active"),
            expires=raw.get("expires"),
            addresses=tuple(raw.get("addresses") or ()),
            site=raw.get("site") or "",
        )

    @property
    def deployment(self) -> str | None:
        """The one deployment that the key is bound to, or None for the production routes."""
        if self.scope.startswith(DEPLOYMENT_SCOPE):
            return self.scope[len(DEPLOYMENT_SCOPE) :]
        return None

    def admits(self, address: str) -> bool:
        """Whether a call may come from here. An empty list admits everybody; a unix socket is local."""
        if not self.addresses or not address:
            return True
        caller = ipaddress.ip_address(address)
        caller = getattr(caller, "ipv4_mapped", None) or caller  # how a socket for both families shows IPv4
        return any(caller in ipaddress.ip_network(net, strict=False) for net in self.addresses)


@dataclass(frozen=True, slots=True)
class Route:
    """A share of a capability's production traffic."""

    deployment: str
    version: str
    weight: float


@dataclass(frozen=True, slots=True)
class Capability:
    """One name that callers use, and where its calls go."""

    name: str
    id: Any
    routes: tuple[Route, ...] = ()
    shadow: tuple[Route, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    salt: str = ""
    seal: dict[str, str] | None = None
    """The public half of the data key: `key` is its id, `public` is base64."""
    farewell: tuple[tuple[bytes, bytes], ...] = ()
    """Headers that tell callers that it is deprecated (RFC 9745), and when it ends (RFC 8594)."""
    pins: dict[str, tuple[str, float]] = field(default_factory=dict)
    """{pool of keys: (the deployment that it stays with, until when in seconds)}."""
    sites: dict[str, tuple[Route, ...]] = field(default_factory=dict)
    """The routes for callers of single sites, where they have other weights."""
    experiments: tuple[Experiment, ...] = ()
    unit_salt: str = ""
    """Makes the digests of callers that the log has of experiments."""

    def routes_at(self, site: str) -> tuple[Route, ...]:
        """The routes for a caller of this site."""
        return self.sites.get(site, self.routes) if self.sites else self.routes

    @classmethod
    def parse(cls, name: str, raw: dict[str, Any]) -> Capability:
        routes = tuple(_route(item) for item in raw.get("routes") or ())
        return cls(
            name=name,
            id=raw.get("id"),
            routes=routes,
            sites={
                site: tuple(
                    replace(route, weight=weight) for route, weight in zip(routes, weights, strict=True)
                )
                for site, weights in (raw.get("sites") or {}).items()
            },
            shadow=tuple(_route(item) for item in raw.get("shadow") or ()),
            metadata=raw.get("metadata") or {},
            salt=str(raw.get("salt") or name),
            seal=raw.get("seal"),
            farewell=_farewell(raw.get("deprecated"), raw.get("sunset")),
            pins={pool: (str(name), float(until)) for pool, (name, until) in (raw.get("pins") or {}).items()},
            experiments=tuple(Experiment.parse(item) for item in raw.get("experiments") or ()),
            unit_salt=str(raw.get("unit_salt") or name),
        )


def _farewell(deprecated: int | None, sunset: int | None) -> tuple[tuple[bytes, bytes], ...]:
    headers = [(b"deprecation", f"@{int(deprecated)}".encode())] if deprecated else []
    if sunset:
        headers.append((b"sunset", formatdate(sunset, usegmt=True).encode()))
    return tuple(headers)


def _successor(capability: str, number: str | None) -> tuple[tuple[bytes, bytes], ...]:
    if not number:
        return ()
    place = f"/v2/models/{capability}/versions/{quote(number)}"
    return ((b"link", f'<{place}>; rel="successor-version"'.encode()),)


def _route(raw: dict[str, Any]) -> Route:
    return Route(str(raw["deployment"]), str(raw["version"]), float(raw.get("weight", 0)))


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version running somewhere."""

    id: str
    capability: str
    version: str
    kind: str
    digest: str
    addresses: tuple[str, ...]
    metadata: dict[str, Any]
    sensitive: dict[str, Any] = field(default_factory=dict)
    """What must not stand in the log as it is: {"inputs": {tensor: rule}, "outputs": …}, see `sealing`."""
    farewell: tuple[tuple[bytes, bytes], ...] = ()
    """The same headers where this version alone is deprecated, with a link to the one in its place (RFC 5829)."""

    @classmethod
    def parse(cls, name: str, raw: dict[str, Any]) -> Deployment:
        return cls(
            id=name,
            capability=raw["capability"],
            version=str(raw["version"]),
            kind=raw.get("kind", PRODUCTION),
            digest=raw.get("digest", ""),
            addresses=tuple(replica["socket"] for replica in raw.get("replicas") or ()),
            metadata=raw.get("metadata") or {},
            sensitive=raw.get("sensitive") or {},
            farewell=_farewell(raw.get("deprecated"), raw.get("sunset"))
            + _successor(raw["capability"], raw.get("successor")),
        )


KINDS = ("keys", "capabilities", "deployments")
GRANTS_AT_HAND = 20_000


FORM = b"atrium-snapshot/1"
CHANGES = b"atrium-changes/1"
GONE = b"-"
COMPACT_ABOVE = 2000
"""With so many changed items the text is made anew."""

Lines = dict[bytes, bytes]
"""`<kind> <name>` → the item's JSON."""


def lines_of(picture: Mapping[str, Mapping[str, Any]]) -> Lines:
    """A picture as lines: keys (by SHA-256 in hex), capabilities (by name) and deployments (by id)."""
    return {
        f"{kind} {name}".encode(): orjson.dumps(item)
        for kind in KINDS
        for name, item in picture.get(kind, {}).items()
    }


def join(revision: int, lines: Lines) -> bytes:
    """The text of a snapshot: a line with the revision, then a line `<kind> <name> <JSON>` for each item."""
    head = FORM + b" %d" % revision
    return b"\n".join([head, *(name + b" " + item for name, item in lines.items())]) + b"\n"


def dump(revision: int, picture: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The text of a snapshot of this picture."""
    return join(revision, lines_of(picture))


def changes(before: int, after: int, lines: Lines) -> bytes:
    """The text that leads from one revision to another; an item that is gone has `-` in place of its JSON."""
    head = CHANGES + b" %d %d" % (before, after)
    return b"\n".join([head, *(name + b" " + item for name, item in lines.items())]) + b"\n"


class Snapshot:
    """All keys and routes at one revision.

    It keeps the text and where each item stands in it, and what changed since that text was made; an item is
    unpacked when it is first asked for.
    """

    __slots__ = ("_capabilities", "_changed", "_deployments", "_grants", "_places", "_text", "revision")

    def __init__(
        self,
        revision: int,
        text: bytes,
        places: dict[str, dict[bytes, int]],
        changed: dict[str, dict[bytes, bytes]] | None = None,
    ) -> None:
        self.revision = revision
        self._text = text
        self._places = places
        self._changed = changed or {}
        self._grants: dict[bytes, Grant] = {}
        self._capabilities: dict[str, Capability] = {}
        self._deployments: dict[str, Deployment] = {}

    @classmethod
    def empty(cls) -> Snapshot:
        return cls(-1, b"", {kind: {} for kind in KINDS})

    @classmethod
    def parse(cls, text: bytes) -> Snapshot:
        """Read what `dump` wrote. Raises BadSnapshot. Takes about a third of a second for 100,000 keys."""
        places: dict[str, dict[bytes, int]] = {kind: {} for kind in KINDS}
        try:
            at = text.index(b"\n") + 1
            form, revision = text[: at - 1].split(b" ")
            if form != FORM or text[-1:] != b"\n":
                raise BadSnapshot("this is no snapshot, or only the beginning of one")
            while at < len(text):
                end = text.index(b"\n", at)
                kind, name, item = text[at:end].split(b" ", 2)
                orjson.loads(item)
                places[kind.decode()][_key(kind, name)] = end - len(item)
                at = end + 1
            return cls(int(revision), text, places)
        except (ValueError, KeyError) as problem:
            raise BadSnapshot(f"no snapshot: {problem!r}") from problem

    @classmethod
    def load(cls, path: Path) -> Snapshot:
        """The last snapshot that was kept, with the changes after it; empty when there is none.

        Changes that are damaged, or that a sibling has just removed, end it there: the centre has what follows.
        Raises BadSnapshot when the snapshot itself cannot be read.
        """
        try:
            snapshot = cls.parse(path.read_bytes())
        except FileNotFoundError:
            return cls.empty()
        while (following := _following(path, snapshot.revision)) is not None:
            try:
                snapshot = snapshot.after(following.read_bytes())
            except (BadSnapshot, FileNotFoundError):
                break
        return snapshot

    def after(self, text: bytes) -> Snapshot:
        """The snapshot that `changes` lead to from this one. Raises BadSnapshot; this one stays as it is."""
        try:
            head, *lines = text.split(b"\n")
            form, before, after = head.split(b" ")
            if form != CHANGES or int(before) != self.revision or lines[-1:] != [b""]:
                raise BadSnapshot(f"these are no changes of revision {self.revision}")
            changed = {kind: dict(self._changed.get(kind, {})) for kind in KINDS}
            for line in lines[:-1]:
                kind, name, item = line.split(b" ", 2)
                if item != GONE:
                    orjson.loads(item)
                changed[kind.decode()][_key(kind, name)] = item
        except (ValueError, KeyError) as problem:
            raise BadSnapshot(f"no changes: {problem!r}") from problem
        found = Snapshot(int(after), self._text, self._places, changed)
        touched = changed["keys"].keys()
        found._grants = {key: grant for key, grant in self._grants.items() if key not in touched}
        return found

    @property
    def is_loose(self) -> bool:
        """Whether so much has changed that the text should be made anew."""
        return sum(map(len, self._changed.values())) > COMPACT_ABOVE

    def text(self) -> bytes:
        """The whole text of this revision."""
        if not self._changed:
            return self._text
        lines: Lines = {}
        for kind in KINDS:
            start = kind.encode() + b" "
            for key in self._places[kind].keys() | self._changed.get(kind, {}).keys():
                if (item := self._raw(kind, key)) is not None:
                    lines[start + (key.hex().encode() if kind == "keys" else key)] = item
        return join(self.revision, lines)

    def _raw(self, kind: str, key: bytes) -> bytes | None:
        if self._changed and (item := self._changed[kind].get(key)) is not None:
            return None if item == GONE else item
        place = self._places[kind].get(key)
        return None if place is None else self._text[place : self._text.index(b"\n", place)]

    def _item(self, kind: str, key: bytes) -> dict[str, Any] | None:
        raw = self._raw(kind, key)
        if raw is None:
            return None
        found: dict[str, Any] = orjson.loads(raw)
        return found

    def grant(self, digest: bytes) -> Grant | None:
        """What the key with this SHA-256 may do."""
        found = self._grants.get(digest)
        if found is None and (item := self._item("keys", digest)) is not None:
            if len(self._grants) >= GRANTS_AT_HAND:
                self._grants.clear()
            found = self._grants[digest] = Grant.parse(item)
        return found

    def capability(self, name: str) -> Capability | None:
        """The capability that callers know by this name."""
        found = self._capabilities.get(name)
        if found is None and (item := self._item("capabilities", name.encode())) is not None:
            found = self._capabilities[name] = Capability.parse(name, item)
        return found

    def deployment(self, name: str) -> Deployment | None:
        """The deployment with this id."""
        found = self._deployments.get(name)
        if found is None and (item := self._item("deployments", name.encode())) is not None:
            found = self._deployments[name] = Deployment.parse(name, item)
        return found

    def counts(self) -> dict[str, int]:
        """How much there is of each kind."""
        return {"revision": self.revision, **{kind: self._count(kind) for kind in KINDS}}

    def _count(self, kind: str) -> int:
        places, changed = self._places[kind], self._changed.get(kind, {})
        more = sum(key not in places for key, item in changed.items() if item != GONE)
        return len(places) + more - sum(key in places for key, item in changed.items() if item == GONE)


def _key(kind: bytes, name: bytes) -> bytes:
    return bytes.fromhex(name.decode()) if kind == b"keys" else name


def _following(path: Path, revision: int) -> Path | None:
    """The kept changes that lead furthest from a revision."""
    found = list(path.with_name("changes").glob(f"{revision}-*"))
    return max(found, key=lambda each: int(each.name.partition("-")[2]), default=None)


def keep_changes(path: Path, text: bytes) -> None:
    """Keep changes beside the snapshot at `path`; all processes write the same under the same name."""
    before, after = text[: text.index(b"\n")].split(b" ")[1:]
    folder = path.with_name("changes")
    folder.mkdir(mode=0o700, exist_ok=True)
    fresh = folder / f".{os.getpid()}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    fresh.replace(folder / f"{int(before)}-{int(after)}")


def revision_of(path: Path) -> int:
    """The revision of the snapshot in a file, -1 when there is none."""
    try:
        with path.open("rb") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return -1


def forget_changes(path: Path, revision: int) -> None:
    """Remove the kept changes that a snapshot of this revision holds already."""
    for each in path.with_name("changes").glob("*-*"):
        if int(each.name.partition("-")[2]) <= revision:
            each.unlink(missing_ok=True)


def keep(path: Path, text: bytes) -> None:
    """Write the snapshot's text so that a reader sees the old one or the new one, never a part."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
