"""Rows with their answers, as CSV and, where pyarrow is installed, as Parquet."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from atrium import jsontext
from atrium.rows import Block

Columns = dict[str, list[Any] | NDArray[Any]]
"""What is told of some rows, by the name of the new column."""

ERROR = "error"


class Sink(Protocol):
    """A file that takes rows with their answers."""

    def begin(self, told: Columns) -> None:
        """The first answers, which say what columns there are; they are added after."""

    def add(self, block: Block, told: Columns) -> None:
        """Some rows with what is told of them; a column of one's own with such a name gives way."""

    def close(self) -> None:
        """Nothing more comes."""


class Answers:
    """Writes answers.csv and answers.parquet. The first answer tells the columns: what failed before waits for it."""

    def __init__(self, folder: Path, header: list[str], kinds: dict[str, str]) -> None:
        """`kinds`: of columns with one number in each cell, whether it is a `number` or `whole`."""
        self._sinks: list[Sink] = [CsvAnswers(folder / "answers.csv", header)]
        try:
            from atrium.parquet import ParquetAnswers
        except ImportError:  # an environment without pyarrow writes CSV alone
            pass
        else:
            self._sinks.append(ParquetAnswers(folder / "answers.parquet", header, kinds))
        self._begun = False
        self._waiting: list[tuple[Block, Columns]] = []

    @property
    def waiting(self) -> int:
        """Rows that failed before there was any answer."""
        return sum(len(block) for block, _told in self._waiting)

    def write(self, block: Block, told: Columns, *, failed: bool) -> None:
        """Rows in the order of the file."""
        if not self._begun and failed:
            self._waiting.append((block, told))
            return
        if not self._begun:
            self._begin(told)
        self._add(block, told)

    def _begin(self, told: Columns) -> None:
        self._begun = True
        for sink in self._sinks:
            sink.begin(told)
        for block, late in self._waiting:
            self._add(block, late)
        self._waiting = []

    def _add(self, block: Block, told: Columns) -> None:
        for sink in self._sinks:
            sink.add(block, told)

    def close(self) -> None:
        """Write what still waits: then nothing was answered at all."""
        if self._waiting:
            self._begin({})
        for sink in self._sinks:
            sink.close()


class CsvAnswers:
    """Rows with their answers as CSV with commas, in UTF-8. A plain line stays as it stood in the file."""

    def __init__(self, path: Path, header: list[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._header = header
        self._names: list[str] = []
        self._beside = False

    def begin(self, told: Columns) -> None:
        names = list(dict.fromkeys([*told, ERROR]))
        self._names = [name for name in names if name not in self._header]
        self._beside = len(self._names) == len(names)
        self._writer = csv.DictWriter(self._file, [*self._header, *self._names], extrasaction="ignore")
        self._writer.writeheader()

    def add(self, block: Block, told: Columns) -> None:
        lines = block.with_commas
        if lines is None or not self._beside:
            self._writer.writerows(
                row | {name: values[at] for name, values in told.items()} for at, row in enumerate(block.rows)
            )
            return
        columns = [told.get(name, [""] * len(block)) for name in self._names]
        plain = _without_marks(columns)
        if plain is not None:
            rows = map(b",".join, zip(lines, *plain, strict=True))
            self._file.flush()  # past the text layer, which is slow with megabytes
            self._file.buffer.write(b"\r\n".join([*rows, b""]))
            return
        more = io.StringIO(newline="")
        csv.writer(more).writerows(zip(*map(_texts, columns), strict=True))
        more.seek(0)
        self._file.write("".join([f"{line.decode()},{end}" for line, end in zip(lines, more, strict=True)]))

    def close(self) -> None:
        self._file.close()


def _without_marks(columns: Sequence[Sequence[Any] | NDArray[Any]]) -> list[list[bytes]] | None:
    """Columns as they stand in a file, those of numbers side by side as one; None where a text needs quotes."""
    found: list[list[bytes]] = []
    for numbers, some in groupby(columns, key=_kind_of_numbers):
        if numbers:
            found.append(_lines(list(some), numbers))
            continue
        texts = [_texts(each) for each in some]
        if any(mark in text for text in map("".join, texts) for mark in ',"\r\n'):
            return None
        found += [list(map(str.encode, each)) for each in texts]
    return found


def _lines(columns: Sequence[Any], kind: str) -> list[bytes]:
    side_by_side = np.column_stack([np.asarray(column, kind) for column in columns])
    return jsontext.number_lines(np.ascontiguousarray(side_by_side))


def _kind_of_numbers(values: Sequence[Any] | NDArray[Any]) -> str:
    """Of finite numbers the kind that is written out, of anything else nothing."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not np.isfinite(values).all():
        return ""
    return "float32" if values.dtype.itemsize <= 4 else "float64"


def _texts(values: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Values as they stand in a cell; a number as the shortest text that reads back as the same number."""
    if kind := _kind_of_numbers(values):
        return [line.decode() for line in _lines([values], kind)]
    return list(map(str, values.tolist() if isinstance(values, np.ndarray) else values))
