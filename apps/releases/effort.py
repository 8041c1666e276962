"""Does a row cost more processor time with the candidate than with what runs beside it? Judged minute by minute.

Both versions answer at the same time on machines of the same kind. In a minute in which both were busy and were sent
calls of like size, let r be the candidate's processor time per row over the other's. If the candidate costs at most
`1 + allowed` times as much, y = min(r / (1 + allowed), 2) / 2 has an expectation of at most 1/2. A bettor who stakes on
more owns a test martingale, W = prod(1 + s (y - 1/2)), which passes 1/alpha with a chance of at most alpha, under
continuous looking (as in `means`). The wealth is an average over two stakes.

What a server does without calls is not subtracted. It weighs more on the side with the smaller share, so an equal
candidate looks costlier where servers do much beside answering; the bound on false alarms does not cover that, and no
stage compares unless its policy asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from apps.releases.judgement import ALPHA, Judgement, Outcome
from apps.releases.reasons import Code, Reason

BUSY_S = 1.0
"""Processor seconds below which a minute shows what an idle server costs, rather than an answer."""
LEAST_CALLS = 20
ALIKE = 1.5
"""Most that the rows of a call may differ between the sides: what a call costs beside its rows is not told apart."""
STAKES = (0.9, 1.8)


class Side(NamedTuple):
    """What one version did in a minute; `rows` is the mean of a call, None where that is not known."""

    cpu_s: float
    calls: int
    rows: float | None


class Effort(NamedTuple):
    """`ratio` is the candidate's processor time per row over the other's, in the minutes that could be compared."""

    minutes: int
    ratio: float
    evidence: float


def rows_in(request: bytes) -> int | None:
    """How many rows a logged request asked about: the first number of its first input's shape; None when unknown."""
    try:
        shape = orjson.loads(request)["inputs"][0]["shape"]
        return max(1, int(shape[0])) if shape else 1
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError):
        return None


def comparable(mine: Side, other: Side) -> bool:
    """Whether a minute says what a row costs on each side."""
    if min(mine.cpu_s, other.cpu_s) < BUSY_S or min(mine.calls, other.calls) < LEAST_CALLS:
        return False
    if not mine.rows or not other.rows:
        return False
    return max(mine.rows, other.rows) <= ALIKE * min(mine.rows, other.rows)


def compare(minutes: Iterable[tuple[Side, Side]], allowed: float) -> Effort | None:
    """What the minutes, (candidate, other) in the order of time, say; None where none could be compared."""
    found = [(mine, other) for mine, other in minutes if comparable(mine, other)]
    if not found:
        return None
    wealth = [0.0 for _stake in STAKES]
    for mine, other in found:
        y = min(_per_row(mine) / _per_row(other) / (1 + allowed), 2.0) / 2
        for place, stake in enumerate(STAKES):
            wealth[place] += math.log1p(stake * (y - 0.5))
    evidence = sum(math.exp(min(each, 700.0)) for each in wealth) / len(wealth)
    return Effort(len(found), _total([m for m, _o in found]) / _total([o for _m, o in found]), evidence)


def _per_row(side: Side) -> float:
    return side.cpu_s / (side.calls * (side.rows or 1.0))


def _total(sides: Sequence[Side]) -> float:
    return sum(side.cpu_s for side in sides) / sum(side.calls * (side.rows or 1.0) for side in sides)


def minutes_needed(allowed: float, *, alpha: float = ALPHA) -> int:
    """Minutes after which a rise twice as large as allowed would have been noticed; and half as many more."""
    y = min((1 + 2 * allowed) / (1 + allowed), 2.0) / 2
    return math.ceil(1.5 * math.log(len(STAKES) / alpha) / math.log1p(STAKES[-1] * (y - 0.5)))


def judge(found: Effort, allowed: float, *, alpha: float = ALPHA) -> Judgement:
    """The outcome for a stage: too few minutes are undecided. What is missing is told in minutes, not in calls."""
    missing = max(0, minutes_needed(allowed) - found.minutes)
    told: dict[str, Any] = {"ratio": found.ratio, "most_times": 1 + allowed}
    if found.evidence >= 1 / alpha:
        return Judgement(Outcome.FAILURE, found.evidence, 0, 0, Reason(Code.EFFORT_HIGH, told))
    if missing:
        return Judgement(
            Outcome.UNDECIDED, found.evidence, 0, 0, Reason(Code.EFFORT_MISSING, {"minutes": missing})
        )
    return Judgement(Outcome.SUCCESS, found.evidence, 0, 0, Reason(Code.EFFORT_FINE, told))
