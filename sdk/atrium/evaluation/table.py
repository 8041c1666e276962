"""Rows of a data set as the inputs of a capability, with the right answers and the slices they belong to."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrium.evaluation import DATASET
from atrium.oip.arrays import from_array
from atrium.oip.tensors import Tensor
from atrium.signature import Signature, TensorSpec

Array = NDArray[Any]
_NUMBER_FIRST = re.compile(r"^[a-z_ ]*?(\d+)")


class UnusableTable(ValueError):
    """The data set does not fit the capability or the suite; the text names the column and what is expected."""


@dataclass(frozen=True)
class Table:
    """Rows ready to be sent: arrays by input name (first axis: row), the truth, and slice names by row.

    `features` are the columns that inputs were read from, in their order.
    """

    inputs: dict[str, Array]
    truth: Array
    slices: dict[str, Array]
    ids: list[str]
    features: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def width(self) -> int:
        """Values in a row."""
        return sum(values.size for values in self.inputs.values()) // max(len(self), 1)

    def tensors(
        self, rows: slice | Array, signature: Signature, changed: dict[str, Array] | None = None
    ) -> list[Tensor]:
        """The v2 tensors of some rows; `changed` replaces whole inputs, for robustness checks."""
        arrays = self.inputs | (changed or {})
        return [from_array(spec.name, arrays[spec.name][rows], spec.datatype) for spec in signature.inputs]


def read_tables(
    folder: Path, names: Sequence[str], signature: Signature, *, target: str, slices: list[str]
) -> Table:
    """The rows of several data sets below each other, each read from the folder of its place: `0`, `1` and so on.

    The slice `DATASET` names where a row is from. Columns that are taken by their place are the first one's.
    """
    parts: list[Table] = []
    for place, name in enumerate(names):
        order = parts[0].features if parts else None
        try:
            part = read_table(folder / str(place), signature, target=target, slices=slices, order=order)
        except UnusableTable as error:
            raise UnusableTable(f"{name}: {error}") from error
        parts.append(part)
    sources = np.repeat(np.array(names, dtype=object), [len(part) for part in parts])
    return Table(
        inputs={
            spec.name: np.concatenate([part.inputs[spec.name] for part in parts]) for spec in signature.inputs
        },
        truth=np.concatenate([part.truth for part in parts]),
        slices={DATASET: sources}
        | {name: np.concatenate([part.slices[name] for part in parts]) for name in slices},
        ids=[each for part in parts for each in part.ids],
        features=parts[0].features,
    )


def read_table(
    folder: Path,
    signature: Signature,
    *,
    target: str,
    slices: list[str],
    split: str = "test",
    order: Sequence[str] | None = None,
) -> Table:
    """Read the rows to evaluate on: `<split>.csv`, else the only CSV; its column `split`, if any, selects rows.

    `order` names the columns that are taken by their place; else they are the file's.
    """
    path = _choose(folder, split)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = list(reader.fieldnames or [])
        rows = list(reader)
    if "split" in names and any(row["split"] == split for row in rows):
        rows = [row for row in rows if row["split"] == split]
    for needed in [target, *slices]:
        if needed not in names:
            raise UnusableTable(f"{path.name} has no column “{needed}”; it has {', '.join(names[:12])} …")
    if not rows:
        raise UnusableTable(f"{path.name} has no rows to evaluate on")
    features = [
        name for name in names if name not in {target, "split", "id", *_only_slices(slices, signature)}
    ]
    return Table(
        inputs={
            spec.name: _column_values(spec, signature, rows, features, order or features)
            for spec in signature.inputs
        },
        truth=np.array([row[target] for row in rows], dtype=object),
        slices={name: np.array([row[name] for row in rows], dtype=object) for name in slices},
        ids=[row.get("id") or str(number) for number, row in enumerate(rows)],
        features=features,
    )


def _choose(folder: Path, split: str) -> Path:
    named = folder / f"{split}.csv"
    if named.exists():
        return named
    found = sorted(folder.rglob("*.csv"))
    if len(found) != 1:
        raise UnusableTable(
            f"the data set has {len(found)} CSV files; one, or one called {split}.csv, is needed"
        )
    return found[0]


def _only_slices(slices: list[str], signature: Signature) -> set[str]:
    used = {column.name for column in signature.columns} | {spec.name for spec in signature.inputs}
    return set(slices) - used


def _column_values(
    spec: TensorSpec,
    signature: Signature,
    rows: list[dict[str, str]],
    features: list[str],
    order: Sequence[str],
) -> Array:
    if spec.name in features and spec.item_count == 1:
        return _cast(spec, [row[spec.name] for row in rows])
    named = signature.table() is spec
    columns = [column.name for column in signature.columns] if named else list(order)
    if spec.item_count not in (-1, len(columns)):
        raise UnusableTable(
            f"input “{spec.name}” takes {spec.item_count} numbers per row, the data set has {len(columns)} columns"
        )
    missing = [name for name in columns if name not in features]
    if missing:
        who = "the signature names" if named else "the first data set has"
        raise UnusableTable(f"the data set has no column “{missing[0]}”, which {who}")
    flat = _cast(spec, [[row[name] for name in columns] for row in rows])
    return flat.reshape((len(rows), *spec.shape[1:]))


def _cast(spec: TensorSpec, values: list[Any]) -> Array:
    if spec.datatype == "BYTES":
        return np.array(values, dtype=object)
    try:
        numbers = np.array(
            [[float(v or "nan") for v in row] if isinstance(row, list) else float(row) for row in values]
        )
    except ValueError as error:
        raise UnusableTable(f"input “{spec.name}” takes numbers: {error}") from error
    return numbers.astype(np.float32 if spec.datatype == "FP32" else np.float64)
