"""How many calls an experiment needs and how long that takes, from the calls of the last days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from apps.experiments.counting import LOG_MS
from apps.experiments.effects import as_log, calls_needed
from apps.experiments.models import Experiment
from apps.gateway.models import Call, UsageOfCapability
from apps.gateway.selectors import outcomes_of
from apps.releases import business
from apps.releases.evidence import NO_NUMBER
from apps.releases.means import Sums
from apps.releases.policies import policy_for

if TYPE_CHECKING:
    from apps.catalog.models import Capability
    from apps.experiments.plans import Asked

DAYS = 7
LOOKED_AT = 20_000
ASKED = 500
LEAST_RATE = 0.001
"""Of errors: without a single one nobody knows how rare they are."""
WHOLE = 100


@dataclass(frozen=True)
class Plan:
    """`calls` of all arms together, the `hours` that they take, and what the measure says now; None: unknown."""

    calls: int | None
    hours: float | None
    mean: float | None


@dataclass(frozen=True)
class _Now:
    """What single calls say: the mean and variance of a value, and which part of the calls has one."""

    mean: float
    variance: float
    part: float = 1.0


def plan(
    capability: Capability,
    *,
    measure: str,
    metric: dict[str, Any] | None,
    effect: float,
    shares: Sequence[int],
    size: int,
) -> Plan:
    """What an experiment of this size would need. `shares` are percent, the control's first."""
    now = _now(capability, measure, metric)
    if now is None or not now.variance or not now.part:
        return Plan(None, None, now.mean if now else None)
    worth = as_log(effect) if measure == Experiment.Measure.TYPICAL else effect
    calls = round(calls_needed(now.variance, worth, [share / WHOLE for share in shares]) / now.part)
    since = timezone.now() - timedelta(days=DAYS)
    seen = UsageOfCapability.objects.filter(capability_id=capability.pk, hour__gte=since)
    per_hour = (seen.aggregate(total=Sum("count"))["total"] or 0) / (DAYS * 24) * size / WHOLE
    return Plan(calls, calls / per_hour if per_hour else None, now.mean)


def needed_by(capability: Capability, asked: Asked) -> Plan:
    """What a plan would need, whether it can be made so or not."""
    metric = policy_for(capability).metric
    shares = [arm.share for arm in asked.arms]
    if len(shares) < 2 or (asked.measure == Experiment.Measure.BUSINESS and metric is None):
        return Plan(None, None, None)
    return plan(
        capability, measure=asked.measure, metric=metric, effect=asked.effect, shares=shares, size=asked.size
    )


def planned(experiment: Experiment) -> Plan:
    """What an experiment that has not begun would need."""
    return plan(
        experiment.capability,
        measure=experiment.measure,
        metric=experiment.metric,
        effect=experiment.effect,
        shares=[arm.share for arm in experiment.arms.all()],
        size=experiment.size,
    )


def _now(capability: Capability, measure: str, metric: dict[str, Any] | None) -> _Now | None:
    if measure == Experiment.Measure.BUSINESS:
        return _business(capability, metric)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), count(*) FILTER (WHERE status >= 500 OR {NO_NUMBER.format(table="c.")}),
              avg(latency_ms) FILTER (WHERE status < 400), var_pop(latency_ms) FILTER (WHERE status < 400),
              avg({LOG_MS}) FILTER (WHERE status < 400), var_pop({LOG_MS}) FILTER (WHERE status < 400),
              count(o.correct), count(*) FILTER (WHERE o.correct)
            FROM (
              SELECT * FROM gateway_call WHERE capability_id = %s AND at >= %s AND NOT shadow AND stage_weight > 0
                AND (status < 400 OR status >= 500) ORDER BY at DESC LIMIT %s
            ) c
            LEFT JOIN LATERAL (
              SELECT correct FROM gateway_outcome WHERE request_id = c.request_id AND correct IS NOT NULL
              ORDER BY at DESC LIMIT 1
            ) o ON true
            """,  # noqa: S608  our own words
            [capability.pk, timezone.now() - timedelta(days=DAYS), LOOKED_AT],
        )
        calls, errors, ms, spread, log_ms, log_spread, rated, correct = cursor.fetchone()
    if not calls:
        return None
    if measure == Experiment.Measure.TYPICAL:
        return _Now(log_ms, log_spread) if log_ms is not None else None
    if measure == Experiment.Measure.LATENCY:
        return _Now(ms, spread) if ms is not None else None
    if measure == Experiment.Measure.QUALITY:
        return _rate(correct, rated, rated / calls) if rated else None
    return _rate(errors, calls, 1.0)


def _rate(events: int, calls: int, part: float) -> _Now:
    rate = events / calls
    counted = min(max(rate, LEAST_RATE), 1 - LEAST_RATE)
    return _Now(rate, counted * (1 - counted), part)


def _business(capability: Capability, raw: dict[str, Any] | None) -> _Now | None:
    metric = business.parse(raw)
    rows = Call.objects.filter(capability_id=capability.pk, shadow=False, stage_weight__gt=0, status__lt=400)
    calls = list(rows.defer("request", "response").order_by("-at")[:ASKED])
    sums = business.sums(metric, calls, outcomes_of([call.request_id for call in calls])) if calls else Sums()
    if not sums.n:
        return None
    size = metric.high - metric.low
    return _Now(metric.unscaled(sums.mean), sums.variance * size * size, sums.n / len(calls))
