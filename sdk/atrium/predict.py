"""`python -m atrium.predict`: the job that asks a capability about every row of a CSV file.

Reads params.json (signature, path) and inputs/rows.csv, in two passes that each hold a few rows only: the first checks
every row, so that nothing is asked of a file that does not fit; the second asks in batches and writes
outputs/answers.csv. result.json has `rows` and `answered`, and `refused` or `stopped` when something is wrong.
"""

import csv
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from atrium import work
from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.oip.arrays import from_array
from atrium.oip.tensors import Tensor

ROWS_PER_CALL = 128
VALUES_PER_CALL = 100_000
LONGEST_CELL = 1_000_000
MOST_FAILED_FIRST = 10 * ROWS_PER_CALL
FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
_DELIMITERS = ",;\t"


class Unusable(Exception):
    """The file cannot be used; `facts` say which row and column, for words in any language."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.facts = {"code": code, **facts}


@dataclass(frozen=True)
class Source:
    """How one input is read from a row: one cell, or one cell for each number."""

    spec: dict[str, Any]
    columns: list[str]
    limits: list[tuple[float | None, float | None]]

    @property
    def single(self) -> bool:
        return len(self.columns) == 1


class Rows:
    """The rows of a CSV file in UTF-8, again and again, with their line's number (the header is row 1)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            start = file.read(4)
            if start == b"PAR1":
                raise Unusable("parquet")
            if start[:2] in (b"PK", b"\xd0\xcf"):
                raise Unusable("spreadsheet")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                first = file.readline(LONGEST_CELL)
        except UnicodeDecodeError as error:
            raise Unusable("encoding", row=_row_of_bad_byte(path)) from error
        self.delimiter = max(_DELIMITERS, key=first.count)
        self.header = next(csv.reader([first], delimiter=self.delimiter), [])
        self.header = [name.strip() for name in self.header]
        if not any(self.header):
            raise Unusable("empty")
        twice = sorted({name for name in self.header if self.header.count(name) > 1})
        if twice:
            raise Unusable("twice", column=twice[0])

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        csv.field_size_limit(LONGEST_CELL)
        number = 1
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            try:
                next(reader)
                for cells in reader:
                    number += 1
                    if not cells:
                        continue
                    if len(cells) != len(self.header):
                        raise Unusable("cells", row=number, got=len(cells), wanted=len(self.header))
                    yield number, dict(zip(self.header, cells, strict=True))
            except UnicodeDecodeError as error:
                raise Unusable("encoding", row=_row_of_bad_byte(self.path)) from error
            except csv.Error as error:
                raise Unusable("csv", row=number + 1, why=str(error)) from error


