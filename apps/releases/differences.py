"""What is different between two answers to the same question. Pure computation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TOLERANCE = 1e-5


class Compared(StrEnum):
    """`MOVED`: only floating-point numbers differ, so that classes, labels and texts are the same."""

    SAME = "same"
    MOVED = "moved"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Difference:
    """`largest` is the largest difference between two numbers; None when no two could be compared."""

    compared: Compared
    largest: float | None = None


def compare(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], *, tolerance: float = TOLERANCE
) -> Difference:
    """Compare the outputs of two answers by name: `[{"name", "datatype", "data"}, …]`, data nested or flat.

    Another name, another number of values, or another value that is no float is a different answer. NaN is
    the same as NaN: the callers of a model that says so see no difference.
    """
    left = {output["name"]: output for output in before}
    right = {output["name"]: output for output in after}
    largest: float | None = None
    different = left.keys() != right.keys()
    for name in left.keys() & right.keys():
        a, b = flat(left[name].get("data")), flat(right[name].get("data"))
        if len(a) != len(b):
            different = True
            continue
        floats = all(
            str(side.get("datatype", "")).startswith(("FP", "BF")) for side in (left[name], right[name])
        )
        if not floats:
            different = different or a != b
            continue
        moved = max((_distance(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
        largest = max(moved, largest or 0.0)
    if different:
        return Difference(Compared.DIFFERENT, _finite(largest))
    if largest is not None and largest > tolerance:
        return Difference(Compared.MOVED, _finite(largest))
    return Difference(Compared.SAME, _finite(largest))


def flat(values: Any) -> list[Any]:
    """The leaves of nested lists, in order."""
    if isinstance(values, list):
        return [leaf for value in values for leaf in flat(value)]
    return [values]


def _distance(a: Any, b: Any) -> float:
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return 0.0 if a == b else math.inf
    if x == y or (math.isnan(x) and math.isnan(y)):
        return 0.0
    distance = abs(x - y)
    return math.inf if math.isnan(distance) else distance


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
