"""Build the locked environments that workloads run in, with uv, one folder per lock.

A folder's name carries the digest of its lock and interpreter, so a new lock makes a new folder and
what runs keeps its own. The marker is written last: a folder without it is half-built and is thrown away.
"""

from __future__ import annotations

import codecs
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCKS = Path(__file__).parent
MARKER = ".ready"
OWN = "locks"
OWN_PREFIX = "own-"
"""Begins the name of an environment that is called after its lock."""
DIGEST_LENGTH = 12

DOWNLOAD, INSTALL, CHECK = "download", "install", "check"
STEPS = (DOWNLOAD, INSTALL, CHECK)
LAST_LINES = 15
ELSEWHERE = "Another process installs these very packages; waiting for it.\n"
THERE = "These very packages are installed already.\n"

Say = Callable[[str], None]
Watch = Callable[[str, str], None]
"""Hears (step, text) of what the installer prints, as it comes."""


def unheard(step: str, text: str) -> None:
    """Whoever watches nothing."""


class BuildError(Exception):
    """An environment could not be built; the message has the last lines of the installer."""


def names() -> list[str]:
    """The environments that the portal ships a lock for."""
    return sorted(lock.stem for lock in LOCKS.glob("*.lock"))


def base_python() -> str:
    """The interpreter below any virtual environment; new environments and supervisors are made from it."""
    return getattr(sys, "_base_executable", "") or sys.executable


def lock_of(name: str, root: Path) -> Path:
    """The lock of environment `name`: one that the portal ships, or one of its own below `root`.

    Raises BuildError when there is neither.
    """
    for lock in (LOCKS / f"{name}.lock", root / OWN / f"{name}.lock"):
        if lock.is_file():
            return lock
    raise BuildError(f"there is no environment {name!r}; there are: {', '.join(names())}")


def keep_lock(lock: str, root: Path) -> str:
    """Keep a lock that was made for somebody's own packages; returns the name of its environment."""
    name = f"{OWN_PREFIX}{hashlib.sha256(lock.encode()).hexdigest()[:DIGEST_LENGTH]}"
    target = root / OWN / f"{name}.lock"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}")
        scratch.write_text(lock, encoding="utf-8")
        scratch.replace(target)
    return name


def digest(name: str, root: Path) -> str:
    """The first 12 digits over lock, Python version and platform of environment `name`."""
    lock = lock_of(name, root)
    about = f"{platform.python_version()} {sysconfig.get_platform()}\n".encode()
    return hashlib.sha256(about + lock.read_bytes()).hexdigest()[:DIGEST_LENGTH]


def folder(name: str, root: Path) -> Path:
    """Where environment `name` of the present lock lies below `root`, built or not."""
    return root / f"{name}-{digest(name, root)}"


def is_built(name: str, root: Path) -> bool:
    """Whether environment `name` can be used as it lies there."""
    return (folder(name, root) / MARKER).is_file()


def build(name: str, root: Path, say: Say = print, watch: Watch = unheard) -> Path:
    """Build environment `name` unless it is there; several callers at once build it once.

    Raises BuildError with the installer's last lines.
    """
    target = folder(name, root)
    if not is_built(name, root):
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{name}.lock", lambda: watch(DOWNLOAD, ELSEWHERE)):
            if not is_built(name, root):
                _install(name, target, root, say, watch)
                return target
    watch(CHECK, THERE)
    return target


def _install(name: str, target: Path, root: Path, say: Say, watch: Watch) -> None:
    say(f"environment {name}: building")
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    _uv(["venv", "-q", "--python", base_python(), str(target)], lambda text: watch(DOWNLOAD, text))
    python = str(target / "bin" / "python")
    lock = lock_of(name, root)
    # A lock of somebody's own is never built from source: that would run its authors' code here.
    ready_made = [] if lock.parent == LOCKS else ["--only-binary", ":all:"]
    # Workloads see the folder read-only, so nobody could write the byte code later.
    wanted = ["--require-hashes", "--compile-bytecode", *ready_made, "-r", str(lock)]
    _uv(["pip", "install", "--python", python, *wanted], _Steps(watch))
    _uv(["pip", "check", "--python", python], lambda text: watch(CHECK, text))
    (target / MARKER).write_text(digest(name, root) + "\n", encoding="utf-8")
    say(f"environment {name}: ready")


def uv_program() -> str:
    """The uv beside the portal's interpreter, else the one on the path."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or "uv"


class _Steps:
    """Tells the step that uv's own words belong to: it has downloaded everything when it says "Prepared"."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._step, self._line = watch, DOWNLOAD, ""

    def __call__(self, text: str) -> None:
        *lines, self._line = (self._line + text).split("\n")
        self._watch(self._step, text)
        if self._step == DOWNLOAD and any(line.startswith(("Prepared ", "Installed ")) for line in lines):
            self._step = INSTALL
            self._watch(INSTALL, "")


def _uv(arguments: list[str], hear: Say) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    command = [uv_program(), *arguments]
    decoder, said = codecs.getincrementaldecoder("utf-8")("replace"), ""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as running:
        assert running.stdout is not None
        while data := running.stdout.read(65_536):
            text = decoder.decode(data)
            said = (said + text)[-20_000:]
            hear(text)
    if running.returncode:
        last = "\n".join(said.strip().splitlines()[-LAST_LINES:])
        raise BuildError(f"uv {arguments[0]} failed with exit code {running.returncode}:\n{last}")


@contextmanager
def _locked(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
