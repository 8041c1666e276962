"""Runs side by side: which parameters and metrics there are, and the chart of the metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from apps.workbench.adapters import Run

MOST_COLUMNS = 12


def names_of(runs: Sequence[Run], kind: str) -> list[str]:
    """The names of all parameters or metrics of these runs, most common first."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in getattr(run, kind):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))[:MOST_COLUMNS]


def rows_of(runs: Sequence[Run], params: Sequence[str], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """A table's rows: the run, its parameters and metrics in the columns' order."""
    return [
        {
            "run": run,
            "params": [run.params.get(name, "") for name in params],
            "metrics": [run.metrics.get(name) for name in metrics],
        }
        for run in runs
    ]


def figure_of(runs: Sequence[Run], metrics: Sequence[str]) -> dict[str, Any]:
    """Each metric as a line over the runs, oldest first; values that are no number are left out."""
    ordered = list(reversed(runs))
    traces = []
    for name in metrics:
        points = [
            (run.name, run.metrics[name]) for run in ordered if math.isfinite(run.metrics.get(name, math.nan))
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [run for run, _value in points],
                "y": [value for _run, value in points],
            }
        )
    return {"data": traces, "layout": {"xaxis": {"type": "category"}, "yaxis": {"rangemode": "normal"}}}


def curves_of(curves: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, Any]:
    """Each metric over its steps; a metric of one value is a point."""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(points) < 50 else "lines",
            "name": name,
            "x": [step for step, value in points if math.isfinite(value)],
            "y": [value for _step, value in points if math.isfinite(value)],
        }
        for name, points in curves.items()
    ]
    return {"data": traces, "layout": {"xaxis": {"title": {"text": str(_("step"))}}}}
