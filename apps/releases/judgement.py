"""Is the candidate worse than what runs now? Judged while the calls come in, as often as one likes.

Each bad answer (an error, a complaint) is one event of a stream that mixes both versions. If the candidate is
no worse, an event comes from the candidate with at most its share `q` of the calls, whatever the rate of bad
answers is. Against that null stands a uniform mixture of all higher shares, so the likelihood ratio

    E = 1/(1-q) * integral_q^1 t^k (1-t)^(n-k) dt / (q^k (1-q)^(n-k))

of `k` candidate events among `n` is a test martingale (an e-process): by Ville's inequality the chance that it
ever passes 1/alpha under the null is at most alpha, under continuous looking and optional stopping.
Source: Grünwald, de Heide, Koolen, "Safe Testing" (2024); Turner, Ly, Grünwald, "Generic E-variables" (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from apps.core.later import later
from apps.releases.reasons import Code, Reason

if TYPE_CHECKING:
    import numpy as np
    from scipy import special, stats
else:
    np, special, stats = later("numpy"), later("scipy.special"), later("scipy.stats")

ALPHA = 0.05
POWER = 0.8


class Outcome(StrEnum):
    """What the evidence of a stage says."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Counts:
    """Calls of one version during a stage, and how many of them went badly."""

    calls: int
    bad: int


@dataclass(frozen=True)
class Judgement:
    """The outcome of one criterion with what it rests on. `missing` is in calls of the candidate."""

    outcome: Outcome
    evidence: float
    needed: int
    missing: int
    reason: Reason


def evidence_against(candidate: Counts, baseline: Counts) -> float:
    """The e-value for "the candidate answers badly more often": 1 is no evidence, 20 refutes at 5 %.

    Zero without calls on both sides to compare.
    """
    calls, events = candidate.calls + baseline.calls, candidate.bad + baseline.bad
    if not candidate.calls or not baseline.calls:
        return 0.0
    return float(np.exp(_log_evidence(candidate.bad, events, candidate.calls / calls)))


def _log_evidence(k: np.ndarray | int, n: np.ndarray | int, q: float) -> np.ndarray:
    """log E for k candidate events among n at the candidate's share q of the calls; shapes broadcast."""
    k, n = np.asarray(k, float), np.asarray(n, float)
    upper = np.clip(special.betaincc(k + 1, n - k + 1, q), 1e-300, 1.0)
    mixture = special.betaln(k + 1, n - k + 1) + np.log(upper) - math.log1p(-q)
    null = k * math.log(q) + (n - k) * math.log1p(-q)
    return np.asarray(np.minimum(mixture - null, 700.0))


@lru_cache(maxsize=512)
def calls_needed(
    baseline_rate: float, worse_by: float, share: float, *, alpha: float = ALPHA, power: float = POWER
) -> int:
    """Calls of the candidate after which a rise of the bad answers by `worse_by` would have been noticed.

    `baseline_rate` and `worse_by` are probabilities (0.01 is one point), `share` the candidate's part of the
    calls. Found by the exact distribution of the events at each size, so the announced power is the real one.
    """
    rate = min(max(baseline_rate, 1e-4), 0.99)
    raised = min(rate + worse_by, 0.999)
    low, high = 1, 1
    while _power(high, rate, raised, share, alpha) < power:
        low, high = high, high * 2
        if high > 50_000_000:
            break
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, rate, raised, share, alpha) >= power else (middle, high)
    return high


def _power(calls: int, rate: float, raised: float, share: float, alpha: float) -> float:
    """The chance that the e-value has passed 1/alpha when the candidate has had so many calls."""
    others = max(1, round(calls * (1 - share) / share))
    mean_b = others * rate
    spread_b = 4 * math.sqrt(mean_b * (1 - rate) + 1)
    bad_b = np.unique(np.linspace(max(0, mean_b - spread_b), min(others, mean_b + spread_b), 41).round())
    weights = stats.binom.pmf(bad_b, others, rate)
    weights = weights / weights.sum()
    least = _least_bad(bad_b, calls, others, alpha)
    return float((weights * stats.binom.sf(least - 1, calls, raised)).sum())


