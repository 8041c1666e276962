"""`python -m atrium.predict`: the job that asks a capability about every row of a CSV or Parquet file.

Reads params.json (signature, path) and inputs/rows, in two passes that each hold a few rows only: the first checks
every row, so that nothing is asked of a file that does not fit; the second asks in batches and writes
outputs/answers.csv and outputs/answers.parquet. result.json has `rows` and `answered`, `refused` or `stopped` when
something is wrong, and `absent`: optional columns that the file has not, so that they were missing in each row.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrium import work
from atrium.answers import Answers, Columns
from atrium.evaluation.endpoint import Endpoint, Refused, in_order
from atrium.oip.arrays import from_array
from atrium.pace import FIRST_ROWS, Pace
from atrium.rows import Block, Unusable, open_table
from atrium.signature import columns_of, limits_of

MOST_FAILED_FIRST = 10 * FIRST_ROWS
AT_ONCE = 2
TOLD_EVERY = 20_000
TOLD_EVERY_S = 0.3
"""How often the page is told how far the asking is: oftener than anybody looks."""
MOST_NAMED = 20
ENDING = (401, 403, 429)
"""After these no further call is answered: the key or its quota has ended."""
FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}

Told = tuple[Block, Columns, Refused | None]


@dataclass(frozen=True)
class Source:
    """How one input is read from a row: one cell, or one cell for each number."""

    spec: dict[str, Any]
    columns: list[str]
    limits: list[tuple[float | None, float | None]]
    kinds: list[str] = field(default_factory=list)
    """The datatype of each column, where they have their own."""
    optional: frozenset[str] = frozenset()
    """Columns whose cells may be empty: the value is missing."""
    absent: frozenset[str] = frozenset()
    """Of those, the ones that the file has not at all."""

    @property
    def single(self) -> bool:
        return len(self.columns) == 1

    @property
    def is_list(self) -> bool:
        """Whether a cell holds all the numbers of a row."""
        return self.single and _item_size(self.spec) > 1 and self.spec["datatype"] not in {"BOOL", "BYTES"}

    @property
    def is_plain(self) -> bool:
        """Whether each cell is one number, or one text."""
        return self.spec["datatype"] != "BOOL" and len(self.columns) == _item_size(self.spec)

    @property
    def is_number(self) -> bool:
        """Whether each cell is one number."""
        return self.is_plain and self.spec["datatype"] != "BYTES"

    @property
    def given(self) -> list[str]:
        """The columns that the file has."""
        return [name for name in self.columns if name not in self.absent] if self.absent else self.columns

    def with_absent(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """[rows, given columns] as [rows, columns]: what the file has not is missing in each row."""
        if not self.absent:
            return values
        whole = np.full((len(values), len(self.columns)), np.nan)
        whole[:, [at for at, name in enumerate(self.columns) if name not in self.absent]] = values
        return whole

    def allows(self, values: NDArray[np.float64]) -> bool:
        """Whether all of [rows, given columns] are within the limits, and whole where they must be."""
        there = [at for at, name in enumerate(self.columns) if name not in self.absent]
        whole = [is_whole(self.kinds[at]) for at in there] if self.kinds else is_whole(self.spec["datatype"])
        if np.any(whole) and not ((values == np.floor(values)) | ~np.array(whole)).all():
            return False
        limits = [self.limits[at] for at in there] if self.absent else self.limits
        if not any(limit != (None, None) for limit in limits):
            return True
        low = np.array([-np.inf if low is None else low for low, _high in limits])
        high = np.array([np.inf if high is None else high for _low, high in limits])
        return bool((values.min(axis=0) >= low).all() and (values.max(axis=0) <= high).all())


def sources_of(signature: dict[str, Any], header: list[str]) -> list[Source]:
    """Which columns feed which input. Raises Unusable naming the columns that are missing and not optional."""
    found, missing = [], []
    columns = columns_of(signature)
    for spec in signature["inputs"]:
        wanted, limits, kinds = _wanted(spec, columns)
        if len(wanted) > 1 and not columns and spec["name"] in header:
            wanted, limits = [spec["name"]], limits[:1]
        titles = {column.get("title"): column["name"] for column in columns if column.get("title")}
        names = {titles.get(name, name): name for name in header}
        free = {column["name"] for column in columns if kinds and column.get("optional")}
        absent = frozenset(name for name in wanted if name in free and name not in names)
        if len(absent) == len(wanted):  # a file without any of them is about something else
            absent = frozenset()
        missing += [name for name in wanted if name not in names and name not in absent]
        given = [names.get(name, name) for name in wanted]
        optional = frozenset(name for name, asked in zip(given, wanted, strict=True) if asked in free)
        found.append(Source(spec, given, limits, kinds, optional, absent))
    if missing:
        raise Unusable("columns", missing=missing[:MOST_NAMED], count=len(missing), found=header[:40])
    return found


def _wanted(
    spec: dict[str, Any], columns: list[dict[str, Any]]
) -> tuple[list[str], list[tuple[float | None, float | None]], list[str]]:
    """The names, limits and datatypes of the columns that feed an input; datatypes only where columns have them."""
    size = _item_size(spec)
    if columns and size == len(columns) and spec["datatype"] != "BYTES":
        kinds = [column["datatype"] or spec["datatype"] for column in columns]
        limits = [
            limits_of(kind, column.get("minimum"), column.get("maximum"))
            if kind != spec["datatype"]
            else (column.get("minimum"), column.get("maximum"))
            for kind, column in zip(kinds, columns, strict=True)
        ]
        return [column["name"] for column in columns], limits, kinds
    limit = (spec.get("minimum"), spec.get("maximum"))
    if size == 1 or size < 0:
        return [spec["name"]], [limit], []
    return [f"{spec['name']}_{at}" for at in range(size)], [limit] * size, []


def is_whole(datatype: str) -> bool:
    return datatype not in FLOATS and datatype != "BF16"


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
    kinds = source.kinds or [spec["datatype"]] * len(source.columns)
    return [
        math.nan
        if name in source.absent or (name in source.optional and not row[name].strip())
        else _number(kind, row[name], number, name, limit)
        for name, kind, limit in zip(source.columns, kinds, source.limits, strict=True)
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
        whole = is_whole(datatype)
        if not math.isfinite(value) or (whole and value != int(value)):
            raise ValueError
    except ValueError as error:
        kind = "number" if datatype in FLOATS else "whole"
        raise Unusable("value", row=row, column=column, value=text[:60], wanted=kind) from error
    low, high = limit
    if (low is not None and value < low) or (high is not None and value > high):
        raise Unusable("range", row=row, column=column, value=text[:60], low=low, high=high)
    return int(value) if whole else value


def arrays_of(sources: list[Source], block: Block) -> list[NDArray[Any]]:
    """The rows as one array for each input. Raises Unusable with row, column and value."""
    found = _arrays_at_once(sources, block)
    if found is not None:
        return found
    arrays = []
    for source in sources:
        flat = [
            value
            for number, row in zip(block.numbers, block.rows, strict=True)
            for value in item(source, row, number)
        ]
        kind: Any = object if source.spec["datatype"] == "BYTES" else None
        arrays.append(np.array(flat, dtype=kind).reshape(_shape(source.spec, len(block))))
    return arrays


def _arrays_at_once(sources: list[Source], block: Block) -> list[NDArray[Any]] | None:
    """The same for plain rows of numbers, lists and texts; None when one has to be looked at."""
    if not all(source.is_plain or source.is_list for source in sources):
        return None
    columns = [name for source in sources if source.is_number for name in source.given]
    numbers = block.numbers_of(columns) if columns else None
    if columns and numbers is None:
        return None
    arrays: list[NDArray[Any]] = []
    at = 0
    for source in sources:
        shape = _shape(source.spec, len(block))
        if source.spec["datatype"] == "BYTES":
            texts = [row[name] for row in block.rows for name in source.columns]
            arrays.append(np.array(texts, dtype=object).reshape(shape))
            continue
        values = block.lists_of(source.columns[0], _item_size(source.spec)) if source.is_list else None
        if source.is_number and numbers is not None:
            values = numbers[:, at : at + len(source.given)]
            at += len(source.given)
        if values is None or not source.allows(values):
            return None
        arrays.append(source.with_absent(values).reshape(shape))
    return arrays


def _shape(spec: dict[str, Any], rows: int) -> list[int]:
    rest = list(spec["shape"])[1:]
    return [rows, *rest] if rest.count(-1) <= 1 else [rows, -1]


def answers_of(signature: dict[str, Any], outputs: dict[str, Any], rows: int) -> Columns:
    """For each row its answer in words, the probability of it, and whatever else came back."""
    found: Columns = {}
    labels: list[Any] = next((s["labels"] for s in signature["outputs"] if s.get("labels")), [])
    for spec in signature["outputs"]:
        values = outputs.get(spec["name"])
        if values is None:
            continue
        values = np.asarray(values).reshape(rows, -1)
        kind = spec.get("kind") or spec["name"].lower()
        names = spec.get("labels") or labels
        if kind == "class":
            column = values[:, 0].tolist()
            found["answer"] = [_label(value, names) for value in column] if names else _words(column)
        elif kind == "probabilities":
            found["confidence"] = values.max(axis=1)
            for at, shares in enumerate(values.T):
                found[f"p_{names[at] if at < len(names) else at}"] = shares
        elif values.shape[1] == 1 and values.dtype.kind in "fiub":
            found[spec["name"]] = values[:, 0]
        elif values.shape[1] == 1:
            found[spec["name"]] = [_plain(value) for value in values[:, 0].tolist()]
        else:
            found[spec["name"]] = [json.dumps(item, default=str) for item in values.tolist()]
    return found


def _label(value: Any, labels: list[Any]) -> str:
    value = _plain(value)
    if isinstance(value, int) and 0 <= value < len(labels):
        return str(labels[value])
    return str(value)


def _words(values: list[Any]) -> list[str]:
    return (
        [str(_plain(value)) for value in values] if isinstance(values[0], bytes) else list(map(str, values))
    )


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class Prediction:
    """One file, asked in calls of many rows: few at first, then as many as the model answers quickly."""

    def __init__(self, params: dict[str, Any], path: Path, connect: Callable[[], Endpoint]) -> None:
        self.signature, self.connect = params["signature"], connect
        self._at_once = int(params.get("at_once", AT_ONCE))
        self.rows = open_table(path)
        self.sources = sources_of(self.signature, self.rows.header)
        for source in self.sources:
            for name in source.given:
                self.rows.check_kind(name, number=source.spec["datatype"] != "BYTES")
        fixed = any(list(source.spec["shape"])[:1] != [-1] for source in self.sources)
        loose = any(_item_size(source.spec) < 0 for source in self.sources)
        width = sum(max(1, _item_size(source.spec)) for source in self.sources)
        self._pace = Pace(width, one_by_one=fixed or loose)
        self._ended = False
        self._told_at = -math.inf

    def check(self) -> int:
        """Read every row once. Returns how many there are; raises Unusable for the first that does not fit."""
        count = 0
        for block in self.rows.blocks():
            if _arrays_at_once(self.sources, block) is None:
                for number, row in zip(block.numbers, block.rows, strict=True):
                    for source in self.sources:
                        item(source, row, number)
            before, count = count, count + len(block)
            if count // TOLD_EVERY > before // TOLD_EVERY:
                work.progress(0.0, f"{count} ✓")
        if not count:
            raise Unusable("empty")
        return count

    def ask(self, total: int, folder: Path) -> dict[str, Any]:
        """Ask about all rows and write the answers. Stops where the quota ends; what was answered is kept.

        So are the answers of a later call that was under way and had taken the last of the quota; the rows before it
        that were refused stand in the file, too, so that it has no gap.
        """
        answered = failed = 0
        stopped = ""
        refused: list[tuple[Block, Columns]] = []
        with closing(Answers(folder, self.rows.header, self._kinds())) as told:
            for block, answers, error in self._asked():
                if error is not None and error.status in ENDING:
                    stopped = stopped or str(error)
                    refused.append((block, answers))
                    continue
                for rows, why in refused:
                    told.write(rows, why, failed=True)
                    failed, answered = failed + len(rows), answered + len(rows)
                refused.clear()
                failed += len(block) if error else 0
                told.write(block, answers, failed=error is not None)
                answered += len(block)
                self._tell_how_far(answered, total)
                if told.waiting >= MOST_FAILED_FIRST:  # asking on would only use up the quota
                    stopped = str(answers["error"][0])
                    break
        absent = sorted({name for source in self.sources for name in source.absent})
        told_of = {"absent": absent[:MOST_NAMED]} if absent else {}
        return {"rows": total, "answered": answered - failed, "failed": failed, "stopped": stopped, **told_of}

    def _tell_how_far(self, answered: int, total: int) -> None:
        now = time.monotonic()
        if answered == total or now - self._told_at >= TOLD_EVERY_S:
            work.progress(answered / total, f"{answered} / {total}")
            self._told_at = now

    def _kinds(self) -> dict[str, str]:
        """Of the columns with one number in each cell, whether they are whole. Yes and no are told as in the file."""
        found: dict[str, str] = {}
        for source in self.sources:
            kind = "whole" if is_whole(source.spec["datatype"]) else "number"
            truths = {name for name, own in zip(source.columns, source.kinds, strict=False) if own == "BOOL"}
            found |= {name: kind for name in source.given if source.is_number and name not in truths}
        return found

    def _asked(self) -> Iterator[Told]:
        """Parts of the file with their answers, or with the refusal; the next are asked while one is written."""
        for told in in_order(self.connect, self._tell, self._parts(), at_once=self._at_once):
            yield from told

    def _parts(self) -> Iterator[Block]:
        for block in self.rows.blocks():
            at = 0
            while at < len(block):
                if self._ended:
                    return
                part = block.part(at, at + self._pace.rows)
                at += len(part)
                yield part

    def _tell(self, endpoint: Endpoint, part: Block) -> list[Told]:
        """The part with its answers; where a large one is refused, one bad row is not to cost the others theirs."""
        if self._ended:
            return []
        try:
            return [(part, self._answers(endpoint, part), None)]
        except Refused as error:
            self._ended = self._ended or error.status in ENDING
            if len(part) <= FIRST_ROWS or self._ended:
                return [(part, _said(part, error), error)]
        self._pace.stay_at(FIRST_ROWS)
        pieces = [part.part(at, at + FIRST_ROWS) for at in range(0, len(part), FIRST_ROWS)]
        return [told for piece in pieces for told in self._tell(endpoint, piece)]

    def _answers(self, endpoint: Endpoint, block: Block) -> Columns:
        specs = [source.spec for source in self.sources]
        tensors = [
            from_array(spec["name"], array, spec["datatype"])
            for spec, array in zip(specs, arrays_of(self.sources, block), strict=True)
        ]
        answer = endpoint.infer(tensors)
        self._pace.took(len(block), answer.seconds)
        return answers_of(self.signature, answer.outputs, len(block))


def _said(block: Block, error: Refused) -> Columns:
    return {"error": [str(error)[:300]] * len(block)}


def main() -> int:
    params = work.params()
    address, key = os.environ["ATRIUM_GATEWAY_URL"], os.environ.pop("ATRIUM_KEY")
    try:
        prediction = Prediction(
            params, work.inputs() / "rows", lambda: Endpoint(address, params["path"], key)
        )
        result = prediction.ask(prediction.check(), work.outputs())
    except Unusable as error:
        result = {"rows": 0, "answered": 0, "refused": error.facts}
    work.result(result)
    print(json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
