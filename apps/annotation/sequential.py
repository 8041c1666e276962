"""Whether accuracy reaches a gate, decided while labels come in: valid however often one looks.

An interval for a fixed number of labels that is looked at again after each one errs far more often than it promises.
Here a gambler bets on each label against "the accuracy is at most the gate", and another against "at least": while
the claim holds, the bets are fair or worse, so the wealth passes 1/alpha with a probability of at most alpha at any
time (Ville, 1939). Betting for means: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", JRSS B 86 (2024). Labels weighted by their inverse selection probability: Waudby-Smith, Wu, Ramdas,
Karampatziakis and Mineiro, "Anytime-valid off-policy inference for contextual bandits" (2024).

The wealth is the mean over a fixed grid of stakes. Unlike a stake that adapts, it grows with every right label, so
that labels which are still open can stand for the worst that they may turn out to be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.core.later import later

if TYPE_CHECKING:
    import numpy as np

    _Side = tuple[np.ndarray, np.ndarray, float]
else:
    np = later("numpy")

ALPHA = 0.05
FEWEST_TO_FORESEE = 10
MOST_TO_FORESEE = 100_000
_STAKES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
_STEPS = 40


@dataclass(frozen=True)
class Decision:
    """`reached`: True or False once it is decided, else None. `to_go`: about how many more labels decide it, if that
    can be foreseen. `low` and `high` hold the accuracy with 95 % however often one looks; `n` labels, `waiting` of
    which are not decided yet."""

    reached: bool | None
    to_go: int | None
    low: float
    high: float
    n: int
    waiting: int


def decide(
    correct: Sequence[bool | None], weights: Sequence[float], gate: float, largest: float = 1.0
) -> Decision:
    """Whether the accuracy lies above or below `gate`, from labels in an order that does not depend on their values.

    None stands for a label that is still open. `weights` are inverse selection probabilities, `largest` the largest
    one that the rules can give, known before the labels. Raises ValueError for a gate outside (0, 1) or a weight
    below 1.
    """
    if not 0 < gate < 1:
        raise ValueError("the gate must lie between 0 and 1")
    weight = np.asarray(weights, float)
    if (weight < 1).any():
        raise ValueError("a weight is one over a probability: at least 1")
    scaled = weight / max(largest, weight.max(initial=1))
    worst = np.asarray([value is True for value in correct], float)
    best = np.asarray([value is not False for value in correct], float)
    above, below = log_wealth(worst, scaled, gate), log_wealth(1 - best, scaled, 1 - gate)
    enough, reached = math.log(2 / ALPHA), None
    if max(above.max(initial=0), below.max(initial=0)) >= enough:
        reached = bool(above.max(initial=0) >= below.max(initial=0))
    known = worst == best
    ahead = (worst[known], scaled[known], gate)
    against = (1 - worst[known], scaled[known], 1 - gate)
    to_go = 0 if reached is not None else _foreseen(above, ahead, below, against, enough)
    return Decision(
        reached, to_go, _bound(worst, scaled, enough), 1 - _bound(1 - best, scaled, enough),
        len(worst), int((~known).sum()),
    )  # fmt: skip


def log_wealth(values: np.ndarray, scaled: np.ndarray, mean: float) -> np.ndarray:
    """The logarithm of the wealth after each value in [0, 1], betting that their mean lies above `mean`.

    `scaled` are the weights over the largest one that there may be.
    """
    if not len(values):
        return np.zeros(0)
    gains = _gains(values, scaled, mean).cumsum(1)
    top = gains.max(0)
    return np.asarray(top + np.log(np.exp(gains - top).mean(0)))


def _gains(values: np.ndarray, scaled: np.ndarray, mean: float) -> np.ndarray:
    stakes = np.asarray(_STAKES)[:, None]
    return np.asarray(np.log1p(stakes * scaled * (values / mean - 1)))


def _foreseen(
    above: np.ndarray,
    ahead: tuple[np.ndarray, np.ndarray, float],
    below: np.ndarray,
    against: tuple[np.ndarray, np.ndarray, float],
    enough: float,
) -> int | None:
    """Labels to go: the evidence that is lacking over what one label brings on average to the better gambler."""
    n = len(ahead[0])
    if n < FEWEST_TO_FORESEE:
        return None
    found = []
    for wealth, (values, scaled, mean) in ((above, ahead), (below, against)):
        # One imagined label each way keeps "all were right so far" from promising too much.
        more = np.append(values, [0.0, 1.0]), np.append(scaled, [scaled.mean()] * 2)
        growth = float(_gains(*more, mean).mean(1).max())
        if growth > 0:
            found.append(math.ceil((enough - float(wealth[-1])) / growth))
    return max(1, min(found)) if found and min(found) <= MOST_TO_FORESEE else None


def _bound(values: np.ndarray, scaled: np.ndarray, enough: float) -> float:
    """The largest mean that the bets refuse, at any time so far; the wealth falls as the mean grows."""
    low, high = 0.0, 1.0
    for _step in range(_STEPS if len(values) else 0):
        middle = (low + high) / 2
        if log_wealth(values, scaled, middle).max() >= enough:
            low = middle
        else:
            high = middle
    return low
