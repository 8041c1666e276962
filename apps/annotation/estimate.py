"""Accuracy in production from a queue that prefers the hard cases.

Each labelled call was selected with a known probability; weighting by its inverse undoes the preference
(Horvitz and Thompson, 1952), in the ratio form of Hájek (1971), with the linearised variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.core.later import later

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

_Z = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval, and the labelled calls it rests on."""

    value: float
    low: float
    high: float
    n: int


def accuracy(correct: Sequence[bool], probabilities: Sequence[float]) -> Estimate | None:
    """The share of right answers among all calls, from labelled ones and their selection probabilities.

    None for fewer than two. Raises ValueError for a probability outside (0, 1].
    """
    right, chance = np.asarray(correct, float), np.asarray(probabilities, float)
    if len(right) < 2:
        return None
    if (chance <= 0).any() or (chance > 1).any():
        raise ValueError("a selection probability must lie above 0 and be at most 1")
    weight = 1 / chance
    total = weight.sum()
    value = float((weight * right).sum() / total)
    residual = weight * (right - value)
    # Poisson sampling of a large population: each call was drawn by itself; (1 - p) is its finite correction,
    # left out because production goes on beyond what was drawn from.
    deviation = math.sqrt(float((residual**2).sum())) / total * math.sqrt(len(right) / (len(right) - 1))
    return Estimate(value, max(0.0, value - _Z * deviation), min(1.0, value + _Z * deviation), len(right))


def weighted_share(correct: Sequence[bool], probabilities: Sequence[float]) -> Estimate:
    """The share among all calls as in `accuracy`, for groups that may be small or all right.

    The interval is Wilson's on the effective number of labels of Kish (1965), the squared sum of the weights over the
    sum of their squares: it does not shrink to nothing where all were right so far.
    """
    weights = [1 / chance for chance in probabilities]
    total = sum(weights)
    effective = total**2 / sum(weight**2 for weight in weights)
    value = sum(weight for weight, right in zip(weights, correct, strict=True) if right) / total
    found = share(value * effective, effective)
    return Estimate(value, found.low, found.high, len(weights))


def share(right: float, n: float) -> Estimate:
    """A plain share with its interval by Wilson (1927), which holds for few and for shares near 0 and 1 too."""
    if not n:
        return Estimate(0.0, 0.0, 1.0, 0)
    value, square = right / n, _Z**2
    middle = (value + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * math.sqrt(value * (1 - value) / n + square / (4 * n * n))
    return Estimate(value, max(0.0, middle - half), min(1.0, middle + half), round(n))
