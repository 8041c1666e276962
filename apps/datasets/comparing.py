"""What changed between two versions: files, schema, rows, and how each column is distributed.

Rows are compared by 64-bit hashes over the columns that both versions have, so that ten million rows need 80 MB.
With a key (a column whose values are unique in both) a row is added, removed or changed; without one it can only be
added or removed.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from apps.core.later import later

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
else:
    np = later("numpy")

SAMPLES = 10
LONGEST_CELL = 200
MOST_ROWS = 10_000_000
OTHER = "…"
"""Stands for the values beyond the most common ones."""

Rows = Callable[[], Iterator[dict[str, Any]]]
"""Reads a version's rows from the first one on."""


@dataclass(frozen=True)
class Side:
    """One of the two versions."""

    manifest: Mapping[str, Any]
    columns: Sequence[Mapping[str, Any]]
    statistics: Mapping[str, Any]
    rows: int | None
    read: Rows


def compare(before: Side, after: Side, key: str = "") -> dict[str, Any]:
    """The whole comparison as JSON. Raises KeyNotUnique for a `key` that is asked for and cannot be one."""
    return {
        "files": files_of(before.manifest, after.manifest),
        "schema": schema_of(before.columns, after.columns),
        "rows": rows_between(before, after, key),
        "columns": shifts_of(before.statistics, after.statistics),
    }


def files_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """The paths that were added, removed, or hold other bytes."""
    return {
        "added": sorted(set(after) - set(before)),
        "removed": sorted(set(before) - set(after)),
        "changed": sorted(
            path for path in set(before) & set(after) if before[path]["sha256"] != after[path]["sha256"]
        ),
    }


