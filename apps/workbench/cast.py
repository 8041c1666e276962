"""asciicast v2 (docs.asciinema.org/manual/asciicast/v2): a header, then a line of JSON per event.

Events are [seconds, "o", output] and [seconds, "r", "COLSxROWS"]; typed input ("i") is never written. Each line
goes to the file in one write, so that a kill leaves a recording that reads up to there.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MOST_BYTES = 20 << 20
_COLUMNS, _ROWS = 80, 24
_MOST_COLUMNS = 1000


class CastWriter:
    """Writes one recording; holds a lock on its file, so that others see whether somebody still writes."""

    def __init__(
        self, path: Path, title: str, *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        """Begin the file. Raises OSError."""
        self._clock, self._began, self._left, self._title = clock, clock(), most_bytes, title
        self._header_written, self.full, self.size, self.seconds = False, False, 0, 0.0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has that size from now on."""
        columns, rows = (min(max(int(given), 1), _MOST_COLUMNS) for given in (columns, rows))
        if not self._header_written:
            self._head(columns, rows)
        else:
            self._event("r", f"{columns}x{rows}")

    def output(self, text: str) -> None:
        """The terminal showed this. Beyond the limit nothing is kept but the last word that says so."""
        if not self._header_written:
            self._head(_COLUMNS, _ROWS)
        if not self.full and len(text) * 6 > self._left and len(json.dumps(text)) > self._left:
            self.full = True
            self._event(
                "o", "\r\n\x1b[7m The recording ends here: it has reached its size limit. \x1b[0m\r\n"
            )
        elif not self.full:
            self._event("o", text)

    def close(self) -> None:
        """End it."""
        os.close(self._file)

    def _head(self, columns: int, rows: int) -> None:
        self._header_written = True
        header = {"version": 2, "width": columns, "height": rows, "timestamp": int(self._began)}
        self._line({**header, "title": self._title, "env": {"TERM": "xterm-256color"}})

    def _event(self, kind: str, data: str) -> None:
        self.seconds = max(self._clock() - self._began, self.seconds)
        self._line([round(self.seconds, 4), kind, data])

    def _line(self, document: object) -> None:
        line = json.dumps(document, ensure_ascii=True).encode() + b"\n"
        os.write(self._file, line)
        self._left -= len(line)
        self.size += len(line)


def is_written(path: Path) -> bool:
    """Whether somebody still writes the file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lines_of(path: Path) -> Iterator[bytes]:
    """The whole lines of a recording; the last one of a full disk or a kill may be half, and is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def length_of(path: Path) -> float:
    """The seconds of the last whole event."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - (1 << 20), 0))
        whole = [line for line in file.read().split(b"\n")[:-1] if line.startswith(b"[")]
    try:
        return float(json.loads(whole[-1])[0]) if whole else 0.0
    except (ValueError, TypeError, LookupError):
        return 0.0
