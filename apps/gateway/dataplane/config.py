"""What a gateway process needs to know before its first call."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orjson


class BadConfig(ValueError):
    """A value that stops the start; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Read once at start, from JSON. Times in seconds, sizes in bytes."""

    bind: str = "127.0.0.1"
    port: int = 8080
    processes: int = 1
    unix_socket: str = ""
    """Also listen here: the way in for workloads in a sandbox."""

    state_dir: str = "var/gateway"
    """The snapshot of the last sight of the centre, and the metrics of the sibling processes."""
    calllog_dir: str = "var/calllog"
    live_url: str = ""
    """Where the snapshot is polled; empty: only what is on disk."""
    token: str = ""
    valkey_url: str = ""
    """Shared counters; empty: this process alone keeps them."""

    fsync_each_call: bool = False
    """Wait for the disk before each answer, instead of every 50 ms."""
    segment_bytes: int = 64 << 20
    segment_seconds: float = 10.0
    payload_bytes: int = 256 << 10
    """A request or response body above this is kept as a file, and its row has the digest, unless the plan says
    otherwise."""
    body_bytes: int = 32 << 20
    """A larger request is refused with 413."""

    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    call_seconds: float = 30.0
    connections: int = 4096
    in_flight_per_replica: int = 256

    @classmethod
    def from_json(cls, text: bytes | str) -> Config:
        """Parse and check; raises BadConfig naming the first wrong value."""
        try:
            values: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError as problem:
            raise BadConfig(f"the gateway's configuration is not JSON: {problem}") from problem
        known = {field.name: field.type for field in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise BadConfig(f"the gateway has no setting {name!r}")
            expected = {"int": int, "float": (int, float), "str": str, "bool": bool}[str(known[name])]
            if not isinstance(value, expected):  # type: ignore[arg-type]
                raise BadConfig(f"the gateway's setting {name} is {value!r}, expected {known[name]}")
        config = cls(**values)
        if config.processes < 1:
            raise BadConfig(f"the gateway's setting processes is {config.processes}, expected 1 or more")
        return config

    def prepare(self) -> None:
        """Make the folders, private to the owner: the log holds what callers sent."""
        for folder in (self.state_dir, self.calllog_dir):
            Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
