"""The rows of a CSV or Parquet file, in blocks that are small enough for the memory.

Most CSV files are plain: a line is a row, without quotes. Such rows stay the lines that they are, and their numbers are
read column by column, all at once. From the first line that is not plain on, rows are read one by one.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, repeat
from operator import contains
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

LONGEST_CELL = 1_000_000
BLOCK_ROWS = 4096
KEPT_BYTES = 16 << 20
"""The rows of a file up to this size stay in memory for the second reading."""
_DELIMITERS = ",;\t"


class Unusable(Exception):
    """The file cannot be used; `facts` say which row and column, for words in any language."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.facts = {"code": code, **facts}


class Block:
    """Some rows one after the other."""

    def __init__(self, header: list[str], numbers: Sequence[int]) -> None:
        """`numbers`: where each row stands in the file."""
        self.header, self.numbers = header, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The cells of each row by the name of their column, as texts."""
        raise NotImplementedError

    @property
    def with_commas(self) -> list[str] | None:
        """The rows as lines of CSV with commas, where they stand so in the file."""
        return None

    def part(self, start: int, end: int) -> "Block":
        """Some of the rows."""
        raise NotImplementedError

    def numbers_of(self, columns: Sequence[str]) -> NDArray[np.float64] | None:
        """The columns as numbers [rows, columns]; None where a row has to be looked at, or is no finite number."""
        raise NotImplementedError

    def lists_of(self, column: str, size: int) -> NDArray[np.float64] | None:
        """A column of lists with `size` numbers each as [rows, size]; None where a row has to be looked at."""
        return None


class Table(Protocol):
    """A file of rows, to be read again and again."""

    header: list[str]

    def blocks(self) -> Iterator[Block]:
        """All rows. Raises Unusable with the row for what does not fit its header."""

    def check_kind(self, column: str, *, number: bool) -> None:
        """Raise Unusable where a column can hold no number, or no text, whatever its rows are."""


def open_table(path: Path) -> Table:
    """The file by what it begins with. Raises Unusable for what is neither CSV nor Parquet."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in (b"PK", b"\xd0\xcf"):
        raise Unusable("spreadsheet")
    if start != b"PAR1":
        return Rows(path)
    try:
        from atrium.parquet import ParquetRows
    except ImportError as error:
        raise Unusable("parquet") from error
    return ParquetRows(path)


def header_of(names: Sequence[str]) -> list[str]:
    """The names of the columns. Raises Unusable when there are none, or one is there twice."""
    if not any(names):
        raise Unusable("empty")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Unusable("twice", column=twice[0])
    return list(names)


@dataclass
class CsvBlock(Block):
    """Rows of a CSV file: as lines when they are plain, else as cells by the name of their column.

    The header is row 1 of the file.
    """

    header: list[str]
    delimiter: str
    numbers: Sequence[int]
    lines: list[str] | None
    read: list[dict[str, str]]
    found: dict[tuple[str, ...], NDArray[np.float64] | None] = field(default_factory=dict)
    """Columns that have been read as numbers."""

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        if self.lines is None:
            return self.read
        return [dict(zip(self.header, line.split(self.delimiter), strict=True)) for line in self.lines]

    @property
    def with_commas(self) -> list[str] | None:
        return self.lines if self.delimiter == "," else None

    def part(self, start: int, end: int) -> "CsvBlock":
        lines = None if self.lines is None else self.lines[start:end]
        found = {names: None if all_ is None else all_[start:end] for names, all_ in self.found.items()}
        return CsvBlock(
            self.header, self.delimiter, self.numbers[start:end], lines, self.read[start:end], found
        )

    def numbers_of(self, columns: Sequence[str]) -> NDArray[np.float64] | None:
        names = tuple(columns)
        if names not in self.found:
            self.found[names] = self._read_numbers(names)
        return self.found[names]

    def _read_numbers(self, columns: tuple[str, ...]) -> NDArray[np.float64] | None:
        if self.lines is None:
            return None
        places = [self.header.index(name) for name in columns]
        try:
            found = read_numbers(self.lines, self.delimiter, places)
        except (ValueError, OverflowError):
            return None
        return found if len(found) == len(self) and bool(np.isfinite(found).all()) else None


