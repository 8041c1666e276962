"""Numbers of experiments as people read them: rates in percent, times in milliseconds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.experiments.analysis import worth_knowing
from apps.experiments.models import Experiment
from apps.experiments.slices import WHOLE, Slice

PERCENT = 100
_THOUSANDFOLD = math.log(1000)


@dataclass(frozen=True)
class Unit:
    """How a measure is shown: times `factor`, a mean with `of_mean` behind it and a difference with `of_difference`.

    Of `logs` a mean is the typical value and a difference the change in percent.
    """

    name: str
    factor: float
    of_mean: str
    of_difference: str
    digits: int
    logs: bool = False

    def mean(self, value: float) -> float:
        return math.exp(value) if self.logs else value * self.factor

    def difference(self, value: float) -> float:
        """At most a thousandfold is told of a change: an interval of few callers reaches beyond all numbers."""
        if self.logs:
            return math.expm1(max(-_THOUSANDFOLD, min(_THOUSANDFOLD, value))) * self.factor
        return value * self.factor


def unit_of(experiment: Experiment) -> Unit:
    """How the measure of an experiment is shown."""
    return unit_for(Experiment.Measure(experiment.measure), experiment.metric)


def unit_for(measure: Experiment.Measure, metric: Mapping[str, Any] | None) -> Unit:
    """How a measure is shown; `metric` is the business metric, where there is one."""
    if measure == Experiment.Measure.TYPICAL:
        return Unit(_("Typical latency"), PERCENT, "ms", "%", 2, logs=True)
    if measure == Experiment.Measure.LATENCY:
        return Unit(_("Mean latency"), 1, "ms", "ms", 2)
    if measure == Experiment.Measure.BUSINESS:
        return Unit(str((metric or {}).get("name", "")), 1, "", "", 4)
    return Unit(str(measure.label), PERCENT, "%", pgettext("difference of rates", "points"), 2)


@dataclass(frozen=True)
class ArmShown:
    """An arm with what its callers showed, in the unit of the page; `effect` has difference, low, high and verdict."""

    arm: Any
    units: int
    calls: int
    errors: float | None
    ms: float | None
    correct: float | None
    mean: float | None
    effect: dict[str, Any] | None


def arms_shown(experiment: Experiment) -> list[ArmShown]:
    """The arms, the control first; also before there was a call."""
    unit = unit_of(experiment)
    seen = {each["arm"]: each for each in experiment.evidence.get("arms", [])}
    found = []
    for arm in experiment.arms.all():
        told = seen.get(arm.pk, {})
        effect = told.get("effect")
        if effect:
            numbers = ("difference", "low", "high", "once_low", "once_high")
            effect = effect | {name: unit.difference(effect[name]) for name in numbers}
        mean = told.get("mean")
        found.append(
            ArmShown(
                arm=arm,
                units=told.get("units", 0),
                calls=told.get("calls", 0),
                errors=told.get("errors"),
                ms=told.get("ms"),
                correct=told.get("correct"),
                mean=None if mean is None else unit.mean(mean),
                effect=effect,
            )
        )
    return found


def figure(experiment: Experiment) -> dict[str, Any] | None:
    """The effect of each arm at the looks so far, with its interval; None before there is one."""
    looks = _thinned(experiment.looks)
    unit = unit_of(experiment)
    traces = []
    for arm in list(experiment.arms.all())[1:]:
        rows = [(at, told[str(arm.pk)]) for at, told in looks if str(arm.pk) in told]
        if not rows:
            continue
        difference, low, high = ([unit.difference(row[place]) for _at, row in rows] for place in range(3))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(rows) > 1 else "markers",
                "name": arm.name,
                "x": [at for at, _row in rows],
                "y": [round(value, 6) for value in difference],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [round(top - value, 6) for top, value in zip(high, difference, strict=True)],
                    "arrayminus": [round(value - low, 6) for low, value in zip(low, difference, strict=True)],
                    "thickness": 1.2,
                    "width": 3,
                },
            }
        )
    if not traces:
        return None
    worth = worth_knowing(experiment)
    title = ", ".join(filter(None, [_("arm minus control"), unit.of_difference]))
    return {
        "data": traces,
        "layout": {
            "yaxis": {"title": {"text": title}, "zeroline": True},
            "shapes": [
                {
                    "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at,
                    "line": {"dash": "dot", "width": 1, "color": "#8a94a6"},
                }
                for at in (unit.difference(-worth), unit.difference(worth))
            ],
            "showlegend": len(traces) > 1,
        },
    }  # fmt: skip


MOST_DRAWN = 40


def _thinned(looks: list[Any]) -> list[Any]:
    """Evenly chosen looks, the last one among them."""
    if len(looks) <= MOST_DRAWN:
        return looks
    step = (len(looks) - 1) / (MOST_DRAWN - 1)
    return [looks[round(number * step)] for number in range(MOST_DRAWN)]


@dataclass(frozen=True)
class Piece:
    """A piece of a layer's bar: whose it is, or free; `mine` is what is being planned."""

    begins: int
    size: int
    name: str
    kind: str


def bar(taken: list[tuple[Slice, Experiment]], mine: Slice | None = None) -> list[Piece]:
    """A layer from 0 to 100 % in pieces; what is planned over what is taken is told as `clash`."""
    edges = sorted(
        {0, WHOLE, *(edge for place, _row in taken for edge in (place.begins, place.ends))} | _edges(mine)
    )
    pieces: list[Piece] = []
    for begins, ends in itertools.pairwise(edges):
        owner = next((row.name for place, row in taken if place.begins <= begins < place.ends), "")
        wanted = mine is not None and mine.begins <= begins < mine.ends
        kind = "clash" if wanted and owner else "mine" if wanted else "taken" if owner else "free"
        pieces.append(Piece(begins, ends - begins, owner, kind))
    return pieces


def _edges(mine: Slice | None) -> set[int]:
    return {mine.begins, min(mine.ends, WHOLE)} if mine is not None else set()
