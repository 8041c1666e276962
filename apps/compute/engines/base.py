"""What a workload is and what every engine promises. tests/compute/contract.py checks each engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from apps.core.telling import Told

Restart = Literal["never", "on-failure", "always"]
Network = Literal["none", "forwarder", "host"]
AtQuota = Literal["end", "freeze"]
State = Literal["starting", "running", "restarting", "succeeded", "failed", "stopped", "lost"]

ENDED: frozenset[State] = frozenset({"succeeded", "failed", "stopped", "lost"})

WORK = "/work"
RUN = "/run/atrium"
SDK = "/opt/atrium/sdk"
"""Where a sandbox finds the `atrium` package."""
PORT_SOCKET = f"{RUN}/port.sock"
EGRESS_SOCKET = f"{RUN}/egress.sock"
FORWARDER = ("python", "-m", "atrium.forwarder", "--")
"""Goes before the command of a workload with `network: forwarder`: passes a loopback port to EGRESS_SOCKET."""
DOOR = "http://127.0.0.1:8780"
"""Where such a workload finds the portal, and the proxy through which it reaches the hosts on the allow-list."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class EngineError(Exception):
    """A workload cannot be started; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Resources:
    """What a workload may use. `memory_mb` is for the whole process tree, `disk_mb` for its /work."""

    cpu: float = 1.0
    memory_mb: int = 1024
    gpu: float = 0.0
    disk_mb: int = 10_240
    tmp_mb: int = 512
    processes: int = 512


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host at a place in the sandbox."""

    source: Path
    target: str
    readonly: bool = True


@dataclass(frozen=True)
class File:
    """A file that lies in /work before the start: bytes, or a copy of a file of the host."""

    target: str
    content: bytes | Path


@dataclass(frozen=True)
class Workload:
    """A process to run in the sandbox. `id` is the caller's; starting one id twice runs it once."""

    id: str
    argv: Sequence[str]
    environment: Path | None = None
    resources: Resources = Resources()
    mounts: Sequence[Mount] = ()
    files: Sequence[File] = ()
    port: bool = False
    restart: Restart = "never"
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = WORK
    network: Network = "none"
    timeout_s: float | None = None
    nice: int = 0
    at_quota: AtQuota = "end"
    """What happens when /work holds more than `disk_mb`: the run ends, or only deleting is possible."""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise EngineError(f"workload id {self.id!r} must be 1-40 of a-z, 0-9 and '-'")
        if not self.argv:
            raise EngineError(f"workload {self.id} has no command")


@dataclass(frozen=True)
class Observed:
    """What an engine sees of one workload. Times are Unix seconds, memory is of the whole tree."""

    id: str
    state: State
    pid: int | None = None
    exit_code: int | None = None
    reason: str = ""
    told: Told | None = None
    """The pattern and the values that `reason` is made of, where the engine knows them."""
    memory_mb: float = 0.0
    peak_memory_mb: float = 0.0
    cpu_s: float = 0.0
    disk_mb: float = 0.0
    frozen: bool = False
    restarts: int = 0
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more and nothing will start again by itself."""
        return self.state in ENDED


def left_out(size: int) -> bytes:
    """What a log says where so many bytes of it are missing."""
    return f"\n[atrium: {size:,} bytes of output left out]\n".encode()


class Engine(Protocol):
    """Runs workloads. Every method may be called by any process at any time."""

    def start(self, workload: Workload) -> None:
        """Run `workload`; returns once its supervisor has taken it over. An id that is known is left alone.

        Raises EngineError when it cannot run at all.
        """

    def stop(self, workload_id: str, grace_s: float = 10.0) -> None:
        """Ask a workload to end, and end it after `grace_s`. Returns at once; unknown ids are ignored."""

    def observe(self, workload_id: str) -> Observed | None:
        """What is known of one workload, or None."""

    def list(self) -> Sequence[Observed]:
        """All workloads that were started and not removed."""

    def log(self, workload_id: str, offset: int = 0, limit: int = 262_144) -> tuple[bytes, int]:
        """Output (stdout and stderr) from byte `offset` on, and the offset to go on from.

        Where output was left out because there was too much, the bytes say so.
        """

    def read(self, workload_id: str, path: str, limit: int = 16_777_216) -> bytes | None:
        """A regular file below /work, or None when it is missing, no regular file or above `limit` bytes."""

    def files(self, workload_id: str, under: str) -> Iterator[tuple[str, BinaryIO]]:
        """Every regular file below /work/`under`, by relative path; links are never followed."""

    def own(self, workload_id: str, folder: Path) -> None:
        """Make everything below a folder that is mounted for writing the workload's own, while it runs."""

    def remove(self, workload_id: str) -> None:
        """Forget a workload and delete its folder; ends it first when it still runs."""
