"""The rows of a CSV or Parquet file, in blocks that are small enough for the memory.

Most CSV files are plain: a line is a row, without quotes. Such rows stay the bytes that they are, and their numbers are
read column by column, all at once. From the first block that is not plain on, rows are read one by one.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

LONGEST_CELL = 1_000_000
BLOCK_ROWS = 4096
BLOCK_BYTES = 4 << 20
"""Of a CSV file whose rows are plain."""
LOOKED_AT_BYTES = 1 << 18
"""Of those at a time, so that what is found of them stays near the processor."""
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
    def with_commas(self) -> list[bytes] | None:
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
    """Rows of a CSV file: as the file's bytes when they are plain, else as cells by the name of their column.

    The header is row 1 of the file.
    """

    header: list[str]
    delimiter: str
    numbers: Sequence[int]
    data: bytes | None
    read: list[dict[str, str]]
    found: dict[tuple[str, ...], NDArray[np.float64] | None] = field(default_factory=dict)
    """Columns that have been read as numbers."""
    within: "CsvBlock | None" = None
    """The plain block that this one is a part of, from the row `start` on."""
    start: int = 0

    @cached_property
    def lines(self) -> list[bytes]:
        """The rows of a plain block as they stand in the file."""
        if self.within is not None:
            return self.within.lines[self.start : self.start + len(self)]
        lines = (self.data or b"").split(b"\n", len(self))
        return [line.removesuffix(b"\r") for line in lines[: len(self)]]

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        if self.data is None:
            return self.read
        cells = (line.decode().split(self.delimiter) for line in self.lines)
        return [dict(zip(self.header, row, strict=True)) for row in cells]

    @property
    def with_commas(self) -> list[bytes] | None:
        return self.lines if self.data is not None and self.delimiter == "," else None

    def part(self, start: int, end: int) -> "CsvBlock":
        found = {names: None if all_ is None else all_[start:end] for names, all_ in self.found.items()}
        numbers, read = self.numbers[start:end], self.read[start:end]
        if self.data is None:
            return CsvBlock(self.header, self.delimiter, numbers, None, read, found)
        whole, at = (self, start) if self.within is None else (self.within, self.start + start)
        return CsvBlock(self.header, self.delimiter, numbers, b"", read, found, whole, at)

    def numbers_of(self, columns: Sequence[str]) -> NDArray[np.float64] | None:
        names = tuple(columns)
        if names not in self.found:
            self.found[names] = self._read_numbers(names)
        return self.found[names]

    def _read_numbers(self, columns: tuple[str, ...]) -> NDArray[np.float64] | None:
        if self.data is None:
            return None
        places = [self.header.index(name) for name in columns]
        data = self.data or b"\n".join(self.lines)
        try:
            found = read_numbers(data, self.delimiter, places)
        except (ValueError, OverflowError):
            return None
        return found if len(found) == len(self) and bool(np.isfinite(found).all()) else None


def read_numbers(data: bytes, delimiter: str, places: list[int]) -> NDArray[np.float64]:
    """Some cells of each line as numbers [rows, cells], by Arrow where it is installed: it is many times as fast.

    Raises ValueError for a cell that is no number.
    """
    try:
        import pyarrow as pa
        from pyarrow import csv as arrow
    except ImportError:
        rows = (line.split(delimiter) for line in data.decode().splitlines())
        return np.array([[float(row[place]) for place in places] for row in rows])
    names = [f"f{place}" for place in places]
    table = arrow.read_csv(
        pa.BufferReader(data),
        arrow.ReadOptions(autogenerate_column_names=True, block_size=1 << 20),
        arrow.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=False),
        arrow.ConvertOptions(
            include_columns=list(dict.fromkeys(names)),
            column_types=dict.fromkeys(names, pa.float64()),
            null_values=[],
        ),
    )
    found = np.empty((len(names), table.num_rows))
    for at, name in enumerate(names):
        found[at] = table.column(name).to_numpy()
    return found.T


class Rows:
    """A CSV file in UTF-8, to be read again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with self._text(path.open("rb")) as file:
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

    def _text(self, file: BinaryIO) -> TextIO:
        return io.TextIOWrapper(file, encoding="utf-8-sig", newline="")

    def blocks(self) -> Iterator[CsvBlock]:
        """All rows. Raises Unusable with the row for what is no CSV of this header."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[CsvBlock] | None = [] if self.path.stat().st_size <= KEPT_BYTES else None
        try:
            with self.path.open("rb") as file:
                for block in self._blocks(file):
                    if kept is not None:
                        kept.append(block)
                    yield block
            self._kept = kept
        except UnicodeDecodeError as error:
            raise Unusable("encoding", row=_row_of_bad_byte(self.path)) from error

    def _blocks(self, file: BinaryIO) -> Iterator[CsvBlock]:
        if not self._has_plain_header:
            yield from self._one_by_one(csv.reader(self._text(file), delimiter=self.delimiter), 0)
            return
        file.readline()
        number, at = 1, file.tell()
        while data := file.read(BLOCK_BYTES):
            data += file.readline()
            count = self._plain_rows(data)
            if count is None:
                file.seek(at)
                yield from self._one_by_one(csv.reader(self._text(file), delimiter=self.delimiter), number)
                return
            if not data.isascii():
                data.decode()  # letters that are none are told before anything else
            yield CsvBlock(self.header, self.delimiter, range(number + 1, number + 1 + count), data, [])
            number, at = number + count, file.tell()

    def _plain_rows(self, data: bytes) -> int | None:
        """How many rows there are where each line is one, with as many cells as the header; else None."""
        if b'"' in data:
            return None
        data = data if data.endswith(b"\n") else data + b"\n"
        has_returns = b"\r" in data
        rows = at = 0
        while at < len(data):
            end = data.find(b"\n", min(at + LOOKED_AT_BYTES, len(data) - 1)) + 1
            count = self._plain_lines(np.frombuffer(data, np.uint8, end - at, at), has_returns=has_returns)
            if count is None:
                return None
            rows, at = rows + count, end
        return rows

    def _plain_lines(self, values: NDArray[np.uint8], *, has_returns: bool) -> int | None:
        """The same for some lines without quotes; the last one has its end."""
        is_end = values == ord("\n")
        if has_returns and ((values[:-1] == ord("\r")) & ~is_end[1:]).any():
            return None
        ends = np.flatnonzero(is_end)
        starts = np.concatenate(([0], ends[:-1] + 1))
        widths = ends - starts - has_returns
        if widths.min() <= 0 or widths.max() > LONGEST_CELL:
            return None
        marks = len(self.header) - 1
        cuts = np.flatnonzero(values == ord(self.delimiter))
        if len(cuts) != marks * len(ends):
            return None
        by_row = cuts.reshape(len(ends), marks)
        inside = not marks or ((by_row[:, 0] >= starts) & (by_row[:, -1] < ends)).all()
        return len(ends) if inside else None

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


def _row_of_bad_byte(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1
