"""Runs one instance: prepares it, starts or adopts its processes, keeps them up, and ends them all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from portal.supervisor import outside, preparation
from portal.supervisor.forkserver import ForkServerAway
from portal.supervisor.identity import ProcessIdentity
from portal.supervisor.postgres import ServerFailed
from portal.supervisor.preparation import PreparationFailed
from portal.supervisor.processes import PREPARED, Process, declare
from portal.supervisor.supervised import Supervised, end_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portal.environment import Environment

TICK_S = 0.1
STEADY_TICK_S = 0.5
CHECK_EVERY_S = 5.0
GRACE_S = 7.0


class AlreadyRunning(RuntimeError):
    """Another supervisor has this data folder; the message names it."""


class PortTaken(RuntimeError):
    """Somebody else listens on one of our ports; the message names the variable."""


class Supervisor:
    """One instance from its start to its end."""

    def __init__(self, environment: Environment, say: Callable[[str], None] = print) -> None:
        self.environment = environment
        self.say = say
        self.build = preparation.code_build()
        self.all = [self._supervise(process) for process in declare(environment)]
        self.done: set[str] = set()
        self.preparing: subprocess.Popen[bytes] | None = None
        self.steps: list[str] = []
        self.ending = False
        self.was_up = False
        self._written = ""
        self._checked_at = 0.0
        self._lock: TextIO | None = None
        self._wake, self._waker = socket.socketpair()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="check")

    # -- the life of an instance -------------------------------------------------------------------

    def run(self) -> None:
        """Everything, until a signal. Raises AlreadyRunning, PortTaken, ServerFailed or PreparationFailed."""
        self.environment.make_directories()
        self._take_lock()
        self._catch_signals()
        try:
            self._adopt()
            self._refuse_taken_ports()
            outside.check(self.environment, stop=lambda: self.ending)
            self._begin_preparation()
            while not self.ending:
                self.step()
        finally:
            self.end()

    def step(self) -> None:
        """One round: start what may start, look at what runs, write down what is."""
        self._advance_preparation()
        # Making a database cluster takes a second: what need not wait for it starts before.
        for each in sorted(self.all, key=lambda each: each.process.before is not None):
            if each.identity is None and self._may_start(each):
                self._start(each)
        self._check()
        self._write()
        self._announce()
        self._rest(STEADY_TICK_S if self.was_up else TICK_S)

    def _rest(self, seconds: float) -> None:
        """Sleep until a signal comes (a child ended, somebody asks us to end) or the time is over."""
        with suppress(BlockingIOError, InterruptedError):
            if select.select([self._wake], [], [], seconds)[0]:
                self._wake.recv(4096)

    def end(self) -> None:
        """End everything in order: what takes work, workloads, what keeps data. At most 20 s."""
        self.say("Atrium ends its processes …")
        if self.preparing and self.preparing.poll() is None:
            end_family(ProcessIdentity.of_child(self.preparing.pid), signal.SIGTERM, grace_s=2)
        self._end_all(each for each in self.all if not each.process.last)
        self._end_workloads()
        self._end_all(each for each in self.all if each.process.last)
        self._record_path.unlink(missing_ok=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.say("Atrium has ended; its data is kept.")

    # -- one supervisor per data folder ------------------------------------------------------------

    def _take_lock(self) -> None:
        self._lock = (self.environment.data_dir / "up.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            raise AlreadyRunning(
                f"Atrium already runs on {self.environment.data_dir} ({holder}); "
                "end it there, or set ATRIUM_DATA_DIR and other ports for a second instance."
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"pid {os.getpid()} at {self.environment.web_url}\n")
        self._lock.flush()

    def _catch_signals(self) -> None:
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked_to_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake us

    def _asked_to_end(self, *_: object) -> None:
        self.ending = True

    # -- adopting ----------------------------------------------------------------------------------

    @property
    def _record_path(self) -> Any:
        return self.environment.run_dir / "processes.json"

    def _adopt(self) -> None:
        """Take over what a killed supervisor left: the same build lives on, anything else is ended."""
        try:
            records = json.loads(self._record_path.read_text(encoding="utf-8"))["processes"]
        except (OSError, ValueError, KeyError):
            records = {}
        by_name = {each.process.name: each for each in self.all}
        for name, record in records.items():
            if not record.get("pid"):
                continue
            identity = ProcessIdentity(record["pid"], record["start_time"])
            mine = by_name.get(name)
            if mine and mine.build == record["build"] and identity.alive():
                mine.adopt(identity)
                self.say(f"  {name:<9} adopted (pid {identity.pid})")
            else:
                end_family(identity, signal.SIGTERM, grace_s=GRACE_S)
        for each in self.all:
            if each.identity is None and each.process.running and (found := each.process.running()):
                each.adopt(found)
                self.say(f"  {each.process.name:<9} adopted (pid {found.pid})")

    def _refuse_taken_ports(self) -> None:
        ports = {"web": "ATRIUM_WEB_PORT", "live": "ATRIUM_LIVE_PORT", "gateway": "ATRIUM_GATEWAY_PORT"}
        for each in self.all:
            variable = ports.get(each.process.name)
            if variable is None or each.identity:
                continue
            port = getattr(self.environment, variable.removeprefix("ATRIUM_").lower())
            family = socket.AF_INET6 if ":" in self.environment.bind else socket.AF_INET
            with socket.socket(family) as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    attempt.bind((self.environment.bind, port))
                except OSError as error:
                    why = (
                        "is in use"
                        if error.errno == errno.EADDRINUSE
                        else f"cannot be used ({error.strerror})"
                    )
                    raise PortTaken(f"{variable}={port} {why}; set {variable} to a free port.") from error

    # -- preparing ---------------------------------------------------------------------------------

    def _begin_preparation(self) -> None:
        if not (self.environment.data_dir / "postgres").exists():
            (self.environment.data_dir / "prepared.json").unlink(missing_ok=True)
        self.steps = preparation.outstanding(self.environment)
        if not self.steps:
            self.done.add(PREPARED)

    @property
    def _web_waits(self) -> bool:
        """Web reads the static files' names and the translations once; nobody may see refused accounts."""
        return any(step in (*preparation.SHARED, preparation.REFUSE_SAMPLES) for step in self.steps)

    def _advance_preparation(self) -> None:
        """Start the preparing process as soon as it can reach the servers, and look whether it is done."""
        if PREPARED in self.done:
            return
        if self.preparing is None:
            if all(each.state == "up" for each in self.all if each.process.last):
                self.preparing = preparation.prepare(self.environment, self.steps)
            return
        code = self.preparing.poll()
        if code is None:
            return
        if code:
            log = self.environment.log_dir / "prepare.log"
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
            raise PreparationFailed("\n".join([f"Preparing failed; {log} ends with:", *said]))
        for step in self.steps:
            preparation.mark_done(self.environment, step)
        self.say(f"  prepared  ({', '.join(self.steps)})")
        self.done.add(PREPARED)

    # -- watching ----------------------------------------------------------------------------------

    def _may_start(self, each: Supervised) -> bool:
        if each.state == "done" or time.monotonic() < each.start_again_at:
            return False
        waits = self._web_waits and not (each.process.last or each.process.early)
        if waits and PREPARED not in self.done:
            return False
        up = {other.process.name for other in self.all if other.state == "up"}
        return each.process.needs <= up | self.done

    def _start(self, each: Supervised) -> None:
        """At the first start a failure is the person's to solve; later (a full disk) we try again."""
        try:
            each.start()
        except ForkServerAway:
            each.postpone()
        except (OSError, ServerFailed) as problem:
            if not self.was_up:
                raise
            self.say(f"  {each.process.name:<9} cannot be started: {problem}")
            each.postpone()

    def _check(self) -> None:
        """Ends are noticed in every round; answers are asked for while starting, then every few seconds."""
        now = time.monotonic()
        everybody = now - self._checked_at > CHECK_EVERY_S
        if everybody:
            self._checked_at = now
        due = [
            each
            for each in self.all
            if each.identity and (everybody or each.state != "up" or not each.identity.alive())
        ]
        before = {each.process.name: (each.state, each.restarts) for each in due}
        list(self._pool.map(Supervised.check, due))
        for each in due:
            self._tell_change(each, *before[each.process.name])

    def _tell_change(self, each: Supervised, state: str, restarts: int) -> None:
        if each.state == "done":
            preparation.mark_environments_built(self.environment)
            self.say("  environments are built")
        elif each.restarts > restarts and not self.ending:
            self.say(f"  {each.process.name:<9} ended and is started again; see {each.log}")
            if each.state == "failing" and each.failures in (2, 5):
                self.say(each.last_words())
        elif each.state == "up" and state != "up":
            self.say(f"  {each.process.name:<9} up after {time.monotonic() - each.started_at:.1f} s")

    def _write(self) -> None:
        me = ProcessIdentity.of(os.getpid())
        content = {
            "supervisor": {"pid": os.getpid(), "start_time": me.start_time if me else 0},
            "processes": {each.process.name: each.record() for each in self.all},
        }
        text = json.dumps(content, indent=1)
        if text == self._written:
            return
        self._written = text
        fresh = self._record_path.with_suffix(".new")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._record_path)
        except OSError as problem:  # a full disk must not end what works
            self._written = ""
            self.say(f"cannot write {self._record_path}: {problem}")

    def _announce(self) -> None:
        if self.was_up or any(each.state != "up" for each in self.all if each.process.essential):
            return
        self.was_up = True
        self._checked_at = time.monotonic()
        here = self.environment
        self.say(f"\nAtrium is up: {here.web_url}")
        self.say(f"  live      {here.live_url}")
        self.say(f"  gateway   {here.gateway_url}")
        self.say(f"  data      {here.data_dir}   logs {here.log_dir}")
        if here.samples:
            self.say("  sample accounts, password atrium-sample:")
            self.say("    dev  qa  qa2  ops  consumer  annotator  annotator2  admin")
        self.say("Ctrl-C ends everything.\n")

    # -- ending ------------------------------------------------------------------------------------

    def _end_all(self, these: Iterable[Supervised]) -> None:
        """Ask all at once, then wait for each, killing what does not leave in time."""
        families = [(each, each.identity) for each in these if each.identity]
        for each, identity in families:
            identity.send(each.process.stop_signal)
        deadline = time.monotonic() + GRACE_S
        for each, identity in families:
            identity.wait(max(0.0, deadline - time.monotonic()))
            end_family(identity, signal.SIGKILL, grace_s=0)
            each.identity, each.state = None, "ended"

    def _end_workloads(self) -> None:
        from portal.supervisor.workloads import end_workloads  # only now: it would double our idle memory

        end_workloads(self.environment, grace_s=4.0)

    def _supervise(self, process: Process) -> Supervised:
        code = "" if process.keeps_code else self.build
        return Supervised(
            process,
            self.environment.log_dir / f"{process.name}.log",
            preparation.digest_of([*process.argv, code, self.environment]),
            self.environment.fork_socket,
        )
