"""Rows of a data set as the inputs of a capability, with the right answers and the slices they belong to."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrium.oip.arrays import from_array
from atrium.oip.tensors import Tensor
from atrium.signature import Signature, TensorSpec

Array = NDArray[Any]
_NUMBER_FIRST = re.compile(r"^[a-z_ ]*?(\d+)")


class UnusableTable(ValueError):
    """The data set does not fit the capability or the suite; the text names the column and what is expected."""


@dataclass(frozen=True)
class Table:
    """Rows ready to be sent: arrays by input name (first axis: row), the truth, and slice names by row."""

    inputs: dict[str, Array]
    truth: Array
    slices: dict[str, Array]
    ids: list[str]

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


def read_table(
    folder: Path, signature: Signature, *, target: str, slices: list[str], split: str = "test"
) -> Table:
    """Read the rows to evaluate on: `<split>.csv`, else the only CSV; its column `split`, if any, selects rows."""
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
        inputs={spec.name: _column_values(spec, signature, rows, features) for spec in signature.inputs},
        truth=np.array([row[target] for row in rows], dtype=object),
        slices={name: np.array([row[name] for row in rows], dtype=object) for name in slices},
        ids=[row.get("id") or str(number) for number, row in enumerate(rows)],
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
    spec: TensorSpec, signature: Signature, rows: list[dict[str, str]], features: list[str]
) -> Array:
    if spec.name in features and spec.item_count == 1:
        return _cast(spec, [row[spec.name] for row in rows])
    columns = [column.name for column in signature.columns] if signature.table() is spec else features
    if spec.item_count not in (-1, len(columns)):
        raise UnusableTable(
            f"input “{spec.name}” takes {spec.item_count} numbers per row, the data set has {len(columns)} columns"
        )
    missing = [name for name in columns if name not in features]
    if missing:
        raise UnusableTable(f"the data set has no column “{missing[0]}”, which the signature names")
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
