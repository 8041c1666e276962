"""The sandbox: which level this machine can give, what each level holds, and the command that makes it.

As root bubblewrap makes the namespaces without a user namespace and setpriv drops to a uid of the
workload's own: in a user namespace made by root RLIMIT_NPROC held nothing (measured), without one it does.
"""

# ruff: noqa: S108
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from atrium.told import tell

from . import seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LevelName = Literal["bubblewrap", "bubblewrap-rootless", "own-uid", "rlimits"]

HOLDS = (
    "files",
    "processes",
    "network",
    "identity",
    "fork_bomb",
    "memory",
    "disk",
    "temporary_files",
    "output",
)
"""What a level can hold back; the labels stand on the administrator's page."""


@dataclass(frozen=True)
class Level:
    """One way to fence a workload, and which of `HOLDS` it keeps; `why_not`: why no stronger one.

    Its sentences are English and know what they are made of (`atrium.told`); `labels.why_not` has the reader's.
    """

    name: LevelName
    holds: frozenset[str]
    why_not: dict[str, str] = field(default_factory=dict)

    @property
    def is_strong(self) -> bool:
        """Whether code of people that are no administrators may run at this level by default."""
        return {"files", "processes", "network"} <= self.holds


_ALWAYS = frozenset({"memory", "disk", "output"})
LEVELS: dict[LevelName, frozenset[str]] = {
    "bubblewrap": frozenset(HOLDS),
    "bubblewrap-rootless": frozenset(HOLDS) - {"identity"},
    "own-uid": _ALWAYS | {"identity", "fork_bomb"},
    "rlimits": _ALWAYS,
}


@dataclass(frozen=True)
class Bind:
    """A host path at a place in the sandbox."""

    source: str
    target: str
    readonly: bool


@dataclass(frozen=True)
class Fence:
    """All that the command line of a sandboxed process depends on. `uid` is 0 where nothing is dropped.

    `filter_at` is the file handle at which bubblewrap finds the seccomp filter.
    """

    argv: Sequence[str]
    binds: Sequence[Bind]
    cwd: str
    uid: int
    hostname: str
    tmp_bytes: int
    network: bool
    devices: Sequence[str] = ()
    hidden: Sequence[str] = ()
    filter_at: int | None = None


def command(level: LevelName, fence: Fence) -> list[str]:
    """The command that runs `fence.argv` at `level`."""
    if level == "bubblewrap":
        return [*_bubblewrap(fence), *_drop(fence.uid), *fence.argv]
    if level == "bubblewrap-rootless":
        return [*_bubblewrap(fence, user_namespace=True), *fence.argv]
    if level == "own-uid":
        return [*_drop(fence.uid), *fence.argv]
    return list(fence.argv)


def _drop(uid: int) -> list[str]:
    identity = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return ["setpriv", *identity, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"]


def _bubblewrap(fence: Fence, *, user_namespace: bool = False) -> list[str]:
    arguments = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try", "--hostname", fence.hostname]
    if user_namespace:
        arguments += ["--unshare-user", "--disable-userns"]
    if fence.filter_at is not None:
        arguments += ["--seccomp", str(fence.filter_at)]
    if not fence.network:
        arguments += ["--unshare-net"]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    arguments += ["--size", str(fence.tmp_bytes), "--perms", "1777", "--tmpfs", "/dev/shm"]
    arguments += ["--size", str(fence.tmp_bytes), "--perms", "1777", "--tmpfs", "/tmp"]
    for folder in _parents([bind.target for bind in fence.binds]):
        arguments += ["--perms", "0755", "--dir", folder]
    for device in fence.devices:
        arguments += ["--dev-bind-try", device, device]
    for bind in [*_system(), *fence.binds]:
        arguments += ["--ro-bind" if bind.readonly else "--bind", bind.source, bind.target]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if Path(path).is_symlink():
            arguments += ["--symlink", str(Path(path).readlink()), path]
    for path in fence.hidden:
        arguments += ["--tmpfs", path]
    return [*arguments, "--remount-ro", "/", "--chdir", fence.cwd, "--"]


def _parents(targets: Sequence[str]) -> list[str]:
    """The folders above `targets`: bubblewrap would make them closed where a source is closed."""
    above = {str(parent) for target in targets for parent in Path(target).parents}
    return sorted(path for path in above if path != "/" and not path.startswith(_MADE))


_MADE = ("/usr", "/tmp", "/dev", "/proc")
_ETC = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ssl",
    "localtime",
    "mime.types",
    "fonts",
)


def _system() -> list[Bind]:
    folders = [path for path in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64") if Path(path).is_dir()]
    binds = [Bind(path, path, readonly=True) for path in folders if not Path(path).is_symlink()]
    return binds + [Bind(f"/etc/{x}", f"/etc/{x}", readonly=True) for x in _ETC if Path("/etc", x).exists()]


@lru_cache(maxsize=1)
def probe() -> Level:
    """The strongest level that works on this machine, by trying each one."""
    why_not: dict[str, str] = {}
    for name, holds in LEVELS.items():
        reason = _TRIES[name]()
        if not reason:
            return Level(name, holds, why_not)
        why_not[name] = reason
    raise AssertionError("the weakest level needs nothing")


def _try_bubblewrap() -> str:
    if os.geteuid() != 0:
        return tell("the portal does not run as root")
    return _missing("bwrap", "bubblewrap") or _missing("setpriv", "util-linux") or why_not("bubblewrap")


def _try_rootless() -> str:
    if os.geteuid() == 0:
        return tell("the portal runs as root")
    return _missing("bwrap", "bubblewrap") or why_not("bubblewrap-rootless")


def _try_own_uid() -> str:
    if os.geteuid() != 0:
        return tell("the portal does not run as root")
    reason = _missing("setpriv", "util-linux") or why_not("own-uid")
    if not reason:
        return ""
    return tell("another user cannot run %(program)s: %(why)s", program=sys.executable, why=reason)


def _missing(program: str, package: str) -> str:
    if shutil.which(program):
        return ""
    return tell("%(program)s is missing: install the package %(package)s", program=program, package=package)


def why_not(level: LevelName, *, filtered: bool = False) -> str:
    """Why a trivial process cannot run at `level`; empty when it can."""
    python = level == "own-uid"
    argv = [sys.executable, "-I", "-S", "-c", "pass"] if python else ["/bin/sh", "-c", "test -d /proc/self"]
    reading, writing = os.pipe()
    os.write(writing, seccomp.program())
    os.close(writing)
    fence = Fence(
        argv,
        (),
        cwd="/",
        uid=_PROBE_UID,
        hostname="probe",
        tmp_bytes=1 << 20,
        network=False,
        filter_at=reading if filtered else None,
    )
    try:
        done = subprocess.run(
            command(level, fence),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            cwd="/",
            pass_fds=[reading],
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        os.close(reading)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


@lru_cache(maxsize=4)
def filters(level: LevelName) -> bool:
    """Whether system calls can be filtered at `level` on this machine."""
    return level.startswith("bubblewrap") and bool(seccomp.program()) and not why_not(level, filtered=True)


_PROBE_UID = 199_999
_TRIES: dict[LevelName, Callable[[], str]] = {
    "bubblewrap": _try_bubblewrap,
    "bubblewrap-rootless": _try_rootless,
    "own-uid": _try_own_uid,
    "rlimits": str,
}
