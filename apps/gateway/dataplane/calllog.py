"""Writes each call down before its answer leaves.

A record is in the kernel when `append` returns, so no kill of a process loses it; the disk follows within
50 ms, or before the answer where `fsync_each_call` is set. A segment is locked by its writer: a reader
that gets the lock knows that nothing more will come.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.gateway.dataplane import segments

if TYPE_CHECKING:
    from apps.gateway.dataplane.config import Config

SYNC_SECONDS = 0.05
PROBE_SECONDS = 1.0


class LogFull(OSError):
    """The log cannot be written; no call may be answered as if it had been."""


class CallLog:
    """The segment files of one process: `<folder>/<process>/000001.seg`, 000002, …"""

    def __init__(self, config: Config, process: str) -> None:
        self.folder = Path(config.calllog_dir) / process
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._config = config
        self._number = 0
        self._file = -1
        self._size = 0
        self._opened = 0.0
        self._full_until = 0.0
        self._syncing: asyncio.Future[None] | None = None
        self._on_disk = 0
        self.written = 0
        self._open()

    def _open(self) -> None:
        self._number += 1
        path = self.folder / f"{self._number:06d}.seg"
        # Seen by its name only once it is locked: a reader takes one without a lock for the last of a writer that is
        # gone, and deletes it.
        new = path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.link(new, path)
        except OSError:
            os.close(file)
            raise
        finally:
            new.unlink(missing_ok=True)
        self._file, self._size, self._opened = file, 0, time.monotonic()

    def check(self) -> None:
        """Raises LogFull when the last write failed a moment ago. Called before work is spent on a call."""
        if self._full_until and time.monotonic() < self._full_until:
            raise LogFull

    def append(self, facts: dict[str, Any] | bytes, request: bytes = b"", answer: bytes = b"") -> None:
        """Write one record whole, or not at all and raise LogFull."""
        self._write(segments.pack(facts, request, answer), 1)

    def append_all(self, records: list[dict[str, Any]]) -> None:
        """Write records without bodies: all of them, or none and raise LogFull."""
        self._write(b"".join(map(segments.pack, records)), len(records))

    def _write(self, data: bytes, records: int) -> None:
        try:
            written = os.write(self._file, data)
        except OSError as problem:
            self._failed()
            raise LogFull(str(problem)) from problem
        if written != len(data):
            os.ftruncate(self._file, self._size)
            self._failed()
            raise LogFull("the disk is full")
        self._size += written
        self.written += records
        self._full_until = 0.0
        if self._size >= self._config.segment_bytes:
            self._rotate()

    def _failed(self) -> None:
        self._full_until = time.monotonic() + PROBE_SECONDS

    def _rotate(self) -> None:
        """Start a new segment; when the disk has no room for one the old one goes on."""
        old = self._file
        try:
            self._open()
        except OSError:
            self._failed()
            return
        if self._config.fsync_each_call:
            _sync_and_close(old)
        else:
            asyncio.get_running_loop().run_in_executor(None, _sync_and_close, old)

    async def on_disk(self) -> None:
        """Return when everything appended so far is on the disk; concurrent callers share one fsync."""
        wanted = self.written
        while self._on_disk < wanted:
            if self._syncing is not None:
                await asyncio.shield(self._syncing)
                continue
            loop = asyncio.get_running_loop()
            self._syncing, covered = loop.create_future(), self.written
            try:
                await loop.run_in_executor(None, _sync, self._file)
                self._on_disk = covered
            finally:
                done, self._syncing = self._syncing, None
                done.set_result(None)

    async def keep_syncing(self) -> None:
        """Runs beside the calls: brings what was written to the disk, and closes old segments."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await self.on_disk()
            except OSError:
                self._failed()
            if self._size and time.monotonic() - self._opened > self._config.segment_seconds:
                self._rotate()

    def close(self) -> None:
        """Sync and give the segment to the ingester."""
        _sync_and_close(self._file)


def _sync(file: int) -> None:
    try:
        os.fdatasync(file)
    except OSError as problem:
        if problem.errno != errno.EBADF:  # a segment that was rotated meanwhile is synced by its closing
            raise


def _sync_and_close(file: int) -> None:
    try:
        _sync(file)
    finally:
        os.close(file)
