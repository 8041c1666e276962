"""Brings what the log says of an experiment's callers into `UnitHour`, so that looking costs the same at any age.

The present hour and the one before are counted again each time, since the log arrives late; two days of hours every
ten minutes, for feedback and for what a gateway that was cut off brings. Where that takes long it is done less often
(`due`), so that counting keeps a worker busy for a twentieth of the time at most. A business metric is asked of each
call once, when feedback had its time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from apps.experiments.models import Experiment
from apps.gateway.models import Call
from apps.gateway.selectors import outcomes_of
from apps.releases import business
from apps.releases.evidence import LATE, NO_NUMBER

if TYPE_CHECKING:
    from uuid import UUID

RECOUNT_EVERY = timedelta(minutes=10)
RECOUNT_BACK = timedelta(days=2)
AT_MOST = 20
"""In times of what it took: so long is the pause before the next counting."""
AT_ONCE = timedelta(minutes=30)
"""Of the log, whose business metric is asked in one round."""
CHUNK = 2000

LOG_MS = "ln(greatest(latency_ms, 0.01))"
"""Of a call: what is faster than anything that is measured has no logarithm that says more."""

COUNT = f"""
INSERT INTO experiments_unithour
  (arm_id, unit, hour, calls, errors, answered, ms, log_ms, rated, correct, metric_n, metric_sum)
SELECT arm, c.unit, date_trunc('hour', c.at, 'UTC'), count(*),
  count(*) FILTER (WHERE c.status >= 500 OR {NO_NUMBER.format(table="c.")}),
  count(*) FILTER (WHERE c.status < 400), coalesce(sum(c.latency_ms) FILTER (WHERE c.status < 400), 0),
  coalesce(sum({LOG_MS}) FILTER (WHERE c.status < 400), 0), 0, 0, 0, 0
FROM gateway_call c, unnest(c.arms) AS arm
WHERE c.capability_id = %(capability)s AND c.at >= %(since)s
  AND c.arms && %(arms)s::bigint[] AND arm = ANY(%(arms)s::bigint[])
  AND NOT c.shadow AND (c.status < 400 OR c.status >= 500)
GROUP BY 1, 2, 3
ON CONFLICT (arm_id, unit, hour) DO UPDATE SET
  calls = excluded.calls, errors = excluded.errors, answered = excluded.answered, ms = excluded.ms,
  log_ms = excluded.log_ms
"""  # noqa: S608  our own words

RATE = """
UPDATE experiments_unithour u SET rated = f.rated, correct = f.correct
FROM (
  SELECT arm, c.unit, date_trunc('hour', c.at, 'UTC') AS hour, count(*) AS rated,
    count(*) FILTER (WHERE o.correct) AS correct
  FROM (
    SELECT DISTINCT ON (request_id) request_id, correct FROM gateway_outcome
    WHERE at >= %(since)s AND correct IS NOT NULL ORDER BY request_id, at DESC
  ) o
  JOIN gateway_call c ON c.request_id = o.request_id AND c.at >= %(since)s, unnest(c.arms) AS arm
  WHERE c.capability_id = %(capability)s AND c.arms && %(arms)s::bigint[] AND arm = ANY(%(arms)s::bigint[])
    AND NOT c.shadow AND c.status < 400
  GROUP BY 1, 2, 3
) f
WHERE u.arm_id = f.arm AND u.unit = f.unit AND u.hour = f.hour
"""

MEASURE = """
INSERT INTO experiments_unithour
  (arm_id, unit, hour, calls, errors, answered, ms, log_ms, rated, correct, metric_n, metric_sum)
SELECT arm, unit, hour, 0, 0, 0, 0, 0, 0, 0, n, total
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::int[], %s::float8[]) AS t (arm, unit, hour, n, total)
ON CONFLICT (arm_id, unit, hour) DO UPDATE SET
  metric_n = experiments_unithour.metric_n + excluded.metric_n,
  metric_sum = experiments_unithour.metric_sum + excluded.metric_sum
"""


def due(experiment: Experiment, now: datetime) -> bool:
    """Whether it is time to count again, by what it took the last time."""
    if experiment.counted_at is None:
        return True
    return now - experiment.counted_at >= timedelta(seconds=AT_MOST * experiment.pace.get("count_s", 0.0))


@transaction.atomic
def count(experiment: Experiment) -> bool:
    """Bring an experiment up to date with the log; False when another worker does it just now.

    Nobody who steers the experiment waits for this: its row is written at the end alone.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('experiments count'), %s)", [experiment.pk])
        if not cursor.fetchone()[0]:
            return False
    experiment.refresh_from_db(fields=["started_at", "counted_at", "recounted_at", "measured_until", "pace"])
    if experiment.started_at is None:
        return False
    began, now = time.monotonic(), timezone.now()
    arms = list(experiment.arms.values_list("pk", flat=True))
    pause = max(RECOUNT_EVERY, timedelta(seconds=AT_MOST * experiment.pace.get("recount_s", 0.0)))
    whole = experiment.recounted_at is None or experiment.recounted_at <= now - pause
    back = now - RECOUNT_BACK if whole else (experiment.counted_at or now) - timedelta(hours=1)
    since = max(_hour(experiment.started_at), _hour(back))
    given: dict[str, Any] = {"capability": experiment.capability_id, "since": since, "arms": arms}
    with connection.cursor() as cursor:
        cursor.execute(COUNT, given)
        cursor.execute(RATE, given)
    if experiment.measure == Experiment.Measure.BUSINESS:
        _measure(experiment, set(arms), now)
    experiment.counted_at = now
    experiment.recounted_at = now if whole else experiment.recounted_at
    experiment.pace |= {"recount_s" if whole else "count_s": round(time.monotonic() - began, 3)}
    experiment.save(update_fields=["counted_at", "recounted_at", "measured_until", "pace"])
    return True


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _measure(experiment: Experiment, arms: set[int], now: datetime) -> None:
    """Ask the business metric of the calls whose feedback had its time since the last round."""
    assert experiment.started_at is not None
    metric = business.parse(experiment.metric)
    since = experiment.measured_until or experiment.started_at
    until = min(now - timedelta(minutes=metric.wait_minutes) - LATE, since + AT_ONCE)
    if until <= since:
        return
    rows = Call.objects.filter(
        capability_id=experiment.capability_id, at__gte=since, at__lt=until, shadow=False, status__lt=400
    )
    found: defaultdict[tuple[int, int, datetime], list[float]] = defaultdict(list)
    chunk: list[Call] = []
    for call in rows.filter(arms__overlap=sorted(arms)).defer("request", "response").iterator(CHUNK):
        chunk.append(call)
        if len(chunk) == CHUNK:
            _add(found, metric, chunk, arms)
            chunk = []
    _add(found, metric, chunk, arms)
    experiment.measured_until = until
    if found:
        keys, values = list(found), list(found.values())
        columns = [list(column) for column in zip(*keys, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(
                MEASURE, [*columns, [len(each) for each in values], [sum(each) for each in values]]
            )


def _add(
    found: defaultdict[tuple[int, int, datetime], list[float]],
    metric: business.Metric,
    calls: list[Call],
    arms: set[int],
) -> None:
    ids: list[UUID] = [call.request_id for call in calls]
    outcomes = outcomes_of(ids) if ids else {}
    for call in calls:
        value = business.value_of(metric, business.document_of(call, outcomes.get(call.request_id, [])))
        if value is None or call.unit is None:
            continue
        for arm in arms.intersection(call.arms or ()):
            found[arm, call.unit, _hour(call.at)].append(metric.unscaled(metric.scaled(value)))
