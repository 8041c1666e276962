"""Golden rows: rows of the data set version that a model names in its lineage, to compare answers on."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from atrium.oip.arrays import DTYPES, from_array
from atrium.package import Case
from atrium.signature import Signature, TensorSpec
from atrium.told import tell

MOST_ROWS = 500
HELD_OUT = ("test", "validation", "val")
NO_FEATURES = {"id", "split"}
TARGETS = ("label", "target", "class", "y", "category", "digit", "diagnosis", "expected")


class NoGoldenRows(ValueError):
    """The data set's rows are no inputs of this model; the text says why."""


def golden_cases(folder: Path, signature: Signature) -> list[Case]:
    """At most 500 rows as one case without answers, held-out rows where the table marks them.

    Returns nothing when there is no table; raises NoGoldenRows when the one that is there does not fit.
    """
    tables = sorted(folder.rglob("*.csv")) if folder.is_dir() else []
    if not tables:
        return []
    path = next((table for table in tables if table.stem in HELD_OUT), tables[0])
    rows, names = _read(path)
    if not rows:
        return []
    inputs = [
        from_array(spec.name, _values(spec, signature, rows, names), spec.datatype)
        for spec in signature.inputs
    ]
    return [Case(tell("%(count)d rows of %(file)s", count=len(rows), file=path.name), inputs)]


def _read(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = list(reader.fieldnames or [])
        held_out: list[dict[str, str]] = []
        others: list[dict[str, str]] = []
        for row in reader:
            kept = held_out if row.get("split") in HELD_OUT else others
            if len(kept) < MOST_ROWS:
                kept.append(row)
            if len(held_out) == MOST_ROWS:
                break
    return held_out or others, names


def _values(spec: TensorSpec, signature: Signature, rows: list[dict[str, str]], names: list[str]) -> Any:
    columns = [column.name for column in signature.columns] if signature.table() is spec else []
    if spec.name in names and spec.item_count in (1, -1):
        columns = [spec.name]
    if not columns:
        columns = _features(names, spec.item_count)
    missing = [name for name in columns if name not in names]
    if missing or spec.item_count not in (-1, len(columns)):
        raise NoGoldenRows(
            tell("input '%(input)s': there is no column '%(column)s'", input=spec.name, column=missing[0])
            if missing
            else tell(
                "input '%(input)s' takes %(wanted)d values per row; the table has %(got)d",
                input=spec.name,
                wanted=spec.item_count,
                got=len(columns),
            )
        )
    try:
        if spec.datatype == "BYTES":
            values = np.array([[row[name] for name in columns] for row in rows], dtype=object)
        else:
            values = np.array([[float(row[name] or "nan") for name in columns] for row in rows])
            values = values.astype(DTYPES[spec.datatype])
    except (TypeError, ValueError) as error:
        raise NoGoldenRows(
            tell("input '%(input)s' takes numbers: %(error)s", input=spec.name, error=str(error))
        ) from error
    return values.reshape((len(rows), *spec.shape[1:]))


def _features(names: list[str], wanted: int) -> list[str]:
    """The columns that hold the input: all but the row's name, its split, and the target."""
    features = [name for name in names if name not in NO_FEATURES]
    for target in TARGETS:
        if len(features) > wanted > 0 and target in features:
            features.remove(target)
    return features[:-1] if len(features) == wanted + 1 else features