def read_numbers(lines: list[str], delimiter: str, places: list[int]) -> NDArray[np.float64]:
    """Some cells of each line as numbers, by pandas where it is installed: it is several times as fast."""
    try:
        import pandas as pd
    except ImportError:
        cells = (line.split(delimiter) for line in lines)
        return np.array([[float(row[place]) for place in places] for row in cells])
    frame = pd.read_csv(
        io.BytesIO("\n".join(lines).encode()),
        sep=delimiter,
        header=None,
        usecols=sorted(set(places)),
        dtype=np.float64,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
        low_memory=False,
    )
    if places != list(frame.columns):
        frame = frame[places]
    found: NDArray[np.float64] = frame.to_numpy()
    return found


class Rows:
    """A CSV file in UTF-8, to be read again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with self._open() as file:
                first = file.readline(LONGEST_CELL)
        except UnicodeDecodeError as error:
            raise Unusable("encoding", row=_row_of_bad_byte(path)) from error
        self.delimiter = max(_DELIMITERS, key=first.count)
        names = next(csv.reader([first], delimiter=self.delimiter), [])
        self.header = header_of([name.strip() for name in names])
        self._has_plain_header = '"' not in first
        self._kept: list[CsvBlock] | None = None

    def check_kind(self, column: str, *, number: bool) -> None:
        """A column of texts may hold anything."""

    def _open(self) -> TextIO:
        return self.path.open(encoding="utf-8-sig", newline="")

    def blocks(self) -> Iterator[CsvBlock]:
        """All rows. Raises Unusable with the row for what is no CSV of this header."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[CsvBlock] | None = [] if self.path.stat().st_size <= KEPT_BYTES else None
        try:
            with self._open() as file:
                for block in self._blocks(file):
                    if kept is not None:
                        kept.append(block)
                    yield block
            self._kept = kept
        except UnicodeDecodeError as error:
            raise Unusable("encoding", row=_row_of_bad_byte(self.path)) from error

    def _blocks(self, file: TextIO) -> Iterator[CsvBlock]:
        if not self._has_plain_header:
            yield from self._one_by_one(csv.reader(file, delimiter=self.delimiter), 0)
            return
        file.readline()
        number = 1
        while lines := list(islice(file, BLOCK_ROWS)):
            if not self._are_plain(lines):
                yield from self._one_by_one(csv.reader(chain(lines, file), delimiter=self.delimiter), number)
                return
            numbers = range(number + 1, number + 1 + len(lines))
            yield CsvBlock(self.header, self.delimiter, numbers, _without_ends(lines), [])
            number += len(lines)

    def _are_plain(self, lines: list[str]) -> bool:
        """Whether each line is a row of its own, with as many cells as the header."""
        counts = set(map(str.count, lines, repeat(self.delimiter)))
        if counts != {len(self.header) - 1} or max(map(len, lines)) > LONGEST_CELL:
            return False
        return not any(map(contains, lines, repeat('"'))) and not ({"\n", "\r\n", "\r"} & set(lines))

    def _one_by_one(self, reader: Iterator[list[str]], number: int) -> Iterator[CsvBlock]:
        """`number` rows stand before what the reader gives."""
        csv.field_size_limit(LONGEST_CELL)
        numbers: list[int] = []
        read: list[dict[str, str]] = []
        try:
            for cells in reader:
                number += 1
                if not cells or number == 1:
                    continue
                if len(cells) != len(self.header):
                    raise Unusable("cells", row=number, got=len(cells), wanted=len(self.header))
                numbers.append(number)
                read.append(dict(zip(self.header, cells, strict=True)))
                if len(read) == BLOCK_ROWS:
                    yield CsvBlock(self.header, self.delimiter, numbers, None, read)
                    numbers, read = [], []
        except csv.Error as error:
            raise Unusable("csv", row=number + 1, why=str(error)) from error
        if read:
            yield CsvBlock(self.header, self.delimiter, numbers, None, read)


def _without_ends(lines: list[str]) -> list[str]:
    text = "".join(lines)
    if "\r" in text:
        return [line.rstrip("\r\n") for line in lines]
    return text.removesuffix("\n").split("\n")


def _row_of_bad_byte(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1