def _least_bad(baseline_bad: np.ndarray, calls: int, others: int, alpha: float) -> np.ndarray:
    """The smallest number of bad answers of the candidate that refutes it, `calls` + 1 where none does; one for each
    number of the baseline's. Found by halving: above the baseline's rate each further one is more evidence.
    """
    low = np.floor(baseline_bad / others * calls)  # no evidence against the candidate up to here
    high = np.full_like(low, calls + 1)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        bad = np.minimum(middle, calls)
        over = _log_evidence(bad, bad + baseline_bad, calls / (calls + others)) >= -math.log(alpha)
        over &= bad / calls > baseline_bad / others
        high, low = np.where(over & (middle <= calls), middle, high), np.where(over, low, middle)
    return high


def judge_bad_answers(
    candidate: Counts,
    baseline: Counts,
    *,
    worse_by: float,
    share: float,
    alpha: float = ALPHA,
    power: float = POWER,
) -> Judgement:
    """Judge a stage by its bad answers. Too few calls never pass: the outcome is then undecided.

    `share` is the candidate's announced part of the traffic, 0 < share < 1.
    """
    evidence = evidence_against(candidate, baseline)
    rate = baseline.bad / baseline.calls if baseline.calls else 0.0
    needed = calls_needed(round(rate, 4), worse_by, round(share, 4), alpha=alpha, power=power)
    missing = max(0, needed - candidate.calls)
    if evidence >= 1 / alpha:
        return Judgement(Outcome.FAILURE, evidence, needed, missing, Reason(Code.WORSE))
    if missing:
        reason = Reason(Code.CALLS_MISSING, {"missing": missing})
        return Judgement(Outcome.UNDECIDED, evidence, needed, missing, reason)
    return Judgement(Outcome.SUCCESS, evidence, needed, 0, Reason(Code.NO_RISE, {"worse_by": worse_by}))


def judge_shadow(candidate: Counts, baseline: Counts, *, calls: int, alpha: float = ALPHA) -> Judgement:
    """Judge mirrored calls: so many of them must have come, without the evidence speaking against the candidate."""
    evidence = evidence_against(candidate, baseline)
    missing = max(0, calls - candidate.calls)
    if evidence >= 1 / alpha:
        return Judgement(Outcome.FAILURE, evidence, calls, missing, Reason(Code.WORSE))
    if missing:
        reason = Reason(Code.MIRRORED_MISSING, {"missing": missing})
        return Judgement(Outcome.UNDECIDED, evidence, calls, missing, reason)
    return Judgement(Outcome.SUCCESS, evidence, calls, 0, Reason(Code.MIRRORED_FINE))


@dataclass(frozen=True)
class Ruled:
    """What replayed calls rule out: with 95 % at most `most` of all calls go badly, a probability.

    `missing` more that go well would bring it to the `worse_by` that was asked about; 0: they rule it out.
    """

    most: float
    missing: int


def rule_out(replayed: Counts, *, worse_by: float, alpha: float = ALPHA) -> Ruled:
    """Whether logged calls, asked again, rule out that so many more go badly. What runs now answered all of them, so
    every bad answer is a rise. The exact bound of Clopper and Pearson (1934), for a number of calls that was fixed
    before the first was asked.
    """
    needed = max(replayed.calls, least_replayed(worse_by, bad=replayed.bad, alpha=alpha))
    return Ruled(_most(replayed.bad, replayed.calls, alpha), needed - replayed.calls)


@lru_cache(maxsize=256)
def least_replayed(worse_by: float, *, bad: int = 0, alpha: float = ALPHA) -> int:
    """The calls among which `bad` bad ones still rule out a rise by `worse_by`; found by halving."""
    low, high = bad, max(1, 2 * bad)
    while _most(bad, high, alpha) > worse_by:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _most(bad, middle, alpha) <= worse_by else (middle, high)
    return high


def _most(bad: int, calls: int, alpha: float) -> float:
    return float(special.betaincinv(bad + 1, calls - bad, 1 - alpha)) if bad < calls else 1.0


def hours_left(missing: int, calls: int, elapsed_s: float) -> float | None:
    """Hours until `missing` more calls have come at the pace of the `calls` in `elapsed_s` seconds; None unknown."""
    if not calls or elapsed_s <= 0:
        return None
    return missing / (calls / elapsed_s) / 3600


def both(one: Judgement, other: Judgement) -> Judgement:
    """Two criteria of one stage: one failure is a failure, one undecided is undecided."""
    for outcome in (Outcome.FAILURE, Outcome.UNDECIDED):
        found = [each for each in (one, other) if each.outcome is outcome]
        if found:
            return max(found, key=lambda each: each.missing)
    return one
