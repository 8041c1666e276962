"""Asynchronous successive halving, as a rule that stops trials: after each rung only the best share goes on.

Rungs are the steps first, first x factor, first x factor^2, ... A trial that reports a rung is compared with all that
reported it before; it goes on while its value is among the best 1/factor of them, itself included. Nobody waits for
others, so the rule may let a trial through that a later one would have displaced, never the other way round.
Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar: A System for Massively Parallel Hyperparameter Tuning
(MLSys 2020), section 3; the stopping form is that of the authors' implementation. Pure computation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rungs = dict[str, dict[str, float]]
"""{step: {trial: value}} of what each rung has seen; JSON, so both keys are texts."""


@dataclass
class Halving:
    """The rule with what it has seen. `best_is_high`: whether higher values are better."""

    first: int
    factor: int
    best_is_high: bool
    seen: Rungs = field(default_factory=dict)

    def stops(self, trial: int, reports: Sequence[tuple[int, float]]) -> int | None:
        """The step at which a trial ends by its reports (step, value) so far; None while it goes on."""
        for rung, value in self._due(trial, reports):
            others = self.seen.setdefault(str(rung), {})
            goes_on = self._is_among_best(value, list(others.values()))
            others[str(trial)] = value
            if not goes_on:
                return rung
        return None

    def _due(self, trial: int, reports: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        """The rungs that the trial has reached and that have not seen it, each with its first value from there on."""
        due, rung = [], self.first
        last = max((step for step, _value in reports), default=0)
        while rung <= last:
            if str(trial) not in self.seen.get(str(rung), {}):
                due.append((rung, next(value for step, value in reports if step >= rung)))
            rung *= self.factor
        return due

    def _is_among_best(self, value: float, others: Sequence[float]) -> bool:
        """Whether at most 1/factor of all, rounded up, are better or as good; the first ones always go on."""
        if not math.isfinite(value):
            return False
        sign = 1 if self.best_is_high else -1
        better = sum(sign * other > sign * value for other in others if math.isfinite(other))
        return len(others) + 1 < self.factor or better < math.ceil((len(others) + 1) / self.factor)


def reports_of(rows: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[int, float]]:
    """What a job reported of one metric as (step, value), by step."""
    found = []
    for row in rows:
        step, value = row.get("step"), row.get(metric)
        if isinstance(step, int) and isinstance(value, int | float) and not isinstance(value, bool):
            found.append((step, float(value)))
    return sorted(found, key=lambda one: one[0])
