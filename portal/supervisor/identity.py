"""Naming a process so that a reused pid is never taken for it, and ending it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A pid with the time at which the kernel started it (field 22 of `/proc/<pid>/stat`)."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the process that has `pid` now; None when there is none or it is a zombie."""
        found = _stat_fields(pid)
        return cls(pid, int(found[19])) if found and found[0] not in "ZX" else None

    @classmethod
    def of_child(cls, pid: int) -> ProcessIdentity:
        """The identity of a child that we have not waited for: it has one even when it has already ended."""
        found = _stat_fields(pid)
        return cls(pid, int(found[19]) if found else 0)

    def command(self) -> list[bytes]:
        """The command line; one empty word when the process is gone."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return [b""]

    def started_at(self) -> float:
        """The moment of its start, in seconds since the epoch, exact to a second."""
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return booted + self.start_time / os.sysconf("SC_CLK_TCK")

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def send(self, number: int) -> None:
        """Send a signal to this process, never to another one with its pid."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, first: int = signal.SIGTERM, *, grace_s: float = 8.0) -> bool:
        """Ask with `first`, kill after `grace_s`; returns True when the process left by itself."""
        self.send(first)
        if self.wait(grace_s):
            return True
        self.send(signal.SIGKILL)
        self.wait(5.0)
        return False

    def wait(self, timeout_s: float) -> bool:
        """Wait until the process is gone; works for children and for processes that we adopted."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return True


def _stat_fields(pid: int) -> list[str] | None:
    """What follows the command's name in `/proc/<pid>/stat`: the state first, the start time at 19."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name is in parentheses and may itself hold spaces and parentheses.
    return text.rpartition(")")[2].split()


def session_members(session: int) -> list[ProcessIdentity]:
    """All living processes of a session."""
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        found = _stat_fields(int(entry.name))
        if found and found[0] not in "ZX" and int(found[3]) == session:
            members.append(ProcessIdentity(int(entry.name), int(found[19])))
    return members
