"""How much a release risks, from what its report says of it beside production. Pure computation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Risk(StrEnum):
    """What a signer looks at first."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


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
