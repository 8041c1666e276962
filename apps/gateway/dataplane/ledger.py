"""What this process has spent of each quota, in a mapped file that outlives a kill.

The shared counter learns of it within seconds; when a process dies before that, a sibling reads its ledger
and reports in its name, so that no unit is spent twice and none is lost.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ledger"
SLOT = struct.Struct("<Q152s")
COUNT = struct.Struct("<Q")
SLOTS = 1024


class Ledger:
    """Rows of (counter's key, units spent), each changed in place by a single write."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(self._file, SLOTS * SLOT.size)
        self._map = mmap.mmap(self._file, SLOTS * SLOT.size)
        self._free = list(range(0, SLOTS * SLOT.size, SLOT.size))[::-1]

    def open(self, key: str) -> int:
        """A row for this counter, at 0; returns its place."""
        if not self._free:
            size = len(self._map)
            self._map.resize(size * 2)
            self._free = list(range(size, size * 2, SLOT.size))[::-1]
        place = self._free.pop()
        SLOT.pack_into(self._map, place, 0, key.encode())
        return place

    def write(self, place: int, spent: int) -> None:
        COUNT.pack_into(self._map, place, spent)

    def close_row(self, place: int) -> None:
        """Give the row back; called when its last figure has been reported."""
        SLOT.pack_into(self._map, place, 0, b"")
        self._free.append(place)

    def remove(self) -> None:
        """Leave nothing to settle; called at the end, when everything has been reported."""
        self._path.unlink(missing_ok=True)


class Orphan:
    """The ledger of a process that is gone; `rows` is what it had spent."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.process = path.parent.name
        self._file = file
        data = os.pread(file, os.fstat(file).st_size, 0)
        rows = (SLOT.unpack_from(data, at) for at in range(0, len(data) - SLOT.size + 1, SLOT.size))
        self.rows = {key.rstrip(b"\0").decode(): spent for spent, key in rows if key.strip(b"\0")}

    def settled(self) -> None:
        """Remove it; called when every row has been reported."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        os.close(self._file)


def orphans(folder: Path) -> list[Orphan]:
    """Ledgers whose writers are dead, locked for the caller."""
    found = []
    for path in folder.glob(f"*/{NAME}"):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        found.append(Orphan(path, file))
    return found
