"""The supervisor of one workload: a small process of its own that outlives whoever started it.

Run as `python -I -S shim.py <folder>`. Reads `launch.json`, keeps `log` and `status.json`, and ends with
the workload. Standard library only, and few modules of it: one of these stands beside every workload.
Whoever holds `lock` is the supervisor, and only a folder without `status.json` is ever launched, so
starting twice runs once.
"""

# ruff: noqa: PTH105, PTH108, PTH110, PTH123, PTH208
from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Told = dict[str, Any]

HEAD_BYTES = 4 << 20
SEGMENT_BYTES = 4 << 20
FLOOD_BYTES_PER_S = 4 << 20
WATCH_S = 0.5
WATCH_CLOSELY_S = 0.05
FASTEST_MB_PER_S = 4096.0
REPORT_S = 2.0
FILTER_AT = 9
HEALTHY_S = 60.0
BACKOFF_S = (0.5, 30.0)
STRAYS_END_WITHIN_S = 2.0
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
MB = 1 << 20


def gettext_noop(text: str) -> str:
    """Mark a pattern for translators, as Django's function of this name does."""
    return text


def said(pattern: str, **values: Any) -> Told:
    """Why a run ended, for readers of any language: English, and the pattern and the values it is made of."""
    words = {name: value["reason"] if isinstance(value, dict) else value for name, value in values.items()}
    told = {name: value["told"] if isinstance(value, dict) else value for name, value in values.items()}
    return {"reason": pattern % words, "told": {"pattern": pattern, "values": told}}


def boot_id() -> str:
    """Names this boot of the machine: process numbers mean nothing after another."""
    with open("/proc/sys/kernel/random/boot_id") as handle:
        return handle.read().strip()


def start_ticks(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot; None when there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def is_alive(identity: list[int] | None, boot: str | None) -> bool:
    """Whether the process of `identity` (pid, start) still is the same process."""
    return bool(identity) and boot == boot_id() and start_ticks(identity[0]) == identity[1]  # type: ignore[index]


def write_json(path: str, content: dict[str, Any]) -> None:
    """Replace the file `path` in one step."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w") as handle:
        json.dump(content, handle)
    os.replace(temporary, path)


def read_json(path: str) -> dict[str, Any]:
    """The object in the file `path`; empty when it is missing."""
    try:
        with open(path) as handle:
            content: dict[str, Any] = json.load(handle)
            return content
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _read(path: str) -> bytes:
    """A small file of /proc, several times a second: with a third of what `open` costs. Empty when it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, 65536)
    except OSError:
        return b""
    finally:
        os.close(handle)


def _stat(pid: int) -> list[str]:
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].decode().split()


def newest_pid() -> bytes:
    """The last process or thread that was made on this machine: while it is the same, no tree has grown."""
    return _read("/proc/loadavg").rpartition(b" ")[2]


def _children(pid: int) -> list[int]:
    """The processes directly below `pid`, which has one thread; the oldest first."""
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def tree(root: int) -> list[int]:
    """Process `root` and all below it."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            todo.extend(int(child) for child in _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def marked(workload_id: str) -> list[int]:
    """Processes that carry the workload's mark in their environment, wherever they moved in the tree."""
    mark = f"ATRIUM_WORKLOAD={workload_id}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as handle:
                if mark in handle.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue
    return found


def kill_marked(workload_id: str, folder: str) -> None:
    """End what a workload left behind; `folder` keeps another instance's namesakes apart.

    Looks again until nothing is found: what was just killed may have made one more before.
    """
    until = time.monotonic() + STRAYS_END_WITHIN_S
    while strays := [pid for pid in marked(workload_id) if _belongs(pid, folder)]:
        for pid in strays:
            send(pid, signal.SIGKILL)
        if time.monotonic() > until:
            return
        time.sleep(0.01)


