"""How evenly a version serves declared groups: the worst group, and the gap to the best with its interval."""

from typing import Any

import numpy as np

from atrium.evaluation.resampling import RESAMPLINGS, interval, number, weights_of
from atrium.evaluation.tasks import Answers, Task
from atrium.evaluation.tasks.base import Array


def by_group(task: Task[Any], answers: Answers, column: str, values: Array) -> dict[str, Any]:
    """The main figure of each group of a column, the worst first, and the gap between best and worst.

    The gap's `n` is the smallest group: a gate that asks for enough rows asks it of every group. Its interval is
    the bootstrap's over all rows at once. The largest of several gaps is biased upwards in small groups.
    """
    groups = {str(value): np.flatnonzero(values == value) for value in sorted(set(values.tolist()))}
    spread = {name: _resampled(task, answers, rows, seed) for seed, (name, rows) in enumerate(groups.items())}
    told = [
        {
            "group": name,
            "n": len(rows),
            "value": number(spread[name][0]),
            **interval(spread[name][1:]),
        }
        for name, rows in groups.items()
    ]
    known = [entry for entry in told if entry["value"] is not None]
    known.sort(key=lambda entry: entry["value"], reverse=not task.higher_is_better)
    all_spread = np.array(list(spread.values()))
    gaps = np.nanmax(all_spread, 0) - np.nanmin(all_spread, 0)
    return {
        "column": column,
        "metric": task.main,
        "groups": known,
        "gap": {
            "value": number(gaps[0]),
            "n": min((len(rows) for rows in groups.values()), default=0),
            **interval(gaps[1:]),
        },
    }


def _resampled(task: Task[Any], answers: Answers, rows: Array, seed: int) -> Array:
    statistic = task.statistic(answers.take(rows), rows)
    found = np.concatenate([statistic(weights)[task.main] for weights in weights_of(len(rows), 1000 + seed)])
    assert len(found) >= RESAMPLINGS
    return found
