"""What the callers of an experiment showed: each arm beside the control, kept with the experiment as `evidence`.

`evidence` is {"at", "arms": [{"arm", "name", "units", "calls", "errors", "ms", "correct", "mean", "effect"}],
"mismatch", "missing", "hours_left"}; `effect` is an `effects.Effect`, or null for the control and before there is
one; of typical latency `mean` and `effect` are natural logarithms (of milliseconds, of ratios). `looks` are
[moment, {arm: [difference, low, high]}], one for each hour or less, thinned when they become many.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.experiments.effects import MISMATCH, Sums, Verdict, as_log, compare, mismatch
from apps.experiments.models import Arm, Experiment
from apps.releases import business
from apps.releases.judgement import hours_left

COLUMNS = {
    Experiment.Measure.ERRORS: ("calls", "errors"),
    Experiment.Measure.TYPICAL: ("answered", "log_ms"),
    Experiment.Measure.LATENCY: ("answered", "ms"),
    Experiment.Measure.QUALITY: ("rated", "correct"),
    Experiment.Measure.BUSINESS: ("metric_n", "metric_sum"),
}
"""What a measure divides by, and what it adds up."""
BOUNDED = (Experiment.Measure.ERRORS, Experiment.Measure.QUALITY, Experiment.Measure.BUSINESS)
"""Means of values from a known range: two of them differ by its width at most."""
WHOLE = 100
MOST_LOOKS = 400
LOOK_EVERY = timedelta(minutes=5)


def analyse(experiment: Experiment, *, now: datetime | None = None) -> dict[str, Any]:
    """The present evidence. The hours were counted before."""
    arms = list(experiment.arms.all())
    totals, sums = _totals(arms), _sums(experiment, arms)
    step, higher = scale(experiment)
    control = sums.get(arms[0].pk, Sums())
    told = []
    for arm in arms:
        mine = sums.get(arm.pk, Sums())
        effect = None
        if not arm.is_control:
            effect = compare(
                mine,
                control,
                effect=worth_knowing(experiment),
                step=step,
                higher_is_better=higher,
                comparisons=len(arms) - 1,
                most=step if experiment.measure in BOUNDED else math.inf,
            )
        told.append(
            {"arm": arm.pk, "name": arm.name, **totals.get(arm.pk, _NOTHING), "mean": mine.mean}
            | {"effect": asdict(effect) if effect else None}
        )
    more = [each["effect"]["more"] for each in told if each["effect"]]
    calls = sum(each["calls"] for each in told)
    most = math.ceil(max(more) * calls) if more and None not in more else None
    return {
        "at": (now or timezone.now()).isoformat(),
        "arms": told,
        "mismatch": mismatch([each["units"] for each in told], [arm.share / WHOLE for arm in arms]),
        "missing": most,
        "hours_left": _hours_left(experiment, most, calls),
    }


_NOTHING = {"units": 0, "calls": 0, "errors": None, "ms": None, "correct": None}


def worth_knowing(experiment: Experiment) -> float:
    """The smallest difference of the plan, as the measure counts it."""
    return (
        as_log(experiment.effect) if experiment.measure == Experiment.Measure.TYPICAL else experiment.effect
    )


def scale(experiment: Experiment) -> tuple[float, bool]:
    """What a single call can change of a mean, and whether more is better."""
    if experiment.measure == Experiment.Measure.BUSINESS:
        metric = business.parse(experiment.metric)
        return metric.high - metric.low, metric.higher_is_better
    return 1.0, experiment.measure == Experiment.Measure.QUALITY


def _totals(arms: list[Arm]) -> dict[int, dict[str, Any]]:
    """{arm: callers and calls, and what all measures say of them}: beside the measure that decides."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT arm_id, count(DISTINCT unit) FILTER (WHERE calls > 0), sum(calls)::bigint,"
            " sum(errors)::float8 / nullif(sum(calls), 0), sum(ms) / nullif(sum(answered), 0),"
            " sum(correct)::float8 / nullif(sum(rated), 0)"
            " FROM experiments_unithour WHERE arm_id = ANY(%s) GROUP BY 1",
            [[arm.pk for arm in arms]],
        )
        names = ("units", "calls", "errors", "ms", "correct")
        return {pk: dict(zip(names, rest, strict=True)) for pk, *rest in cursor.fetchall()}


def _sums(experiment: Experiment, arms: list[Arm]) -> dict[int, Sums]:
    n, s = COLUMNS[Experiment.Measure(experiment.measure)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT arm_id, count(*), sum(n), sum(s), sum(n * n), sum(s * s), sum(n * s) FROM ("  # noqa: S608
            f" SELECT arm_id, unit, sum({n})::float8 AS n, sum({s})::float8 AS s FROM experiments_unithour"
            f" WHERE arm_id = ANY(%s) GROUP BY 1, 2 HAVING sum({n}) > 0) AS callers GROUP BY 1",
            [[arm.pk for arm in arms]],
        )
        return {pk: Sums(*rest) for pk, *rest in cursor.fetchall()}


def _hours_left(experiment: Experiment, missing: int | None, calls: int) -> float | None:
    if missing is None or experiment.started_at is None:
        return None
    until = experiment.ended_at or timezone.now()
    return hours_left(missing, calls, (until - experiment.started_at).total_seconds())


def is_uneven(evidence: dict[str, Any]) -> bool:
    """Whether callers were dealt so unevenly that the effect cannot be believed."""
    return bool(evidence.get("mismatch", 1.0) < MISMATCH)


def verdict_of(evidence: dict[str, Any]) -> Verdict:
    """One word for the whole: what most likely decides comes first."""
    said = {each["effect"]["verdict"] for each in evidence.get("arms", []) if each["effect"]}
    for verdict in (Verdict.WORSE, Verdict.UNDECIDED, Verdict.BETTER):
        if verdict in said:
            return verdict
    return Verdict.ALIKE if said else Verdict.UNDECIDED


def noted(looks: list[Any], evidence: dict[str, Any]) -> list[Any]:
    """The looks with this one: it takes the place of the last one until that is some minutes old."""
    arms = {
        str(each["arm"]): [each["effect"][name] for name in ("difference", "low", "high")]
        for each in evidence["arms"]
        if each["effect"]
    }
    if not arms:
        return looks
    now = datetime.fromisoformat(evidence["at"])
    kept = list(looks)
    if len(kept) > 1 and now - datetime.fromisoformat(kept[-2][0]) < LOOK_EVERY:
        kept.pop()
    if len(kept) >= MOST_LOOKS:
        kept = [*kept[:-1:2], kept[-1]]
    return [*kept, [evidence["at"], arms]]
