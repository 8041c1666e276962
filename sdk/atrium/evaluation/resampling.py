"""Figures with 95 % intervals by the percentile bootstrap over rows (Efron and Tibshirani, 1993).

All resamplings are multinomial weights of the same rows, so that figures of two versions on the same rows are
compared pairwise, and each figure is a function of weighted rows.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Statistic = Callable[[Array], dict[str, Array]]
RESAMPLINGS = 1000
SEED = 20260101
_CHUNK = 100
# A sum of absolute values is too high in every sample, and once more in its resamplings: their percentiles are
# moved back by that second bias, which is known (their mean less the estimate). Coverage is simulated in tests.
_BIASED_UPWARDS = frozenset({"calibration_error"})


def weights_of(rows: int, seed: int = SEED) -> Iterator[Array]:
    """First all rows once, then the resamplings: arrays (k, rows) of how often each row counts."""
    rng = np.random.default_rng(seed)
    yield np.ones((1, rows))
    for _ in range(0, RESAMPLINGS, _CHUNK):
        # Rows drawn and counted: the same weights as numpy's multinomial, in a fifth of the time.
        chunk = np.empty((_CHUNK, rows))
        for counts in chunk:
            counts[:] = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        yield chunk


def estimate(rows: int, statistic: Statistic, *, seed: int = SEED) -> dict[str, dict[str, Any]]:
    """Figures of a statistic that maps weights (k, rows) to values (k,) by name. NaN resamplings are left out."""
    parts = [statistic(weights) for weights in weights_of(rows, seed)]
    figures = {}
    for name, first in parts[0].items():
        spread = np.concatenate([part[name] for part in parts[1:]])
        if name in _BIASED_UPWARDS:
            spread = spread - (np.nanmean(spread) - first[0])
        figures[name] = {"value": number(first[0]), "n": rows} | interval(spread)
    return figures


def interval(spread: Array) -> dict[str, Any]:
    """`low` and `high` of the resampled values; None where most of them are undefined."""
    spread = spread[np.isfinite(spread)]
    if len(spread) <= RESAMPLINGS // 2:
        return {"low": None, "high": None}
    low, high = np.percentile(spread, [2.5, 97.5])
    return {"low": number(low), "high": number(high)}


def number(value: Any) -> float | None:
    """A finite number as JSON takes it, else None."""
    return float(value) if np.isfinite(value) else None


def difference(mine: Statistic, other: Statistic) -> Statistic:
    """Candidate minus production, on the same resampled rows."""

    def statistic(weights: Array) -> dict[str, Array]:
        left, right = mine(weights), other(weights)
        return {name: left[name] - right[name] for name in left if name in right}

    return statistic


def means(scores: dict[str, Array]) -> Statistic:
    """Weighted means of scores by row; a row without a score (NaN) does not count."""

    def statistic(weights: Array) -> dict[str, Array]:
        found = {}
        for name, values in scores.items():
            known = np.isfinite(values)
            total = weights[:, known].sum(1)
            with np.errstate(divide="ignore", invalid="ignore"):
                found[name] = weights[:, known] @ values[known] / total
        return found

    return statistic
