"""One declared process in time: started or adopted, watched, started again when it ends, ended with its family."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portal.environment import ROOT
from portal.supervisor.forkserver import Wanted, fork
from portal.supervisor.identity import ProcessIdentity, session_members
from portal.supervisor.variables import child_environment

if TYPE_CHECKING:
    from portal.supervisor.processes import Process

#: Seconds to wait before the first, second, … start after an end that followed too soon.
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: A process that ran this long has earned a start without delay.
STEADY_S = 60.0
#: Seconds without an answer, after it once answered, until a process is taken for hung.
HUNG_S = 45.0
#: Seconds until the first answer.
FIRST_ANSWER_S = 120.0
#: A process without a port counts as up when it has lived for so long.
SETTLED_S = 0.5
#: Seconds for the children of a dead process to follow it.
FAMILY_S = 5.0
LARGEST_LOG = 20_000_000


@dataclass
class Supervised:
    """A process with its history. States: waiting, starting, up, failing, done, ended."""

    process: Process
    log: Path
    build: str
    """Identifies command, settings and code; a process of another build is not adopted."""

    fork_socket: Path
    identity: ProcessIdentity | None = None
    state: str = "waiting"
    restarts: int = 0
    adopted: bool = False
    started_at: float = 0.0
    answered_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0

    def start(self) -> None:
        """Start the process in a session of its own; its output goes straight to its log, not through us."""
        if self.process.before:
            self.process.before()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            if self.log.stat().st_size > LARGEST_LOG:
                self.log.replace(self.log.with_suffix(".log.1"))
        self._begin(self._fork() if self.process.forked else self._spawn(), adopted=False)

    def _fork(self) -> ProcessIdentity:
        wanted = Wanted(
            self.process.name,
            self.process.argv,
            str(self.log),
            self.process.niceness,
            self.process.variables,
        )
        return fork(self.fork_socket, wanted)

    def _spawn(self) -> ProcessIdentity:
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.process.argv,
                cwd=ROOT,
                env={**child_environment(), **self.process.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # We wait for our children by identity, also for those we adopt, so Popen must not do it a second time.
        child.returncode = 0
        return ProcessIdentity.of_child(child.pid)

    def adopt(self, identity: ProcessIdentity) -> None:
        """Take over a process that a former supervisor started."""
        self._begin(identity, adopted=True)

    def _begin(self, identity: ProcessIdentity, *, adopted: bool) -> None:
        self.identity, self.adopted = identity, adopted
        self.state = "starting"
        self.started_at = time.monotonic()
        self.answered_at = 0.0

    def check(self) -> None:
        """Look at the process once: notice its end, its first answer, or that it hangs."""
        if self.identity is None:
            return
        if not self.identity.alive():
            self._ended()
        elif self._answers():
            self.answered_at = time.monotonic()
            self.state = "up"
        elif self._hung():
            end_family(self.identity, signal.SIGKILL, grace_s=0)
            self._ended()

    def _answers(self) -> bool:
        if self.process.answers is None:
            return time.monotonic() - self.started_at > SETTLED_S
        return self.process.answers()

    def _hung(self) -> bool:
        now = time.monotonic()
        if self.answered_at:
            return now - self.answered_at > HUNG_S
        return now - self.started_at > FIRST_ANSWER_S

    def _ended(self) -> None:
        """The process is gone: end what it left behind and say when to start it again."""
        assert self.identity is not None
        if self.process.once and self._succeeded(self.identity):
            self.identity, self.state = None, "done"
            return
        end_family(self.identity, signal.SIGKILL, grace_s=0)
        if time.monotonic() - self.started_at > STEADY_S and self.answered_at:
            self.failures = 0
        self.identity = None
        self.restarts += 1
        self.postpone()

    def postpone(self) -> None:
        """Let the next start wait longer with each failure in a row."""
        delay = BACKOFF_S[min(self.failures, len(BACKOFF_S) - 1)]
        self.failures += 1
        self.start_again_at = time.monotonic() + delay
        self.state = "failing" if self.failures > 1 else "waiting"

    def _succeeded(self, identity: ProcessIdentity) -> bool:
        """The exit status of our child; an adopted one is not ours to ask, so it is simply run again."""
        try:
            pid, status = os.waitpid(identity.pid, os.WNOHANG)
        except ChildProcessError:
            return False
        return pid == identity.pid and status == 0

    def last_words(self, lines: int = 5) -> str:
        """The end of the log, for the person who waits."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 4000))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def record(self) -> dict[str, Any]:
        """What the next supervisor and the health page need to know."""
        return {
            "pid": self.identity.pid if self.identity else None,
            "start_time": self.identity.start_time if self.identity else None,
            "build": self.build,
            "state": self.state,
            "restarts": self.restarts,
            "essential": self.process.essential,
            "needs_code": not self.process.keeps_code,
        }


def end_family(leader: ProcessIdentity, first: int, *, grace_s: float) -> None:
    """End a process and everything in its session: a server's workers outlive a killed server otherwise."""
    if grace_s:
        leader.end(first, grace_s=grace_s)
    else:
        leader.send(signal.SIGKILL)
        leader.wait(5.0)
    if ProcessIdentity.of(leader.pid) is not None:
        return  # somebody else has this pid by now, so its session is not ours
    deadline = time.monotonic() + FAMILY_S
    while (members := session_members(leader.pid)) and time.monotonic() < deadline:
        for member in members:  # again and again: one may have forked since we looked
            member.send(signal.SIGKILL)
        time.sleep(0.02)
    with suppress(ChildProcessError):
        os.waitpid(leader.pid, os.WNOHANG)
