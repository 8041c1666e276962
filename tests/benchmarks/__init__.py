"""Measurements against the goals; each module has `measure()`, which yields results.

`make bench` runs all, `make bench ONLY=up` one. A figure that cannot be measured here is left out, with the
reason; no old figure is reused.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One figure."""

    id: str
    value: float
    unit: str
    goal: str
    against: str = ""
    """What it is compared with, or the conditions of the measurement."""


class Left(Exception):
    """A figure cannot be measured here; the message says why."""
