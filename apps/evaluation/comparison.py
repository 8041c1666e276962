"""Several reports beside each other. Pure computation on their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.evaluation.gates import HIGHER_IS_BETTER


def side_by_side(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`[{"name", "cells": [{"value", "low", "high", "best"}]}]` for each overall figure that any report has.

    The best is marked only where its interval lies apart from every other's: else the difference may be chance.
    """
    names = list(dict.fromkeys(name for figures in found for name in figures if "/" not in name))
    return [{"name": name, "cells": _cells(name, [figures.get(name) for figures in found])} for name in names]


def gates_beside(found: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """`[{"words", "cells": [a gate's result, or None]}]` for each gate that any report was judged by, in their order;
    suites differ, so a report may not have been asked.
    """
    asked = [{gate["words"]: gate for gate in gates} for gates in found]
    words = dict.fromkeys(word for gates in asked for word in gates)
    return [{"words": word, "cells": [gates.get(word) for gates in asked]} for word in words]


def _cells(name: str, figures: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = [
        {"value": None}
        if figure is None
        else {key: figure.get(key) for key in ("value", "low", "high", "unit")}
        for figure in figures
    ]
    for cell in cells:
        others = [other for other in cells if other is not cell]
        cell["best"] = bool(others) and all(_clearly_better(name, cell, other) for other in others)
    return cells


def _clearly_better(name: str, cell: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    ends = [cell.get("low"), cell.get("high"), other.get("low"), other.get("high")]
    if any(end is None for end in ends):
        return False
    if name in HIGHER_IS_BETTER:
        return bool(cell["low"] > other["high"])
    return name != "bias" and bool(cell["high"] < other["low"])
