"""The rows of a Parquet file, and answers written as one. Needs pyarrow, which the base environment has."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from atrium.rows import BLOCK_ROWS, Block, Unusable, header_of

READ_AHEAD = 1 << 20
"""Bytes of each column that are read at once, so that a row group of gigabytes is never whole in the memory."""
FIRST_GROUP_ROWS, GROUP_ROWS = 1 << 12, 1 << 16
"""Row groups grow twofold from the first to the second: a short file is written while its later rows are asked."""
GROUP_BYTES = 32 << 20


class ParquetRows:
    """A Parquet file, to be read again and again, some thousand rows at a time however large its row groups are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with self._open() as file:
                self.types = {field.name: field.type for field in file.schema_arrow}
                self.header = header_of(file.schema_arrow.names)
        except (pa.ArrowException, OSError) as error:
            raise _broken(error) from error

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=READ_AHEAD)

    def blocks(self) -> Iterator[Block]:
        """All rows; the first is row 1. Raises Unusable for what cannot be read."""
        number = 1
        try:
            with self._open() as file:
                for batch in file.iter_batches(BLOCK_ROWS, use_threads=False):
                    yield ParquetBlock(self.header, range(number, number + len(batch)), batch)
                    number += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise _broken(error) from error

    def check_kind(self, column: str, *, number: bool) -> None:
        """Refuse a column of a kind that cannot hold one number (or list of them), or one text, before any row."""
        kind = self.types[column]
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        while _is_list(kind):
            kind = kind.value_type
        tests = (_is_number, _is_text, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
        if not (any(test(kind) for test in tests) if number else not pa.types.is_nested(kind)):
            wanted = "number" if number else "text"
            raise Unusable("kind", column=column, got=str(self.types[column])[:60], wanted=wanted)


class ParquetBlock(Block):
    """Some rows as a record batch."""

    def __init__(self, header: list[str], numbers: Sequence[int], batch: pa.RecordBatch) -> None:
        super().__init__(header, numbers)
        self.batch = batch

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        texts = [self._texts(name) for name in self.header]
        return [dict(zip(self.header, cells, strict=True)) for cells in zip(*texts, strict=True)]

    def _texts(self, name: str) -> list[str]:
        """The cells of a column as a CSV file would have them; nothing where there is none, lists as JSON."""
        column = self.batch.column(name)
        try:
            values = column.to_pylist() if pa.types.is_nested(column.type) else _as_texts(column)
        except (UnicodeDecodeError, pa.ArrowInvalid) as error:
            raise Unusable("letters", row=self.numbers[0], column=name, last=self.numbers[-1]) from error
        return [
            "" if value is None else value if isinstance(value, str) else _json(value) for value in values
        ]

    def part(self, start: int, end: int) -> "ParquetBlock":
        return ParquetBlock(self.header, self.numbers[start:end], self.batch.slice(start, end - start))

    def numbers_of(self, columns: Sequence[str]) -> NDArray[np.float64] | None:
        found = [_numbers(self.batch.column(name)) for name in columns]
        if any(each is None for each in found):
            return None
        return np.column_stack([each for each in found if each is not None])

    def lists_of(self, column: str, size: int) -> NDArray[np.float64] | None:
        cells = self.batch.column(column)
        if not _is_list(cells.type) or _is_list(cells.type.value_type) or cells.null_count:
            return None
        flat = _numbers(cells.flatten())
        if flat is None or set(pc.list_value_length(cells).unique().to_pylist()) != {size}:
            return None
        return flat.reshape(len(self), size)


class ParquetAnswers:
    """Rows with their answers as Parquet. Own columns keep their kind; of a CSV file, what the model takes as numbers
    becomes numbers and all else text.
    """

    def __init__(self, path: Path, header: list[str], kinds: dict[str, str]) -> None:
        """`kinds` says of columns with numbers whether they are `whole` or `number`."""
        self._path, self._header = path, header
        self._kinds = {name: pa.int64() if kind == "whole" else pa.float64() for name, kind in kinds.items()}
        self._told: dict[str, pa.DataType] = {}
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._group_rows = FIRST_GROUP_ROWS

    def begin(self, told: dict[str, Any]) -> None:
        """`told` are the first answers by the name of their column; the kinds of the columns follow from them."""
        kinds = {name: pa.array(values).type for name, values in told.items()}
        self._told = {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in kinds.items()}
        self._told["error"] = pa.string()

    def add(self, block: Block, told: dict[str, Any]) -> None:
        """Keep some rows with their answers; they are written in row groups."""
        columns = self._own(block)
        for name, kind in self._told.items():
            values = told.get(name)
            columns[name] = pa.nulls(len(block), kind) if values is None else pa.array(values, kind)
        names = [*self._header, *(name for name in self._told if name not in self._header)]
        self._waiting.append(pa.RecordBatch.from_arrays([columns[name] for name in names], names=names))
        rows, size = sum(map(len, self._waiting)), sum(batch.nbytes for batch in self._waiting)
        if rows >= self._group_rows or size >= GROUP_BYTES:
            self._write()
            self._group_rows = min(2 * self._group_rows, GROUP_ROWS)

    def _own(self, block: Block) -> dict[str, pa.Array]:
        names = [name for name in self._header if name not in self._told]
        if isinstance(block, ParquetBlock):
            return {name: block.batch.column(name) for name in names}
        places = {name: at for at, name in enumerate(self._kinds)}
        numbers = block.numbers_of(list(places)) if places else None
        holes = numbers is None
        if numbers is None:
            numbers = np.array([[float(row[name].strip() or "nan") for name in places] for row in block.rows])
        return {
            name: pa.array(np.ascontiguousarray(numbers[:, places[name]]), from_pandas=holes).cast(
                self._kinds[name]
            )
            if name in places
            else pa.array([row[name] for row in block.rows], pa.string())
            for name in names
        }

    def _write(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            schema = self._waiting[0].schema
            # Numbers seldom repeat: a dictionary of them costs several times as long as writing them, and nobody looks
            # for rows by their smallest and largest. With their bytes apart the compression has less to do.
            split = [
                each.name
                for each in schema
                if pa.types.is_float32(each.type) or pa.types.is_float64(each.type)
            ]
            others = [each.name for each in schema if not _is_number(each.type)]
            self._writer = pq.ParquetWriter(
                self._path,
                schema,
                compression="snappy",
                use_dictionary=others or False,
                write_statistics=others or False,
                use_byte_stream_split=split or False,
            )
        self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting = []

    def close(self) -> None:
        """Write what still waits, and the end of the file."""
        self._write()
        if self._writer is not None:
            self._writer.close()


def _broken(error: Exception) -> Unusable:
    return Unusable(
        "broken", why=str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
    )


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _as_texts(column: pa.Array) -> list[Any]:
    try:
        return list(column.cast(pa.string()).to_pylist())
    except pa.ArrowNotImplementedError:
        return [None if value is None else str(value) for value in column.to_pylist()]


def _numbers(column: pa.Array) -> NDArray[np.float64] | None:
    if not _is_number(column.type) or column.null_count:
        return None
    found: NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return found if bool(np.isfinite(found).all()) else None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _is_list(kind: pa.DataType) -> bool:
    return any(t(kind) for t in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))
