"""How much a release risks, from what its report says of it beside production. Pure computation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from apps.evaluation.gates import HIGHER_IS_BETTER


class Risk(StrEnum):
    """What a signer looks at first."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


def weighed(verdict: str, headline: Mapping[str, Any]) -> dict[str, Any]:
    """A report as the QA inbox shows it: its `main` figure, that figure's `value` and `difference` to production, and
    the `risk`. Reports from before there were other tasks have accuracy alone.
    """
    main = headline.get("main", "accuracy")
    difference = headline.get("difference") or headline.get("accuracy_difference")
    return {
        "main": main,
        "value": headline.get("value", headline.get("accuracy")),
        "difference": difference,
        "risk": risk_of(verdict, difference, higher_is_better=main in HIGHER_IS_BETTER),
    }


def risk_of(verdict: str, difference: Mapping[str, Any] | None, *, higher_is_better: bool = True) -> Risk:
    """High: a gate is not passed, or the whole interval of the difference to production is on the bad side.

    Medium: nothing to compare with, or the interval crosses zero. Low: the whole interval is on the good side.
    """
    if verdict != "passed":
        return Risk.HIGH
    if not difference or difference.get("low") is None or difference.get("high") is None:
        return Risk.MEDIUM
    sign = 1 if higher_is_better else -1
    worst, best = sorted((sign * float(difference["low"]), sign * float(difference["high"])))
    if best < 0:
        return Risk.HIGH
    return Risk.LOW if worst >= 0 else Risk.MEDIUM
