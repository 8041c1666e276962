"""Reads CSV, JSONL and Parquet as a stream: schema, row count and statistics in bounded memory. No Django rows here."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

from apps.compute.adapters import read_fenced
from apps.compute.engines.reading import CannotRead
from apps.core.errors import Invalid

MOST_COLUMNS = 2_000
MOST_VALUES = 50
LARGEST_CELL = 1 << 20
SAMPLED_ROWS = 20_000
BINS = 20
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = frozenset({".jsonl", ".ndjson"})
_PARQUET = ".parquet"
TABLES = frozenset({*_DELIMITERS, *_LINES, _PARQUET})


def table_files(manifest: Mapping[str, Any]) -> list[str]:
    """The tabular files of a manifest."""
    return [path for path in sorted(manifest) if PurePosixPath(path).suffix.lower() in TABLES]


def rows_of(path: str, stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """The rows of one CSV, TSV, JSONL or Parquet file. Raises Invalid naming the line that cannot be read."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _LINES:
        yield from _json_rows(path, stream)
    elif suffix == _PARQUET:
        yield from _parquet_rows(path, stream)
    else:
        yield from _csv_rows(path, stream, _DELIMITERS[suffix])


def _csv_rows(path: str, stream: BinaryIO, delimiter: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(LARGEST_CELL)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        header = next(reader, [])
        _check_header(path, header)
        for cells in reader:
            if cells and len(cells) != len(header):
                raise _broken(
                    path,
                    reader.line_num,
                    _("has %(found)d cells, the header has %(wanted)d")
                    % {"found": len(cells), "wanted": len(header)},
                )
            if cells:
                yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise _broken(path, reader.line_num, str(error)) from error
    except UnicodeDecodeError as error:
        raise _broken(path, reader.line_num, _("is not UTF-8 text")) from error


def _check_header(path: str, header: list[str]) -> None:
    if not header or not any(name.strip() for name in header):
        raise _broken(path, 1, _("must name the columns"))
    if len(header) > MOST_COLUMNS:
        raise _broken(path, 1, _("has more than %(most)d columns") % {"most": MOST_COLUMNS})
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise _broken(path, 1, _("names the column “%(name)s” twice") % {"name": twice[0][:80]})


def _json_rows(path: str, stream: BinaryIO) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path, stream), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _broken(path, number, _("is not JSON: %(error)s") % {"error": str(error)[:100]}) from error
        if not isinstance(row, dict):
            raise _broken(path, number, _("is not a JSON object"))
        yield row


def _parquet_rows(path: str, stream: BinaryIO) -> Iterator[dict[str, Any]]:
    try:
        for line in read_fenced("atrium.parquet_lines", stream):
            yield json.loads(line)
    except (CannotRead, ValueError) as error:
        raise Invalid(
            _("%(path)s cannot be read as Parquet: %(error)s. Write the file again and upload it once more.")
            % {"path": path, "error": str(error).rstrip(".")[:200]},
            fields={"file": _("is no Parquet file")},
        ) from error


def _lines(path: str, stream: BinaryIO) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LARGEST_CELL * 16):
        number += 1
        if not line.endswith(b"\n") and len(line) >= LARGEST_CELL * 16:
            raise _broken(path, number, _("is longer than 16 MB"))
        yield line


def _broken(path: str, line: int, problem: str) -> Invalid:
    return Invalid(
        _("%(path)s, line %(line)d: %(problem)s. Correct the file and upload it again.")
        % {"path": path, "line": line, "problem": problem},
        fields={"file": f"{path}, {line}: {problem}"},
    )


