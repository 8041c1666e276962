"""Is the mean of a bounded metric lower for the candidate than for what runs beside it? Judged as the calls come.

Both versions answer at the same time, so in each minute the difference of their means, d in [-1, 1], has an
expectation of at most 0 if the candidate is no worse, whatever the hour does to both. A bettor who stakes a part
of the wealth on d > 0, chosen before the minute is seen, then owns a test martingale: W = prod(1 + l_t d_t). By
Ville's inequality W passes 1/alpha with a chance of at most alpha, under continuous looking. The wealth is an
average over bets made for several sizes of the effect. Source: Waudby-Smith and Ramdas, "Estimating means of
bounded random variables by betting" (2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from apps.releases.judgement import ALPHA, Judgement, Outcome
from apps.releases.reasons import Code, Reason

EFFECTS = (1.0, 2.0, 4.0)
MOST_STAKED = 0.9
_Z = 0.8416
"""The 80 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Sums:
    """The metric of several calls, each scaled to 0..1 so that more is better."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        return max(0.0, self.squares / self.n - self.mean**2) if self.n else 0.0


@dataclass(frozen=True)
class Means:
    """`difference` is the candidate's mean minus the other's, with a 95 % interval."""

    candidate: Sums
    baseline: Sums
    evidence: float
    difference: float
    low: float
    high: float


def evidence_by_minute(minutes: Iterable[tuple[Sums, Sums]], worse_by: float) -> Iterator[float]:
    """The evidence that the candidate is worse after each minute: (candidate, baseline) in the order of time."""
    wealth = [0.0 for _effect in EFFECTS]
    seen = Sums()
    for candidate, baseline in minutes:
        if candidate.n and baseline.n:
            d = baseline.mean - candidate.mean
            variance = _prior(seen) * (1 / candidate.n + 1 / baseline.n)
            for place, effect in enumerate(EFFECTS):
                delta = min(1.0, worse_by * effect)
                stake = min(MOST_STAKED, delta / (variance + delta**2))
                wealth[place] += math.log1p(stake * d)
        seen = seen + candidate + baseline
        yield sum(math.exp(min(each, 700.0)) for each in wealth) / len(wealth)


def compare(minutes: Sequence[tuple[Sums, Sums]], worse_by: float) -> Means:
    """What all the minutes say: the means, their difference, and the evidence that the candidate is worse."""
    mine = sum((candidate for candidate, _other in minutes), Sums())
    other = sum((baseline for _mine, baseline in minutes), Sums())
    evidence = [1.0, *evidence_by_minute(minutes, worse_by)][-1]
    spread = 1.96 * math.sqrt(
        (mine.variance / mine.n if mine.n else 0.25) + (other.variance / other.n if other.n else 0.25)
    )
    difference = mine.mean - other.mean
    return Means(mine, other, evidence, difference, difference - spread, difference + spread)


def _prior(seen: Sums) -> float:
    """The variance of one call, starting from the largest possible one; known before the minute is looked at."""
    weight = 20.0
    return (0.25 * weight + seen.variance * seen.n) / (weight + seen.n)


def calls_needed(variance: float, worse_by: float, share: float, *, alpha: float = ALPHA) -> int:
    """Calls of the candidate after which a mean lower by `worse_by` would have been noticed with 80 % power.

    With the right stake the log of the wealth after n calls is about normal with mean k and variance 2k, where
    k = n d^2 / (2 s^2), and s^2 is the variance of the difference per call of the candidate.
    """
    threshold = math.log(len(EFFECTS) / alpha)
    b = _Z * math.sqrt(2)
    k = ((b + math.sqrt(b * b + 4 * threshold)) / 2) ** 2
    per_call = max(variance, 1e-4) * (1 + share / max(1 - share, 0.01))
    return math.ceil(k * 2 * per_call / worse_by**2)


def judge(means: Means, *, worse_by: float, share: float, name: str, alpha: float = ALPHA) -> Judgement:
    """The outcome for a stage: too few calls are undecided."""
    both = means.candidate + means.baseline
    variance = _prior(both)
    needed = calls_needed(round(variance, 4), worse_by, share, alpha=alpha)
    missing = max(0, needed - means.candidate.n)
    if means.evidence >= 1 / alpha:
        return Judgement(
            Outcome.FAILURE, means.evidence, needed, missing, Reason(Code.METRIC_WORSE, {"name": name})
        )
    if missing:
        reason = Reason(Code.METRIC_MISSING, {"missing": missing, "name": name})
        return Judgement(Outcome.UNDECIDED, means.evidence, needed, missing, reason)
    reason = Reason(Code.METRIC_FINE, {"name": name, "worse_by": worse_by})
    return Judgement(Outcome.SUCCESS, means.evidence, needed, 0, reason)
