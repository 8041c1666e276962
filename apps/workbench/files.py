"""A workspace's files, read from outside its sandbox: never through a link that user code laid."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MOST_FILES = 2000
MOST_BYTES = 256 << 20
_MOST_OFFERED = 200
_SKIPPED = frozenset(("__pycache__", "node_modules"))
_HIDDEN_BUT_MEANT = frozenset((".gitignore", ".gitattributes"))


class TooMuch(Exception):
    """The workspace holds more than is copied; the message says what."""


@dataclass(frozen=True)
class Found:
    """A regular file: its path from the workspace's top, and its size in bytes."""

    path: str
    size: int


def walk(home: Path, suffixes: tuple[str, ...] = ()) -> Iterator[tuple[Found, BinaryIO]]:
    """The regular files below `home` (with one of `suffixes`) with open handles, in order; hidden ones are left out."""
    if not home.is_dir():
        return
    for where, folders, names, parent in os.fwalk(home, follow_symlinks=False):
        folders[:] = sorted(name for name in folders if _is_shown(name) and name not in _SKIPPED)
        for name in sorted(names):
            if not _is_shown(name) or (suffixes and not name.endswith(suffixes)):
                continue
            try:
                with _regular(name, parent) as handle:
                    path = os.path.normpath(os.path.relpath(os.path.join(where, name), home))  # noqa: PTH118
                    yield Found(path, os.fstat(handle.fileno()).st_size), handle
            except OSError:
                continue  # a link, a socket, or gone meanwhile


def _is_shown(name: str) -> bool:
    return not name.startswith(".") or name in _HIDDEN_BUT_MEANT


def copy(source: Path, target: Path) -> None:
    """Copy the regular files below `source` to the new folder `target`; links and hidden files stay behind."""
    target.mkdir()
    for file, handle in walk(source):
        place = target / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as copied:
            shutil.copyfileobj(handle, copied, 1 << 20)
        place.chmod(0o644 | (os.fstat(handle.fileno()).st_mode & 0o111))


def runnable(home: Path) -> list[str]:
    """The notebooks and scripts, at most the first 200."""
    return [file.path for file in _ending(home, ".ipynb", ".py")]


def notebooks(home: Path) -> list[Found]:
    """The notebooks, at most the first 200."""
    return list(_ending(home, ".ipynb"))


def notebooks_with_handles(home: Path) -> Iterator[tuple[Found, BinaryIO]]:
    """The notebooks with open handles, at most the first 200."""
    return islice(walk(home, (".ipynb",)), _MOST_OFFERED)


def _ending(home: Path, *suffixes: str) -> Iterator[Found]:
    return islice((file for file, _handle in walk(home, suffixes)), _MOST_OFFERED)


def models(home: Path, suffixes: tuple[str, ...], marks: Collection[str]) -> list[str]:
    """Where models may lie, at most the first 200: files with a suffix, and folders that hold a file called as `marks`.

    What lies in such a folder is part of it.
    """
    found: list[str] = []
    for file, _handle in walk(home, (*suffixes, *marks)):
        path = PurePosixPath(file.path)
        if path.name not in marks and not path.name.endswith(suffixes):
            continue  # its name only ends like a mark
        place = str(path.parent) if path.name in marks else file.path
        if place == "." or any(place == one or place.startswith(f"{one}/") for one in found):
            continue
        found = [one for one in found if not one.startswith(f"{place}/")] + [place]
        if len(found) >= _MOST_OFFERED:
            break
    return found


def at(home: Path, path: str) -> Iterator[tuple[Found, BinaryIO]]:
    """The file at `path`, or what is below the folder there, each with its path inside it.

    Raises TooMuch when there are too many files, or too many bytes.
    """
    place = PurePosixPath(path)
    for file, handle in _limited((file, handle) for file, handle in walk(home) if _is_at(file.path, place)):
        inside = PurePosixPath(file.path)
        shown = inside.name if inside == place else str(inside.relative_to(place))
        yield Found(shown, file.size), handle


def _is_at(path: str, place: PurePosixPath) -> bool:
    return bool(place.parts) and PurePosixPath(path).is_relative_to(place)


def within_limits(home: Path) -> Iterator[tuple[Found, BinaryIO]]:
    """As `walk`. Raises TooMuch when there are too many files, or too many bytes."""
    return _limited(walk(home))


def _limited(found: Iterable[tuple[Found, BinaryIO]]) -> Iterator[tuple[Found, BinaryIO]]:
    files = total = 0
    for file, handle in found:
        files, total = files + 1, total + file.size
        if files > MOST_FILES:
            raise TooMuch(f"{files:,} > {MOST_FILES:,}")
        if total > MOST_BYTES:
            raise TooMuch(f"{total >> 20:,} MB > {MOST_BYTES >> 20:,} MB ({file.path})")
        yield file, handle


@contextmanager
def opened(home: Path, path: str) -> Iterator[BinaryIO]:
    """One regular file below `home`, reached through real folders only. Raises OSError."""
    with _folder_of(home, path) as (parent, name), _regular(name, parent) as handle:
        yield handle


@contextmanager
def _folder_of(home: Path, path: str) -> Iterator[tuple[int, str]]:
    """The folder that a path lies in, reached through real folders only, and the name in it. Raises OSError."""
    *folders, name = PurePosixPath(path).parts or ("",)
    if not name or ".." in (*folders, name) or path.startswith("/"):
        raise FileNotFoundError(path)
    parent = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(folder, flags, dir_fd=parent)
            os.close(parent)
            parent = inner
        yield parent, name
    finally:
        os.close(parent)


def put_over(home: Path, path: str, content: bytes) -> float:
    """Write a file in one step, for whoever owns its folder, over the one that is there; its time. Raises OSError.

    A link at its place is replaced, not followed; a folder there is an error.
    """
    with _folder_of(home, path) as (parent, name):
        owner, part = os.fstat(parent), f".{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o644, dir_fd=parent), "wb") as file:
            file.write(content)
            file.flush()
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            saved_at = os.fstat(file.fileno()).st_mtime
        try:
            os.rename(part, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            os.unlink(part, dir_fd=parent)
            raise
        return saved_at


def put_new(home: Path, name: str, content: bytes) -> str:
    """Write a new file at the top of `home`, for whoever owns that; its name, with a number where it is taken."""
    parent = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        owner, plain = os.fstat(parent), PurePosixPath(name)
        names = (
            name if number == 1 else f"{plain.stem} {number}{plain.suffix}" for number in range(1, MOST_FILES)
        )
        for free in names:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                handle = os.open(free, flags, 0o644, dir_fd=parent)
            except FileExistsError:
                continue
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            return free
    finally:
        os.close(parent)
    raise FileExistsError(name)


@contextmanager
def _regular(name: str, parent: int) -> Iterator[BinaryIO]:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{name} is no regular file")
        yield opened