def schema_of(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns that were added or removed, and those whose type is another."""
    old = {column["name"]: column["type"] for column in before}
    new = {column["name"]: column["type"] for column in after}
    return {
        "added": [{"name": name, "type": new[name]} for name in new if name not in old],
        "removed": [{"name": name, "type": old[name]} for name in old if name not in new],
        "changed": [
            {"name": name, "before": old[name], "after": new[name]}
            for name in new
            if name in old and old[name] != new[name]
        ],
    }


# -- how columns are distributed ----------------------------------------------------------------------


def shifts_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns of both by how much they moved, most first.

    `shift` of values is their total variation distance (0 the same shares, 1 none in common); of numbers the
    difference of the means in standard deviations of the first version.
    """
    shared = [name for name in after if name in before]
    found = [_shift(name, before[name], after[name]) for name in shared]
    return sorted((one for one in found if one), key=lambda one: -abs(one["shift"]))


def _shift(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    missing = {"missing_before": old.get("missing", 0), "missing_after": new.get("missing", 0)}
    if _are_values(old) and _are_values(new):
        shares = shares_of(old, new)
        distance = sum(abs(a - b) for a, b in shares.values()) / 2
        values = [
            {"value": value, "before": round(a, 6), "after": round(b, 6)} for value, (a, b) in shares.items()
        ]
        return {"name": name, "kind": "values", "shift": round(distance, 6), "values": values, **missing}
    if "mean" in old and "mean" in new:
        apart, deviation = new["mean"] - old["mean"], old["deviation"]
        shift = apart / deviation if deviation else float(np.sign(apart))
        facts = {
            f"{fact}_{when}": side[fact]
            for fact in ("minimum", "mean", "deviation", "maximum")
            for when, side in (("before", old), ("after", new))
        }
        return {"name": name, "kind": "numbers", "shift": round(shift, 6), **facts, **missing}
    return None


def _are_values(facts: Mapping[str, Any]) -> bool:
    """Words, or numbers that are few enough to be classes."""
    return bool(facts.get("values")) and ("mean" not in facts or facts.get("distinct", 0) <= 20)


def shares_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """{value: (share before, share after)} of what is not missing, the most common first, the rest as one."""
    counts = [side["values"] for side in (old, new)]
    totals = [max(1, side["count"] - side["missing"]) for side in (old, new)]
    told = sorted({*counts[0], *counts[1]}, key=lambda value: (-max(c.get(value, 0) for c in counts), value))
    shares = {
        value: (counts[0].get(value, 0) / totals[0], counts[1].get(value, 0) / totals[1]) for value in told
    }
    rest = (1 - sum(a for a, _b in shares.values()), 1 - sum(b for _a, b in shares.values()))
    return shares | ({OTHER: rest} if max(rest) > 1e-9 else {})


# -- rows ---------------------------------------------------------------------------------------------


class KeyNotUnique(Exception):
    """The column that was asked for as the key has a value twice, or is not in both versions."""


def rows_between(before: Side, after: Side, key: str) -> dict[str, Any] | None:
    """How many rows were added, removed, changed, stayed, with the first of each; None without tables."""
    shared = _shared_columns(before, after)
    if key and key not in shared:
        raise KeyNotUnique
    if not shared or before.rows is None or after.rows is None:
        return None
    if max(before.rows, after.rows) > MOST_ROWS:
        return {"too_many": MOST_ROWS}
    for candidate in [key] if key else [*_likely_keys(before, after, shared), ""]:
        old, new = (_hashed(side.read(), shared, candidate) for side in (before, after))
        if not candidate:
            return {"key": "", "columns": shared, **_without_key(before, after, shared, old, new)}
        if _is_unique(old.keys) and _is_unique(new.keys):
            return {
                "key": candidate,
                "columns": shared,
                **_with_key(before, after, shared, candidate, old, new),
            }
    raise KeyNotUnique


def _shared_columns(before: Side, after: Side) -> list[str]:
    names = {column["name"] for column in before.columns}
    return [column["name"] for column in after.columns if column["name"] in names]


def _likely_keys(before: Side, after: Side, shared: Sequence[str]) -> list[str]:
    """At most one: a column that is called as keys are, and holds as many values as rows as far as is known."""
    named = [name for name in shared if name.lower() in ("id", "key", "uuid") or name.lower().endswith("_id")]
    for name in named:
        facts = [side.statistics.get(name, {}) for side in (before, after)]
        if all(
            not fact.get("missing") and fact.get("distinct", fact.get("count")) == fact.get("count")
            for fact in facts
        ):
            return [name]
    return []


@dataclass(frozen=True)
class _Hashed:
    rows: Hashes
    keys: Hashes


def _hashed(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], key: str) -> _Hashed:
    found, keys = array("Q"), array("Q")
    for row in rows:
        found.append(_hash_of([cell(row.get(name)) for name in columns]))
        if key:
            keys.append(_hash_of([cell(row.get(key))]))
    return _Hashed(np.frombuffer(found, np.uint64), np.frombuffer(keys, np.uint64))


def _hash_of(cells: Sequence[str]) -> int:
    return int.from_bytes(hashlib.blake2b("\x1f".join(cells).encode(), digest_size=8).digest(), "little")


def cell(value: Any) -> str:
    """A cell as the text that is compared: nothing is the same however it is written, lists are JSON."""
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return str(value)


def _is_unique(hashes: Hashes) -> bool:
    return len(np.unique(hashes)) == len(hashes)


def _without_key(
    before: Side, after: Side, columns: Sequence[str], old: _Hashed, new: _Hashed
) -> dict[str, Any]:
    """Rows as a multiset: one that stands there twice and later once was removed once."""
    hashes = np.union1d(old.rows, new.rows)
    apart = _counts(hashes, new.rows) - _counts(hashes, old.rows)
    stayed = int(np.minimum(_counts(hashes, old.rows), _counts(hashes, new.rows)).sum())
    return {
        "added": int(apart[apart > 0].sum()),
        "removed": int(-apart[apart < 0].sum()),
        "changed": 0,
        "unchanged": stayed,
        "added_rows": _rows_with(after, columns, set(hashes[apart > 0][: SAMPLES * 5].tolist())),
        "removed_rows": _rows_with(before, columns, set(hashes[apart < 0][: SAMPLES * 5].tolist())),
        "changed_rows": [],
    }


def _counts(hashes: Hashes, rows: Hashes) -> NDArray[np.int64]:
    found, counts = np.unique(rows, return_counts=True)
    told = np.zeros(len(hashes), np.int64)
    told[np.searchsorted(hashes, found)] = counts
    return told


def _with_key(
    before: Side, after: Side, columns: Sequence[str], key: str, old: _Hashed, new: _Hashed
) -> dict[str, Any]:
    added, removed = np.setdiff1d(new.keys, old.keys), np.setdiff1d(old.keys, new.keys)
    both, at_old, at_new = np.intersect1d(old.keys, new.keys, assume_unique=True, return_indices=True)
    changed = both[old.rows[at_old] != new.rows[at_new]]
    wanted = set(changed[:SAMPLES].tolist())
    pairs = [_found(side, columns, wanted, key) for side in (before, after)]
    return {
        "added": len(added),
        "removed": len(removed),
        "changed": len(changed),
        "unchanged": len(both) - len(changed),
        "added_rows": _rows_with(after, columns, set(added[: SAMPLES * 5].tolist()), key=key),
        "removed_rows": _rows_with(before, columns, set(removed[: SAMPLES * 5].tolist()), key=key),
        "changed_rows": [_change(pairs[0][mark], row, key) for mark, row in pairs[1].items()],
    }


def _change(old: Mapping[str, str], new: Mapping[str, str], key: str) -> dict[str, Any]:
    cells = {
        name: {"before": old[name][:LONGEST_CELL], "after": new[name][:LONGEST_CELL]}
        for name in new
        if old[name] != new[name]
    }
    return {"key": new[key][:LONGEST_CELL], "cells": cells}


def _rows_with(
    side: Side, columns: Sequence[str], wanted: Collection[int], *, key: str = ""
) -> list[dict[str, str]]:
    """The first rows whose hash (of the key, if there is one) is wanted, with cells of a bearable length."""
    rows = islice(_marked(side, columns, wanted, key), SAMPLES) if wanted else ()
    return [{name: text[:LONGEST_CELL] for name, text in row.items()} for _mark, row in rows]


def _found(
    side: Side, columns: Sequence[str], wanted: Collection[int], key: str
) -> dict[int, dict[str, str]]:
    return dict(islice(_marked(side, columns, wanted, key), len(wanted))) if wanted else {}


def _marked(
    side: Side, columns: Sequence[str], wanted: Collection[int], key: str
) -> Iterator[tuple[int, dict[str, str]]]:
    for row in side.read():
        cells = {name: cell(row.get(name)) for name in columns}
        mark = _hash_of([cells[key]] if key else list(cells.values()))
        if mark in wanted:
            yield mark, cells