def _belongs(pid: int, folder: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as handle:
            return f"ATRIUM_FOLDER={folder}".encode() in handle.read().split(b"\0")
    except OSError:
        return False


class Log:
    """The bounded output: the first `HEAD_BYTES` for ever, then the newest two segments.

    A segment's name carries the offset of its first byte, so a reader needs no index.
    """

    def __init__(self) -> None:
        self.size = 0
        self.handle = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.room = HEAD_BYTES
        self.segments: list[str] = []
        self.tokens, self.refilled = float(FLOOD_BYTES_PER_S), time.monotonic()

    def write(self, data: bytes) -> None:
        """Append `data`, starting a new segment where one is full."""
        self.tokens -= len(data)
        while data:
            if not self.room:
                self._turn()
            part, data = data[: self.room], data[self.room :]
            os.write(self.handle, part)
            self.size += len(part)
            self.room -= len(part)

    def _turn(self) -> None:
        os.close(self.handle)
        name = f"log.{self.size}"
        self.handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.room = SEGMENT_BYTES
        self.segments.append(name)
        if len(self.segments) > 2:
            os.unlink(self.segments.pop(0))

    def wait_s(self) -> float:
        """How long to leave a flooding workload blocked on its output."""
        now = time.monotonic()
        self.tokens += (now - self.refilled) * FLOOD_BYTES_PER_S
        self.tokens, self.refilled = min(self.tokens, float(2 * FLOOD_BYTES_PER_S)), now
        if self.size < HEAD_BYTES or self.tokens > 0:
            return 0.0
        return -self.tokens / FLOOD_BYTES_PER_S + 0.05

    def last_line(self) -> str:
        """The last line that says something, for the reason of a failure."""
        name = self.segments[-1] if self.segments else "log"
        with open(name, "rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - 4096))
            lines = handle.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:300] if said else ""


class Shim:
    """Runs, watches, restarts and ends the one workload of the present folder."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self.launch = launch
        self.log = Log()
        self.pipe = -1
        self.child = 0
        self.child_since = 0.0
        self.began = time.time()
        self.stop_at: float | None = None
        self.stopping = False
        self.verdict: Told = {}
        self.next_watch = 0.0
        self.next_disk = time.monotonic() + 2
        self.reported = (0.0, 0.0, 0.0)
        self.tree: tuple[bytes, list[int]] = (b"", [])
        self.backoff = BACKOFF_S[0]
        me = os.getpid()
        self.status: dict[str, Any] = {
            "state": "starting",
            "boot": boot_id(),
            "shim": [me, start_ticks(me)],
            "restarts": 0,
            "memory_mb": 0.0,
            "peak_memory_mb": 0.0,
            "cpu_s": 0.0,
            "disk_mb": 0.0,
            "started_at": self.began,
        }

    def say(self, **facts: Any) -> None:
        """Change the status file."""
        self.status.update(facts)
        write_json("status.json", self.status)

    # -- one run ------------------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start the workload's command in its fence, once the status file knows its process."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        known, tell = os.pipe2(os.O_CLOEXEC)
        self.child = os.fork()
        if not self.child:
            os.close(tell)
            if not os.read(known, 1):  # nobody would find it
                os._exit(127)
            self._become(writing)
        os.close(known)
        os.close(writing)
        self.pipe, self.child_since, self.verdict = reading, time.time(), {}
        self.tree = (b"", [])
        self.say(
            state="running", pid=self.child, child=[self.child, start_ticks(self.child)], reason="", told=None
        )
        os.write(tell, b"1")
        os.close(tell)

    def _become(self, writing: int) -> None:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            quiet = os.open("/dev/null", os.O_RDONLY)
            os.dup2(quiet, 0)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            if self.launch["filter"]:
                self._offer_filter()
            self._limit()
            os.chdir(self.launch["cwd"])
            os.execvpe(self.launch["argv"][0], self.launch["argv"], self.launch["env"])  # noqa: S606
        except BaseException as error:  # noqa: BLE001 - nothing may return into the supervisor's loop
            os.write(2, f"cannot start {self.launch['argv'][0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def _offer_filter(self) -> None:
        """Leave the seccomp filter at the handle where bubblewrap looks for it."""
        reading, writing = os.pipe()
        os.write(writing, bytes.fromhex(self.launch["filter"]))
        os.close(writing)
        if reading != FILTER_AT:
            os.dup2(reading, FILTER_AT)
            os.close(reading)
        os.set_inheritable(FILTER_AT, True)

    def _limit(self) -> None:
        for name, value in self.launch["limits"].items():
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (most, most))
        with open("/proc/self/oom_score_adj", "w") as handle:
            handle.write("900")
        if self.launch["nice"]:
            os.nice(self.launch["nice"])

    def run(self) -> tuple[int, int]:
        """Run the command once; its exit code (-1 when a signal ended it) and that signal."""
        self.spawn()
        while True:
            self._wait()
            now = time.monotonic()
            if now >= self.next_watch:
                self.watch(now)
            ended, code = os.waitpid(self.child, os.WNOHANG)
            if ended:
                self._drain()
                return self._decode(code)

    def _wait(self) -> None:
        pause = self.log.wait_s()
        sources = [self.wakeup] if pause else [self.wakeup, self.pipe]
        sources = [source for source in sources if source >= 0]
        timeout = max(0.01, min(self.next_watch - time.monotonic(), pause or 60.0))
        ready = select.select(sources, [], [], timeout)[0]
        if self.wakeup in ready:
            os.read(self.wakeup, 4096)
        if self.pipe in ready:
            self._take()

    def _take(self) -> bool:
        """Move some output into the log; False at its end."""
        try:
            data = os.read(self.pipe, 65536)
        except BlockingIOError:
            return True
        if data:
            self.log.write(data)
            return True
        os.close(self.pipe)
        self.pipe = -1
        return False

    def _drain(self) -> None:
        until = time.monotonic() + 1.0
        while self.pipe >= 0 and time.monotonic() < until:
            if select.select([self.pipe], [], [], 0.05)[0]:
                self._take()
            elif not self.launch["fenced"]:
                break  # a process that detached still holds the pipe
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def _decode(self, code: int) -> tuple[int, int]:
        if os.WIFSIGNALED(code):
            return -1, os.WTERMSIG(code)
        status = os.WEXITSTATUS(code)
        # bubblewrap reports a death by signal the way a shell does.
        if self.launch["fenced"] and 128 < status < 128 + signal.NSIG:
            return -1, status - 128
        return status, 0

    # -- watching -----------------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Measure the tree, end it where it is beyond its limits, report."""
        pids = self._pids()
        memory, cpu = self._measure(pids)
        temporary = self._temporary_mb(pids)
        memory += temporary
        limit = self.launch["memory_mb"]
        if memory > limit:
            memory = min(memory, (self._proportional(pids) or memory) + temporary)
        if memory > limit:
            self.end(said(gettext_noop("out of memory at %(limit)s MB"), limit=f"{limit:,}"))
        elif len(pids) > self.launch["processes"] + 8:
            most = f"{self.launch['processes']:,}"
            self.end(said(gettext_noop("more than %(most)s processes"), most=most))
        elif self.launch["timeout_s"] and time.time() - self.child_since > self.launch["timeout_s"]:
            limit_s = f"{self.launch['timeout_s']:g}"
            self.end(said(gettext_noop("time limit of %(seconds)s s"), seconds=limit_s))
        elif self.stop_at is not None and now > self.stop_at:
            self.kill()
        if now >= self.next_disk:
            self._watch_disk(now, pids)
        self._report(now, memory, cpu)
        soonest = (limit - memory) / FASTEST_MB_PER_S
        pause = WATCH_CLOSELY_S if self.stopping else min(WATCH_S, max(WATCH_CLOSELY_S, soonest))
        self.next_watch = now + pause
        if self.launch["timeout_s"]:
            left = self.child_since + self.launch["timeout_s"] - time.time()
            self.next_watch = min(self.next_watch, now + max(0.02, left))

    def _pids(self) -> list[int]:
        """The processes of the run; those of the last look where no process was made on this machine since."""
        newest = newest_pid()
        if not newest or newest != self.tree[0]:
            pids = tree(self.child)
            if not self.launch["fenced"]:
                pids = sorted({*pids, *marked(self.launch["id"])})
            self.tree = (newest, pids)
        return self.tree[1]

    def _measure(self, pids: list[int]) -> tuple[float, float]:
        pages = ticks = 0
        for pid in pids:
            fields = _stat(pid)
            if fields:
                pages += int(fields[21])
                ticks += sum(int(value) for value in fields[11:15])
        return pages * PAGE / MB, ticks / TICKS

    def _temporary_mb(self, pids: list[int]) -> float:
        """What the fence's own file systems in memory hold, seen through its last process."""
        if not self.launch["fenced"] or len(pids) < 3:
            return 0.0
        used = 0
        for folder in ("tmp", "dev/shm"):
            try:
                facts = os.statvfs(f"/proc/{pids[-1]}/root/{folder}")
            except OSError:
                continue
            used += (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        return used / MB

    def _proportional(self, pids: list[int]) -> float:
        """The tree's memory with shared pages counted once, in MB; 0 where it cannot be read."""
        total = 0
        for pid in pids:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as handle:
                    total += sum(int(line.split()[1]) for line in handle if line.startswith("Pss:"))
            except OSError:
                continue
        return total / 1024

    def _watch_disk(self, now: float, pids: list[int]) -> None:
        used = _used(self.launch["work"]) / MB
        self.status["disk_mb"] = round(used, 1)
        most = self.launch["disk_mb"]
        if self.launch.get("at_quota") == "freeze":
            self._freeze(pids, frozen=used > most)
            most += most // 2  # code that lifted its own limit again is ended
        if used > most:
            quota = f"{self.launch['disk_mb']:,}"
            self.end(said(gettext_noop("out of disk space at %(quota)s MB"), quota=quota))
        self.next_disk = now + max(2.0, 20 * (time.monotonic() - now))

    def _freeze(self, pids: list[int], *, frozen: bool) -> None:
        """Let no file grow while the folder is over its quota; deleting goes on, and what is deleted thaws it."""
        was = self.status.get("frozen", False)
        if not frozen and not was:
            return
        usual = self.launch["limits"]["RLIMIT_FSIZE"]
        refused = [
            pid for pid in pids if not _limit_files(pid, 0 if frozen else usual, 0 if frozen else usual)
        ]
        if refused and self.launch["uid"]:
            # Without CAP_SYS_RESOURCE only its own user may, and only the soft limit could be raised again.
            _as_user(
                self.launch["uid"],
                lambda: [_limit_files(pid, 0 if frozen else usual, usual) for pid in refused],
            )
        elif refused:
            for pid in refused:
                _limit_files(pid, 0 if frozen else usual, usual)
        if frozen != was:
            self.say(frozen=frozen)

    def _report(self, now: float, memory: float, cpu: float) -> None:
        self.status["peak_memory_mb"] = round(max(memory, self.status["peak_memory_mb"]), 1)
        self.status["memory_mb"], self.status["cpu_s"] = round(memory, 1), round(cpu, 2)
        at, old_memory, old_cpu = self.reported
        if now - at >= REPORT_S and (abs(memory - old_memory) > 2 or cpu - old_cpu > 0.1):
            self.reported = (now, memory, cpu)
            self.say()

    # -- ending -------------------------------------------------------------------------------------

    def end(self, why: Told) -> None:
        """End the run at once and remember why."""
        self.verdict = self.verdict or why
        self.kill()

    def kill(self) -> None:
        """Kill everything of the run. In a fence the first process takes the whole namespace with it, unless it is
        so new that nothing binds them yet: `live` looks for what is left.
        """
        if not self.launch["fenced"]:
            for pid in tree(self.child)[1:]:
                send(pid, signal.SIGKILL)
            kill_marked(self.launch["id"], self.launch["folder"])
        send(self.child, signal.SIGKILL)

    def on_stop(self, number: int, frame: Any) -> None:
        """Somebody asks for the end: pass it on to the command, and set the hour of the kill."""
        grace = float(read_json("stop.json").get("grace_s", 10.0))
        self.stopping = True
        kill_at = time.monotonic() + grace
        self.stop_at = kill_at if self.stop_at is None else min(self.stop_at, kill_at)
        self.next_watch = 0.0
        if self.child:
            send(self._main(), signal.SIGTERM if grace > 0 else signal.SIGKILL)

    def _main(self) -> int:
        """The command's own process: below bubblewrap and its reaper, or the child itself."""
        if not self.launch["fenced"]:
            return self.child
        reaper = _children(self.child)
        # What lost its parent inside is the reaper's, too, behind the command that it has started first.
        below = _children(reaper[0]) if reaper else []
        return below[0] if below else self.child

    def why(self, code: int, number: int) -> Told:
        """The end of a run in words; empty when there is nothing to say."""
        if self.verdict:
            return self.verdict
        if self.stopping:
            return said(gettext_noop("stopped"))
        quota = f"{self.launch['disk_mb']:,}"
        if number == signal.SIGXFSZ:
            return said(gettext_noop("out of disk space at %(quota)s MB"), quota=quota)
        if number:
            name = signal.Signals(number).name
            return said(gettext_noop("killed by signal %(number)s (%(name)s)"), number=number, name=name)
        if code == 0:
            return {}
        line = self.log.last_line()
        if "MemoryError" in line or "bad_alloc" in line:
            pattern = gettext_noop("out of memory at %(limit)s MB: %(line)s")
            return said(pattern, limit=f"{self.launch['memory_mb']:,}", line=line)
        if f"[Errno {errno.EFBIG}]" in line:
            return said(gettext_noop("out of disk space at %(quota)s MB: %(line)s"), quota=quota, line=line)
        if line:
            return said(gettext_noop("exit code %(code)s: %(line)s"), code=code, line=line)
        return said(gettext_noop("exit code %(code)s"), code=code)

    # -- the whole life -----------------------------------------------------------------------------

    def live(self) -> None:
        """Run until nothing is left to restart."""
        self.wakeup, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self.on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGHUP, signal.SIGINT):
            signal.signal(ignored, signal.SIG_IGN)
        if os.path.exists("stop.json"):
            self.on_stop(signal.SIGTERM, None)
        while not self.stopping:
            code, number = self.run()
            kill_marked(self.launch["id"], self.launch["folder"])
            if self._is_over(code, number):
                return
            self._back_off(code, number)
        self.say(state="stopped", **said(gettext_noop("stopped")), finished_at=time.time(), pid=None)

    def _is_over(self, code: int, number: int) -> bool:
        failed = bool(code or number or self.verdict)
        again = self.launch["restart"] == "always" or (self.launch["restart"] == "on-failure" and failed)
        if again and not self.stopping:
            return False
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.say(
            state="stopped" if self.stopping and not self.verdict else "failed" if failed else "succeeded",
            **{"reason": "", "told": None} | self.why(code, number),
            exit_code=code if not number else None,
            signal=number or None,
            cpu_s=round(max(self.status["cpu_s"], usage.ru_utime + usage.ru_stime), 2),
            memory_mb=0.0,
            disk_mb=round(_used(self.launch["work"]) / MB, 1),
            finished_at=time.time(),
            pid=None,
        )
        return True

    def _back_off(self, code: int, number: int) -> None:
        if time.time() - self.child_since > HEALTHY_S:
            self.backoff = BACKOFF_S[0]
        why, self.child = self.why(code, number) or said(gettext_noop("it ended")), 0
        pattern = gettext_noop("%(why)s; starts again in %(seconds)s s")
        words = said(pattern, why=why, seconds=f"{self.backoff:g}")
        self.say(state="restarting", **words, pid=None, restarts=self.status["restarts"] + 1)
        self.log.write(f"[atrium: {words['reason']}]\n".encode())
        until = time.monotonic() + self.backoff
        while not self.stopping and time.monotonic() < until:
            if select.select([self.wakeup], [], [], max(0.0, until - time.monotonic()))[0]:
                os.read(self.wakeup, 4096)
        self.backoff = min(self.backoff * 2, BACKOFF_S[1])


def _limit_files(pid: int, soft: int, hard: int) -> bool:
    """Set how large a process may make files; False when that is not ours to do."""
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return True


def _as_user(uid: int, work: Callable[[], object]) -> None:
    """Do something with another user's rights, in a process of its own."""
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _used(folder: str) -> int:
    """Bytes of disk below `folder`, without following links."""
    total, todo = 0, [folder]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def send(pid: int, number: int) -> None:
    """Signal a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def main(folder: str) -> None:
    """Take the folder over in a process that nobody has to wait for, and live as long as the workload."""
    os.chdir(folder)
    taken, tell = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(tell)
        os.read(taken, 1)
        os._exit(0)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os._exit(0)
    launch = read_json("launch.json")
    if not launch or os.path.exists("status.json"):
        os._exit(0)
    shim = Shim(launch)
    shim.say()
    os.write(tell, b"1")
    os.close(tell)
    shim.live()


if __name__ == "__main__":
    main(sys.argv[1])
