"""How much an arm differs from the control, with an interval that holds however often one looks.

Callers are dealt to arms, not calls, so callers are what is counted: the mean of an arm is a ratio of two sums over
its callers, and its variance that of a ratio (the delta method), which takes calls of one caller for as alike as they
are. Source: Deng, Lu, Litz, "Trustworthy analysis of online A/B tests" (2017).

The difference d of two arms has a variance V; with the information I = 1/V, the score d I behaves as a Brownian motion
with drift at time I, also where callers come back, for what they did before is part of both looks. Source: Jennison
and Turnbull, "Group Sequential Methods" (2000), chapter 11. Against "no difference" stands a normal mixture of
effects with a variance of 1/r, so

    |d| <= sqrt((I + r) log((I + r) / (r a^2))) / I

holds at all times together with a probability of at least 1 - a. Source: Robbins, "Statistical methods related to
the law of the iterated logarithm" (1970); Waudby-Smith et al., "Time-uniform central limit theory and asymptotic
confidence sequences" (2024). r is chosen so that the interval is narrowest when the plan is fulfilled.

Latencies are compared by their logarithms: the mean of these is the typical latency (the geometric mean), the
difference of two a ratio. One call that takes a thousand times as long moves a plain mean as a thousand calls do, and
its variance with it, so that nothing is ever decided; of logarithms it is one call of seven.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from apps.core.later import later
from apps.releases.judgement import ALPHA

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = later("scipy.stats")

FEWEST_UNITS = 30
"""Callers that an arm needs before anything is said of it: with fewer the variance is not known."""
MISMATCH = 0.001
_POWER = 0.8416
"""The 80 % quantile of the normal distribution."""
_TUNED = 0.123
"""r in parts of the planned information: the interval is narrowest at the end of the plan for an alpha of 5 %."""


class Verdict(StrEnum):
    """What the interval says of an arm."""

    BETTER = "better"
    WORSE = "worse"
    ALIKE = "alike"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Sums:
    """Over the callers of an arm: how many, their calls n and sums s, and the sums of n², s² and n s."""

    units: int = 0
    n: float = 0.0
    s: float = 0.0
    nn: float = 0.0
    ss: float = 0.0
    ns: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.s / self.n if self.n else None

    def variance(self, step: float) -> float:
        """Of the mean. `step` is what a single call can change: with no spread at all it stands for the next one."""
        if self.units < 2 or not self.n:
            return math.inf
        mean = self.s / self.n
        residuals = max(0.0, self.ss - 2 * mean * self.ns + mean * mean * self.nn) + step * step
        return residuals * self.units / (self.units - 1) / self.n**2


@dataclass(frozen=True)
class Effect:
    """An arm's mean minus the control's. `low`..`high` holds at all looks together, `once_low`..`once_high` at one.

    `more` is how many calls the plan needs beside those that there are, in parts of them, at the present spread: 0.5 is
    half as many again; None: not known.
    """

    difference: float
    low: float
    high: float
    once_low: float
    once_high: float
    more: float | None
    verdict: Verdict


def as_log(part: float) -> float:
    """A change by a part of 1 as the difference of two mean logarithms: 0.05 is "5 % more"."""
    return math.log1p(part)


def planned_information(effect: float, *, comparisons: int = 1) -> float:
    """The information at which a difference of `effect` is noticed with 80 % power."""
    return ((_boundary(comparisons) + _POWER) / effect) ** 2


def _boundary(comparisons: int) -> float:
    """How many standard errors the interval has on each side when the plan is fulfilled."""
    alpha = ALPHA / comparisons
    return math.sqrt((1 + _TUNED) * math.log((1 + _TUNED) / (_TUNED * alpha * alpha)))


def radius(variance: float, effect: float, *, comparisons: int = 1) -> float:
    """Half of the interval that holds at all looks; infinite without information."""
    if not math.isfinite(variance):
        return math.inf
    alpha, information = ALPHA / comparisons, 1 / variance
    prior = _TUNED * planned_information(effect, comparisons=comparisons)
    total = information + prior
    return math.sqrt(total * math.log(total / (prior * alpha * alpha))) / information


def compare(
    arm: Sums,
    control: Sums,
    *,
    effect: float,
    step: float,
    higher_is_better: bool,
    comparisons: int = 1,
    most: float = math.inf,
) -> Effect | None:
    """What is known of an arm; None before both sides have calls of two callers.

    `most`: means cannot differ by more, so neither end of an interval is beyond it.
    """
    if arm.mean is None or control.mean is None:
        return None
    variance = arm.variance(step) + control.variance(step)
    if not math.isfinite(variance):
        return None
    difference = arm.mean - control.mean
    wide = radius(variance, effect, comparisons=comparisons)
    once = float(stats.norm.isf(ALPHA / 2)) * math.sqrt(variance)
    more = max(0.0, planned_information(effect, comparisons=comparisons) * variance - 1)
    few = min(arm.units, control.units) < FEWEST_UNITS
    return Effect(
        difference=difference,
        low=max(difference - wide, -most),
        high=min(difference + wide, most),
        once_low=max(difference - once, -most),
        once_high=min(difference + once, most),
        more=None if few else more,
        verdict=Verdict.UNDECIDED if few else _verdict(difference, wide, effect, higher_is_better),
    )


def _verdict(difference: float, wide: float, effect: float, higher_is_better: bool) -> Verdict:
    if abs(difference) > wide:
        return Verdict.BETTER if (difference > 0) == higher_is_better else Verdict.WORSE
    if abs(difference) + wide < effect:
        return Verdict.ALIKE
    return Verdict.UNDECIDED


def calls_needed(variance: float, effect: float, shares: Sequence[float]) -> int:
    """Calls of all arms together that the plan needs, if calls of one caller are no more alike than others.

    `variance` is that of one call, `shares` are those of the arms, the control's first.
    """
    control, *others = shares
    comparisons = len(others)
    per_call = variance * (1 / control + 1 / min(others))
    return math.ceil(planned_information(effect, comparisons=comparisons) * per_call)


def mismatch(units: Sequence[int], shares: Sequence[float]) -> float:
    """The chance that callers were dealt as unevenly as this by their shares (chi-square); 1 before there are any.

    Below `MISMATCH` something keeps callers of an arm out of the log, and the effect cannot be believed.
    """
    total = sum(units)
    if not total:
        return 1.0
    return float(stats.chisquare(units, [total * share for share in shares]).pvalue)
