"""An engine in memory, for the unit tests of the apps above. Passes the same contract as the real ones.

It understands `true`, `false`, `echo WORDS…`, `sleep S` and `sh -c 'exit N'`; any other command runs
until the test ends it with `finish`.
"""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from .base import Observed, State, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class _Life:
    workload: Workload
    observed: Observed
    ends_at: float | None = None
    exit_code: int = 0
    output: bytearray = field(default_factory=bytearray)
    work: dict[str, bytes] = field(default_factory=dict)


class FakeEngine:
    """Pretends to run workloads; `lives` is what it was given."""

    def __init__(self) -> None:
        self.lives: dict[str, _Life] = {}

    def start(self, workload: Workload) -> None:
        """See Engine.start."""
        if workload.id in self.lives:
            return
        now = time.time()
        life = _Life(workload, Observed(workload.id, "running", pid=1, started_at=now))
        for file in workload.files:
            content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
            life.work[file.target] = content
        self.lives[workload.id] = life
        self._begin(life)

    def _begin(self, life: _Life) -> None:
        program, *arguments = life.workload.argv
        code = re.fullmatch(r"exit (\d+)", arguments[-1]) if arguments else None
        if program == "echo":
            life.output += (" ".join(arguments) + "\n").encode()
            life.ends_at = time.time()
        elif program in ("true", "false"):
            life.ends_at, life.exit_code = time.time(), int(program == "false")
        elif program == "sleep":
            life.ends_at = time.time() + float(arguments[0])
        elif program == "sh" and code:
            life.ends_at, life.exit_code = time.time(), int(code[1])

    def finish(self, workload_id: str, exit_code: int = 0, reason: str = "") -> None:
        """End a workload from the test."""
        life = self.lives[workload_id]
        state: State = "failed" if exit_code or reason else "succeeded"
        words = reason or (f"exit code {exit_code}" if exit_code else "")
        life.observed = replace(
            life.observed, state=state, exit_code=exit_code, reason=words, pid=None, finished_at=time.time()
        )

    def say(self, workload_id: str, text: str) -> None:
        """Let a workload print."""
        self.lives[workload_id].output += text.encode()

    def write(self, workload_id: str, path: str, content: bytes) -> None:
        """Let a workload write a file below /work."""
        self.lives[workload_id].work[path] = content

    def stop(self, workload_id: str, grace_s: float = 10.0) -> None:
        """See Engine.stop."""
        observed = self.observe(workload_id)
        if observed and not observed.ended:
            life = self.lives[workload_id]
            life.observed = replace(
                observed, state="stopped", reason="stopped", pid=None, finished_at=time.time()
            )

    def observe(self, workload_id: str) -> Observed | None:
        """See Engine.observe."""
        life = self.lives.get(workload_id)
        if life is None:
            return None
        if life.observed.ended:
            return life.observed
        now, limit = time.time(), life.workload.timeout_s
        started = life.observed.started_at or now
        if life.ends_at is not None and now >= life.ends_at:
            self._end(life)
        elif limit is not None and now - started > limit:
            self.finish(workload_id, reason=f"time limit of {limit:g} s")
            life.observed = replace(life.observed, exit_code=None)
        return life.observed

    def _end(self, life: _Life) -> None:
        restart = life.workload.restart
        if restart == "always" or (restart == "on-failure" and life.exit_code):
            life.observed = replace(life.observed, restarts=life.observed.restarts + 1)
            self._begin(life)
            life.ends_at = time.time() + 0.5
        else:
            self.finish(life.workload.id, life.exit_code)

    def list(self) -> list[Observed]:
        """See Engine.list."""
        return [observed for name in sorted(self.lives) if (observed := self.observe(name))]

    def log(self, workload_id: str, offset: int = 0, limit: int = 262_144) -> tuple[bytes, int]:
        """See Engine.log."""
        life = self.lives.get(workload_id)
        data = bytes(life.output[offset : offset + limit]) if life else b""
        return data, offset + len(data)

    def read(self, workload_id: str, path: str, limit: int = 16_777_216) -> bytes | None:
        """See Engine.read."""
        life = self.lives.get(workload_id)
        data = life.work.get(path) if life else None
        return data if data is not None and len(data) <= limit else None

    def files(self, workload_id: str, under: str) -> Iterator[tuple[str, BinaryIO]]:
        """See Engine.files."""
        life = self.lives.get(workload_id)
        for path, content in sorted(life.work.items()) if life else ():
            if PurePosixPath(path).is_relative_to(under):
                yield str(PurePosixPath(path).relative_to(under)), io.BytesIO(content)

    def own(self, workload_id: str, folder: Path) -> None:
        """See Engine.own."""

    def remove(self, workload_id: str) -> None:
        """See Engine.remove."""
        self.lives.pop(workload_id, None)