@dataclass
class _Column:
    """What one pass over a column gathers."""

    count: int = 0
    missing: int = 0
    numbers: int = 0
    whole: bool = True
    truth: bool = True
    lists: bool = False
    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = 0.0
    spread: float = 0.0
    longest: int = 0
    sample: list[float] = field(default_factory=list)
    values: Counter[str] = field(default_factory=Counter)
    many: bool = False

    def add(self, value: Any) -> None:
        self.count += 1
        if value is None or value == "":
            self.missing += 1
            return
        self.truth = self.truth and (isinstance(value, bool) or str(value).lower() in ("true", "false"))
        number = _number(value)
        if number is not None:
            self._add_number(number)
        if isinstance(value, list | dict):
            self.lists = True
            return
        self._add_value(str(value))

    def _add_number(self, number: float) -> None:
        self.numbers += 1
        self.whole = self.whole and number.is_integer()
        self.minimum, self.maximum = min(self.minimum, number), max(self.maximum, number)
        step = number - self.mean
        self.mean += step / self.numbers
        self.spread += step * (number - self.mean)
        if len(self.sample) < SAMPLED_ROWS:
            self.sample.append(number)

    def _add_value(self, text: str) -> None:
        self.longest = max(self.longest, len(text))
        if not self.many:
            self.values[text[:200]] += 1
            self.many = len(self.values) > MOST_VALUES * 20
            if self.many:
                self.values.clear()

    @property
    def type(self) -> str:
        present = self.count - self.missing
        if self.lists:
            return "json"
        if present and self.truth:
            return "boolean"
        if present and self.numbers == present:
            return "integer" if self.whole else "number"
        return "text"

    def statistics(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"count": self.count, "missing": self.missing}
        if self.type in ("integer", "number"):
            deviation = math.sqrt(self.spread / (self.numbers - 1)) if self.numbers > 1 else 0.0
            facts |= {
                "minimum": self.minimum,
                "maximum": self.maximum,
                "mean": self.mean,
                "deviation": deviation,
                "histogram": _histogram(self.sample, self.minimum, self.maximum),
            }
        elif self.type != "json":
            facts["longest"] = self.longest
        if not self.many and self.values and self.type != "json":
            facts["distinct"] = len(self.values)
            facts["values"] = dict(self.values.most_common(MOST_VALUES))
        return facts


def _number(value: Any) -> float | None:
    if isinstance(value, bool | list | dict):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _histogram(sample: list[float], low: float, high: float) -> dict[str, Any]:
    if low == high:
        return {"edges": [low, high], "counts": [len(sample)]}
    width = (high - low) / BINS
    counts = [0] * BINS
    for number in sample:
        counts[min(BINS - 1, int((number - low) / width))] += 1
    return {"edges": [low + width * step for step in range(BINS + 1)], "counts": counts}


@dataclass(frozen=True)
class Summary:
    """What was read from the tables of a version."""

    columns: list[dict[str, Any]]
    rows: int | None
    statistics: dict[str, Any]
    rows_of: dict[str, int]
    """How many rows each file has."""


class Summariser:
    """Reads tables one after the other; `summary()` at the end."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._files: dict[str, str] = {}
        self._rows = 0
        self._rows_of: dict[str, int] = {}

    def read(self, path: str, stream: BinaryIO) -> None:
        """Take one more file into account. Raises Invalid naming the line that cannot be read."""
        before = self._rows
        for row in rows_of(path, stream):
            self._rows += 1
            for name, value in row.items():
                column = self._columns.get(name)
                if column is None:
                    if len(self._columns) >= MOST_COLUMNS:
                        raise _broken(
                            path,
                            self._rows,
                            _("there are more than %(most)d columns") % {"most": MOST_COLUMNS},
                        )
                    column = self._columns[name] = _Column()
                    self._files[name] = path
                column.add(value)
        self._rows_of[path] = self._rows - before

    def summary(self) -> Summary:
        """Schema, number of rows (None when there is no table) and statistics by column."""
        columns = [
            {"name": name, "type": column.type, "file": self._files[name]}
            for name, column in self._columns.items()
        ]
        statistics = {name: column.statistics() for name, column in self._columns.items()}
        return Summary(columns, self._rows if self._rows_of else None, statistics, self._rows_of)