def _row_of_bad_byte(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def sources_of(signature: dict[str, Any], header: list[str]) -> list[Source]:
    """Which columns feed which input. Raises Unusable naming the columns that are missing."""
    found, missing = [], []
    columns = signature.get("columns") or []
    for spec in signature["inputs"]:
        wanted, limits = _wanted(spec, columns)
        if len(wanted) > 1 and not columns and spec["name"] in header:
            wanted, limits = [spec["name"]], limits[:1]
        titles = {column.get("title"): column["name"] for column in columns if column.get("title")}
        names = {titles.get(name, name): name for name in header}
        missing += [name for name in wanted if name not in names]
        found.append(Source(spec, [names.get(name, name) for name in wanted], limits))
    if missing:
        raise Unusable("columns", missing=missing[:20], count=len(missing), found=header[:40])
    return found


def _wanted(
    spec: dict[str, Any], columns: list[dict[str, Any]]
) -> tuple[list[str], list[tuple[float | None, float | None]]]:
    size = _item_size(spec)
    if columns and size == len(columns) and spec["datatype"] != "BYTES":
        return [c["name"] for c in columns], [(c.get("minimum"), c.get("maximum")) for c in columns]
    limit = (spec.get("minimum"), spec.get("maximum"))
    if size == 1 or size < 0:
        return [spec["name"]], [limit]
    return [f"{spec['name']}_{at}" for at in range(size)], [limit] * size


def _item_size(spec: dict[str, Any]) -> int:
    rest = list(spec["shape"])[1:]
    return -1 if -1 in rest else math.prod(rest)


def item(source: Source, row: dict[str, str], number: int) -> list[Any]:
    """The values of one row for one input. Raises Unusable with row, column and value."""
    spec, size = source.spec, _item_size(source.spec)
    if source.single and size != 1:
        return _list(source, row[source.columns[0]], number)
    if spec["datatype"] == "BYTES":
        return [row[name] for name in source.columns]
    return [
        _number(spec["datatype"], row[name], number, name, limit)
        for name, limit in zip(source.columns, source.limits, strict=True)
    ]


def _list(source: Source, text: str, number: int) -> list[Any]:
    column, size = source.columns[0], _item_size(source.spec)
    try:
        values = np.array(json.loads(text if text.lstrip().startswith("[") else f"[{text}]")).ravel().tolist()
    except (ValueError, TypeError) as error:
        raise Unusable("list", row=number, column=column, value=text[:60]) from error
    if size > 0 and len(values) != size:
        raise Unusable("length", row=number, column=column, got=len(values), wanted=size)
    if source.spec["datatype"] == "BYTES":
        return [str(value) for value in values]
    return [
        _number(source.spec["datatype"], str(value), number, column, source.limits[0]) for value in values
    ]


def _number(
    datatype: str, text: str, row: int, column: str, limit: tuple[float | None, float | None]
) -> float | int | bool:
    text = text.strip()
    if datatype == "BOOL" and text.lower() in {"true", "false", "0", "1"}:
        return text.lower() in {"true", "1"}
    try:
        value = float(text)
        whole = datatype not in FLOATS and datatype != "BF16"
        if not math.isfinite(value) or (whole and value != int(value)):
            raise ValueError
    except ValueError as error:
        kind = "number" if datatype in FLOATS else "whole"
        raise Unusable("value", row=row, column=column, value=text[:60], wanted=kind) from error
    low, high = limit
    if (low is not None and value < low) or (high is not None and value > high):
        raise Unusable("range", row=row, column=column, value=text[:60], low=low, high=high)
    return int(value) if whole else value


def tensors_of(sources: list[Source], rows: list[dict[str, str]], first: int) -> list[Tensor]:
    """The v2 tensors of some rows."""
    tensors = []
    for source in sources:
        spec = source.spec
        flat = [value for at, row in enumerate(rows) for value in item(source, row, first + at)]
        kind: Any = object if spec["datatype"] == "BYTES" else None
        array = np.array(flat, dtype=kind)
        tensors.append(from_array(spec["name"], array.reshape(_shape(spec, len(rows))), spec["datatype"]))
    return tensors


def _shape(spec: dict[str, Any], rows: int) -> list[int]:
    rest = list(spec["shape"])[1:]
    return [rows, *rest] if rest.count(-1) <= 1 else [rows, -1]


def answers_of(signature: dict[str, Any], outputs: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    """For each row its answer in words, the probability of it, and whatever else came back."""
    found: list[dict[str, Any]] = [{} for _row in range(rows)]
    labels: list[Any] = next((s["labels"] for s in signature["outputs"] if s.get("labels")), [])
    for spec in signature["outputs"]:
        values = outputs.get(spec["name"])
        if values is None:
            continue
        values = np.asarray(values).reshape(rows, -1)
        kind = spec.get("kind") or spec["name"].lower()
        for at in range(rows):
            if kind == "class":
                found[at]["answer"] = _label(values[at][0], spec.get("labels") or labels)
            elif kind == "probabilities":
                found[at]["confidence"] = float(values[at].max())
                names = spec.get("labels") or labels
                found[at] |= {
                    f"p_{names[n] if n < len(names) else n}": float(v) for n, v in enumerate(values[at])
                }
            else:
                item = values[at].tolist()
                found[at][spec["name"]] = _plain(item[0]) if len(item) == 1 else json.dumps(item, default=str)
    return found


def _label(value: Any, labels: list[Any]) -> str:
    value = _plain(value)
    if isinstance(value, int) and 0 <= value < len(labels):
        return str(labels[value])
    return str(value)


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class Answers:
    """Writes rows with their answers. The first answer tells the columns: rows that failed before wait for it."""

    def __init__(self, file: TextIO, header: list[str]) -> None:
        self._file, self._header = file, header
        self._writer: csv.DictWriter[str] | None = None
        self._waiting: list[dict[str, Any]] = []

    @property
    def hopeless(self) -> bool:
        """Whether so much failed before any answer that asking on only uses up the quota."""
        return len(self._waiting) >= MOST_FAILED_FIRST

    def write(self, rows: list[dict[str, str]], answers: list[dict[str, Any]], *, failed: bool) -> None:
        told = [row | answer for row, answer in zip(rows, answers, strict=True)]
        if self._writer is None and failed:
            self._waiting += told
            return
        if self._writer is None:
            self._begin(answers[0])
        assert self._writer is not None
        self._writer.writerows(told)

    def finish(self) -> None:
        """Write what still waits, when nothing was answered at all."""
        if self._waiting:
            self._begin({})

    def _begin(self, answer: dict[str, Any]) -> None:
        names = [name for name in dict.fromkeys([*answer, "error"]) if name not in self._header]
        self._writer = csv.DictWriter(self._file, [*self._header, *names], extrasaction="ignore")
        self._writer.writeheader()
        self._writer.writerows(self._waiting)
        self._waiting = []


class Prediction:
    """One file, asked row by row."""

    def __init__(self, params: dict[str, Any], path: Path, endpoint: Endpoint) -> None:
        self.signature, self.endpoint = params["signature"], endpoint
        self.rows = Rows(path)
        self.sources = sources_of(self.signature, self.rows.header)

    def check(self) -> int:
        """Read every row once. Returns how many there are; raises Unusable for the first that does not fit."""
        count = 0
        for number, row in self.rows:
            for source in self.sources:
                item(source, row, number)
            count += 1
            if count % 20_000 == 0:
                work.progress(0.0, f"{count} ✓")
        if not count:
            raise Unusable("empty")
        return count

    def ask(self, total: int, out: Path) -> dict[str, Any]:
        """Ask about all rows and write the answers. Stops where the quota ends; what was answered is kept."""
        answered = failed = 0
        stopped = ""
        with out.open("w", encoding="utf-8", newline="") as file:
            told = Answers(file, self.rows.header)
            for first, rows in self._batches():
                refused = False
                try:
                    answers = self._answers(rows, first)
                except Refused as error:
                    if error.status in (401, 403, 429):
                        stopped = str(error)
                        break
                    answers = [{"error": str(error)[:300]}] * len(rows)
                    failed += len(rows)
                    refused = True
                told.write(rows, answers, failed=refused)
                answered += len(rows)
                work.progress(answered / total, f"{answered} / {total}")
                if told.hopeless:
                    stopped = answers[0]["error"]
                    break
            told.finish()
        return {"rows": total, "answered": answered - failed, "failed": failed, "stopped": stopped}

    def _batches(self) -> Iterator[tuple[int, list[dict[str, str]]]]:
        width = sum(max(1, _item_size(source.spec)) for source in self.sources)
        fixed = any(list(source.spec["shape"])[:1] != [-1] for source in self.sources)
        loose = any(_item_size(source.spec) < 0 for source in self.sources)
        most = 1 if fixed or loose else max(1, min(ROWS_PER_CALL, VALUES_PER_CALL // width))
        gathered: list[dict[str, str]] = []
        first = 0
        for number, row in self.rows:
            first = first or number
            gathered.append(row)
            if len(gathered) == most:
                yield first, gathered
                gathered, first = [], 0
        if gathered:
            yield first, gathered

    def _answers(self, rows: list[dict[str, str]], first: int) -> list[dict[str, Any]]:
        answer = self.endpoint.infer(tensors_of(self.sources, rows, first))
        return answers_of(self.signature, answer.outputs, len(rows))


def main() -> int:
    params = work.params()
    endpoint = Endpoint(os.environ["ATRIUM_GATEWAY_URL"], params["path"], os.environ.pop("ATRIUM_KEY"))
    try:
        prediction = Prediction(params, work.inputs() / "rows.csv", endpoint)
        total = prediction.check()
        result = prediction.ask(total, work.outputs() / "answers.csv")
    except Unusable as error:
        result = {"rows": 0, "answered": 0, "refused": error.facts}
    finally:
        with suppress(OSError):
            endpoint.close()
    work.result(result)
    print(json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
