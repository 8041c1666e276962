"""Runs workloads on this machine, each under a supervisor process of its own (shim.py).

Everything that is known of a workload lies in its folder, so that any process of the portal can observe,
stop or remove it, and none has to live for it.

    <root>/<id>/   spec.json launch.json status.json stop.json lock log log.<offset> etc/ work/
    <run_dir>/<id>/   the unix sockets of the workload, /run/atrium inside
"""

# ruff: noqa: S108
from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import math
import os
import shutil
import stat
import subprocess
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from django.utils.translation import gettext_noop

from apps.compute.environments.builder import base_python

from . import cards, sandbox, seccomp, shim
from .base import DOOR, FORWARDER, RUN, SDK, WORK, EngineError, File, Observed, Workload, left_out

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENTS = "/opt/atrium/environments"
UIDS = (200_000, 1_000_000)
STARTS_WITHIN_S = 15.0
SPARE_THREADS = 64
SHIM = Path(shim.__file__)


class LocalEngine:
    """The engine of one data folder on one machine. Holds no state of its own."""

    def __init__(
        self, root: Path, run_dir: Path, sdk: Path, *, level: sandbox.LevelName | None = None
    ) -> None:
        self.root, self.run_dir, self.sdk = root.absolute(), run_dir.absolute(), sdk.absolute()
        self._wanted = level
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.run_dir.mkdir(parents=True, exist_ok=True, mode=0o711)

    @property
    def level(self) -> sandbox.LevelName:
        """The level that this engine fences with: the strongest that works here unless told otherwise."""
        return self._wanted or sandbox.probe().name

    # -- start --------------------------------------------------------------------------------------

    def start(self, workload: Workload) -> None:
        """See Engine.start."""
        folder = self.root / workload.id
        try:
            if not folder.exists():
                with self._locked():
                    if not folder.exists():
                        self._prepare(workload, folder)
            if not (folder / "status.json").exists():
                self._launch(folder)
        except OSError as error:  # a full disk, a file that is gone: trying again would not end
            raise EngineError(f"workload {workload.id} cannot be started: {error}") from error

    def _launch(self, folder: Path) -> None:
        with (folder / "shim.err").open("ab") as errors:
            done = subprocess.run(
                [base_python(), "-I", "-S", str(SHIM), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                timeout=STARTS_WITHIN_S,
                check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                cwd="/",
            )
        if done.returncode:
            said = (folder / "shim.err").read_text(errors="replace")[-400:]
            raise EngineError(f"the supervisor of {folder.name} did not start: {said}")

    def _prepare(self, workload: Workload, folder: Path) -> None:
        """Lay the workload's folder out beside, then move it to its name in one step."""
        uid = self._free_uid(workload.id) if self.level in ("bubblewrap", "own-uid") else 0
        for abandoned in self.root.glob(".*.staging"):  # only one caller at a time is here
            shutil.rmtree(abandoned, ignore_errors=True)
        staging = self.root / f".{workload.id}.staging"
        staging.mkdir(mode=0o711)
        work, run = staging / "work", self.run_dir / workload.id
        shutil.rmtree(run, ignore_errors=True)
        work.mkdir(mode=0o700)
        _own(work, uid)
        run.mkdir(mode=0o700)
        if self.level == "bubblewrap":
            # In a sticky folder of root's the kernel follows no link that the workload made, so that its
            # socket can lead the portal nowhere else, and it cannot replace a socket of the portal's.
            run.chmod(0o1777)
        else:
            _own(run, uid)
        for file in workload.files:
            _place(file, work, uid)
        for mount in workload.mounts:
            if not mount.source.exists():
                raise EngineError(
                    f"workload {workload.id}: {mount.source} does not exist and cannot be mounted"
                )
            if not mount.readonly:
                _own_tree(mount.source, uid)
        self._write_etc(staging, uid)
        spec = _plain(workload)
        shim.write_json(str(staging / "spec.json"), spec)
        shim.write_json(str(staging / "launch.json"), self._launch_facts(workload, folder, run, uid))
        try:
            staging.rename(folder)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _write_etc(self, staging: Path, uid: int) -> None:
        etc = staging / "etc"
        etc.mkdir(mode=0o755)
        number = uid or os.getuid()
        root = "root:x:0:0:root:/:/usr/sbin/nologin\n" if number else ""
        (etc / "passwd").write_text(f"{root}atrium:x:{number}:{number}:atrium:{WORK}:/bin/bash\n")
        (etc / "group").write_text(f"root:x:0:\natrium:x:{number}:\n")
        (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        for path in etc.iterdir():
            path.chmod(0o644)

    def _launch_facts(self, workload: Workload, folder: Path, run: Path, uid: int) -> dict[str, Any]:
        needs, level = workload.resources, self.level
        own_cards = cards.choose(needs.gpu, self._cards_held()) if needs.gpu else {}
        fenced = level.startswith("bubblewrap")
        binds = self._binds(workload, folder, run)
        places = self._places(workload, folder, run, fenced=fenced, binds=binds)
        env = {key: _placed(value, places) for key, value in self._env(workload, folder).items()}
        if not fenced:
            env = {**cards.variables(own_cards), **env}
        fence = sandbox.Fence(
            argv=[_placed(part, places) for part in _argv(workload)],
            binds=binds,
            cwd=_placed(workload.cwd, places),
            uid=uid,
            hostname=workload.id,
            tmp_bytes=needs.tmp_mb << 20,
            network=workload.network == "host",
            devices=cards.devices(own_cards),
            filter_at=shim.FILTER_AT if sandbox.filters(level) else None,
        )
        return {
            "id": workload.id,
            "folder": _mark(folder),
            "argv": sandbox.command(level, fence),
            "env": env,
            "cwd": "/" if fenced else fence.cwd,
            "work": str(self._work_source(workload, folder)),
            "uid": uid,
            "fenced": fenced,
            "level": level,
            "filter": seccomp.program().hex() if fence.filter_at is not None else "",
            "limits": _limits(workload, level),
            "cards": own_cards,
            "memory_mb": needs.memory_mb,
            "disk_mb": needs.disk_mb,
            "at_quota": workload.at_quota,
            "processes": needs.processes,
            "timeout_s": workload.timeout_s,
            "restart": workload.restart,
            "nice": workload.nice,
        }

    def _work_source(self, workload: Workload, folder: Path) -> Path:
        own = [mount.source for mount in workload.mounts if mount.target == WORK]
        return own[0].absolute() if own else folder / "work"

    def _binds(self, workload: Workload, folder: Path, run: Path) -> list[sandbox.Bind]:
        binds = [
            sandbox.Bind(str(self._work_source(workload, folder)), WORK, readonly=False),
            sandbox.Bind(str(run), RUN, readonly=False),
            sandbox.Bind(str(self.sdk), SDK, readonly=True),
        ]
        binds += [
            sandbox.Bind(str(folder / "etc" / name), f"/etc/{name}", readonly=True)
            for name in ("passwd", "group", "hosts", "nsswitch.conf")
        ]
        if workload.network == "host" and Path("/etc/resolv.conf").exists():
            binds.append(sandbox.Bind("/etc/resolv.conf", "/etc/resolv.conf", readonly=True))
        if workload.environment:
            binds += environment_binds(workload.environment)
        return binds + [
            sandbox.Bind(str(mount.source.absolute()), mount.target, mount.readonly)
            for mount in workload.mounts
            if mount.target != WORK
        ]

    def _places(
        self, workload: Workload, folder: Path, run: Path, *, fenced: bool, binds: list[sandbox.Bind]
    ) -> dict[str, str]:
        """What a path in argv and env must be replaced with, so that one workload fits every level."""
        if fenced:
            environment = workload.environment
            return {str(environment.absolute()): inside(environment)} if environment else {}
        return {bind.target: bind.source for bind in binds if not bind.target.startswith("/etc/")}

    def _env(self, workload: Workload, folder: Path) -> dict[str, str]:
        threads = str(max(1, math.ceil(workload.resources.cpu)))
        path = "/usr/local/bin:/usr/bin:/bin"
        env = {
            "HOME": WORK,
            "USER": "atrium",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp",
            "MPLCONFIGDIR": "/tmp/matplotlib",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": SDK,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "ATRIUM_WORK": WORK,
            "ATRIUM_RUN": RUN,
            "ATRIUM_WORKLOAD": workload.id,
            "ATRIUM_FOLDER": _mark(folder),
        }
        if workload.environment:
            env["VIRTUAL_ENV"] = inside(workload.environment)
            path = f"{inside(workload.environment)}/bin:{path}"
        if workload.network == "forwarder":
            proxies = {"HTTPS_PROXY": DOOR, "HTTP_PROXY": DOOR, "NO_PROXY": "127.0.0.1,localhost"}
            env |= proxies | {name.lower(): value for name, value in proxies.items()}
        return {**env, "PATH": path, **workload.env}

    def _free_uid(self, workload_id: str) -> int:
        """A uid that no other workload here has; the same one again for the same id when it is free.

        The offset by data folder keeps two instances on one machine apart, as limits count per uid.
        """
        taken = {shim.read_json(str(path)).get("uid") for path in self.root.glob("*/launch.json")}
        first, last = UIDS
        start = zlib.crc32(f"{self.root}/{workload_id}".encode()) % (last - first)
        for step in range(last - first):
            uid = first + (start + step) % (last - first)
            if uid not in taken:
                return uid
        raise EngineError("every user id of the sandbox is taken; remove ended workloads")

    def _cards_held(self) -> dict[str, float]:
        """How much of each card is given to workloads that have not ended.

        Those of an earlier version note no cards, only how much they asked for.
        """
        held, unnamed = dict.fromkeys(cards.present(), 0.0), 0.0
        for path in self.root.glob("*/launch.json"):
            own = shim.read_json(str(path)).get("cards")
            asked = shim.read_json(str(path.with_name("spec.json"))).get("resources", {}).get("gpu", 0.0)
            observed = self.observe(path.parent.name) if asked else None
            if observed is None or observed.ended:
                continue
            if own is None:
                unnamed += asked
            for card, share in (own or {}).items():
                held[card] = held.get(card, 0.0) + share
        for card, share in cards.choose(unnamed, held).items():
            held[card] += share
        return held

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    # -- observe ------------------------------------------------------------------------------------

    def observe(self, workload_id: str) -> Observed | None:
        """See Engine.observe."""
        folder = self.root / workload_id
        try:
            born = folder.stat().st_mtime
        except OSError:
            return None
        status = shim.read_json(str(folder / "status.json"))
        if not status:
            if time.time() - born < STARTS_WITHIN_S:
                return Observed(workload_id, "starting", started_at=born)
            status = self._settle(folder)
        elif "finished_at" not in status and not shim.is_alive(status.get("shim"), status.get("boot")):
            status = self._settle(folder)
        fields = {field.name for field in dataclasses.fields(Observed)}
        return Observed(id=workload_id, **{key: value for key, value in status.items() if key in fields})

    def _settle(self, folder: Path) -> dict[str, Any]:
        """Write the end of a workload whose supervisor was killed, after ending what it left behind."""
        with (folder / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return shim.read_json(str(folder / "status.json")) or {"state": "starting"}
            path = str(folder / "status.json")
            status = shim.read_json(path)
            if "finished_at" in status:
                return status
            child = status.get("child")
            if child and shim.is_alive(child, status.get("boot")):
                shim.send(child[0], 9)
            # Fenced or not: bubblewrap binds its inner process to the outer one, and that to the supervisor, only
            # some milliseconds after each has started.
            shim.kill_marked(folder.name, _mark(folder))
            killed = gettext_noop("its supervisor process was killed")
            never = gettext_noop("its supervisor process never started")
            why = shim.said(killed if status else never)
            status |= {"state": "lost", **why, "finished_at": time.time(), "pid": None}
            shim.write_json(path, status)
            return status

    def list(self) -> list[Observed]:
        """See Engine.list."""
        names = sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))
        return [observed for name in names if (observed := self.observe(name))]

    # -- output -------------------------------------------------------------------------------------

    def log(self, workload_id: str, offset: int = 0, limit: int = 262_144) -> tuple[bytes, int]:
        """See Engine.log."""
        folder = self.root / workload_id
        starts = sorted(int(path.name[4:]) for path in folder.glob("log.*") if path.name[4:].isdigit())
        for start, name in [(0, "log"), *((start, f"log.{start}") for start in starts)]:
            try:
                with (folder / name).open("rb") as handle:
                    size = os.fstat(handle.fileno()).st_size
                    if offset < start:
                        return left_out(start - offset), start
                    if offset < start + size:
                        handle.seek(offset - start)
                        data = handle.read(limit)
                        return data, offset + len(data)
            except FileNotFoundError:
                continue
        return b"", offset

    def read(self, workload_id: str, path: str, limit: int = 16_777_216) -> bytes | None:
        """See Engine.read."""
        folder, name = os.path.split(path)
        with suppress(OSError), self._opened(workload_id, folder) as parent, _regular(name, parent) as handle:
            data = handle.read(limit + 1)
            return data if len(data) <= limit else None
        return None

    def files(self, workload_id: str, under: str) -> Iterator[tuple[str, BinaryIO]]:
        """See Engine.files."""
        try:
            with self._opened(workload_id, under) as top:
                for where, _, names, parent in os.fwalk(".", dir_fd=top, follow_symlinks=False):
                    for name in sorted(names):
                        with suppress(OSError), _regular(name, parent) as handle:
                            yield os.path.normpath(f"{where}/{name}"), handle
        except FileNotFoundError:
            return

    @contextmanager
    def _opened(self, workload_id: str, path: str) -> Iterator[int]:
        """A handle of a folder below /work, reached without following any link that user code made."""
        facts = shim.read_json(str(self.root / workload_id / "launch.json"))
        if not facts:
            raise FileNotFoundError(workload_id)
        handle = os.open(facts["work"], os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in Path(path).parts:
                if part == "..":
                    raise FileNotFoundError(path)
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    # -- end ----------------------------------------------------------------------------------------

    def stop(self, workload_id: str, grace_s: float = 10.0) -> None:
        """See Engine.stop."""
        folder = self.root / workload_id
        observed = self.observe(workload_id)
        if observed is None or observed.ended:
            return
        shim.write_json(str(folder / "stop.json"), {"grace_s": grace_s})
        status = shim.read_json(str(folder / "status.json"))
        if shim.is_alive(status.get("shim"), status.get("boot")):
            shim.send(status["shim"][0], 15)

    def own(self, workload_id: str, folder: Path) -> None:
        """See Engine.own."""
        uid = shim.read_json(str(self.root / workload_id / "launch.json")).get("uid", 0)
        _chown_tree(folder, uid)

    def remove(self, workload_id: str) -> None:
        """See Engine.remove."""
        folder = self.root / workload_id
        until = time.monotonic() + 10
        while (observed := self.observe(workload_id)) and not observed.ended:
            self.stop(workload_id, grace_s=0)
            if time.monotonic() > until:
                raise EngineError(f"workload {workload_id} does not end")
            time.sleep(0.05)
        shutil.rmtree(self.run_dir / workload_id, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _limits(workload: Workload, level: sandbox.LevelName) -> dict[str, int]:
    needs = workload.resources
    limits = {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 8192,
        "RLIMIT_FSIZE": needs.disk_mb << 20,
        # One process cannot run far beyond the limit of the tree before the watch comes round.
        "RLIMIT_DATA": (2 * needs.memory_mb + 512) << 20,
    }
    if level in ("bubblewrap", "own-uid"):
        limits["RLIMIT_NPROC"] = needs.processes
    elif os.geteuid() != 0:  # the limit counts all of the portal's user, but holds back only the workload
        limits["RLIMIT_NPROC"] = needs.processes + _threads_of(os.getuid()) + SPARE_THREADS
    return limits


def _threads_of(uid: int) -> int:
    """How many threads a user of the machine runs now."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.stat().st_uid == uid:
                count += len(list((folder / "task").iterdir()))
    return count


def _mark(folder: Path) -> str:
    """Tells the workloads of one data folder from namesakes of another, without showing the path."""
    return str(zlib.crc32(str(folder).encode()))


def _argv(workload: Workload) -> list[str]:
    return [*(FORWARDER if workload.network == "forwarder" else ()), *workload.argv]


def inside(environment: Path) -> str:
    """Where a sandbox finds an environment."""
    return f"{ENVIRONMENTS}/{environment.name}"


def environment_binds(environment: Path) -> list[sandbox.Bind]:
    """An environment and what its python needs, at their places in a sandbox."""
    own = sandbox.Bind(str(environment.absolute()), inside(environment), readonly=True)
    return [own, *(sandbox.Bind(path, path, readonly=True) for path in _interpreter(environment))]


def _interpreter(environment: Path) -> list[str]:
    """Folders outside /usr that the environment's python needs to run."""
    python = environment / "bin" / "python"
    prefixes = {str(Path(os.path.realpath(python)).parent.parent)}
    with suppress(OSError):
        for line in (environment / "pyvenv.cfg").read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                prefixes.add(str(Path(value.strip()).parent))
    return sorted(path for path in prefixes if not path.startswith("/usr") and Path(path).is_dir())


def _placed(text: str, places: dict[str, str]) -> str:
    """`text` with each path that begins with one of `places` moved, also within a list joined by ':'."""
    return ":".join(_placed_path(part, places) for part in text.split(":")) if "/" in text else text


def _placed_path(text: str, places: dict[str, str]) -> str:
    key, equals, value = text.rpartition("=")
    for target in sorted(places, key=len, reverse=True):
        if value == target or value.startswith(f"{target}/"):
            return f"{key}{equals}{places[target]}{value[len(target) :]}"
    return text


def _place(file: File, work: Path, uid: int) -> None:
    target = Path(file.target)
    if target.is_absolute() or ".." in target.parts or not target.name:
        raise EngineError(f"{file.target!r} is no path below /work")
    place = work / target
    for parent in reversed(target.parents):
        if not (work / parent).exists():
            (work / parent).mkdir(mode=0o755)
            _own(work / parent, uid)
    if isinstance(file.content, bytes):
        place.write_bytes(file.content)
    elif uid and _may_link(file.content):
        with suppress(OSError):
            place.hardlink_to(file.content)
            return
        shutil.copyfile(file.content, place)
    else:
        shutil.copyfile(file.content, place)
    place.chmod(0o644)
    _own(place, uid)


def _may_link(source: Path) -> bool:
    """Whether the workload's uid could read but never change `source` through a second name."""
    facts = source.lstat()
    readable = facts.st_mode & stat.S_IROTH and not facts.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
    return bool(stat.S_ISREG(facts.st_mode) and readable and facts.st_uid == 0)


def _own(path: Path, uid: int) -> None:
    if uid:
        os.chown(path, uid, uid, follow_symlinks=False)


def _own_tree(path: Path, uid: int) -> None:
    """Give a folder that is mounted for writing to the workload's uid, unless it has it already."""
    if path.stat().st_uid != uid:
        _chown_tree(path, uid)


def _chown_tree(path: Path, uid: int) -> None:
    if not uid:
        return
    for _, _, names, parent in os.fwalk(path, follow_symlinks=False):
        for name in names:
            os.chown(name, uid, uid, dir_fd=parent, follow_symlinks=False)
        os.fchown(parent, uid, uid)


@contextmanager
def _regular(name: str, parent: int) -> Iterator[BinaryIO]:
    """A regular file of the folder handle `parent`; OSError for links, pipes, sockets and devices."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no regular file", name)
        yield opened


def _plain(workload: Workload) -> dict[str, Any]:
    """The workload as JSON for whoever looks into its folder; contents and secrets stay out."""
    facts = dataclasses.asdict(workload) | {"files": [file.target for file in workload.files]}
    facts["env"] = sorted(workload.env)
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain
