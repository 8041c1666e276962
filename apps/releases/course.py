"""How a stage went so far: the calls of candidate and former version over time, as they were counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.core.cache import caches
from django.db import connection
from django.utils import timezone

from apps.gateway.histogram import SIZE, percentile

if TYPE_CHECKING:
    from apps.releases.models import Release, Stage

POINTS = 120
"""A stage that takes two weeks is drawn with as many points as one that takes two hours."""
KEPT_S = 60


@dataclass(frozen=True)
class Point:
    """The calls of one span of time: until when, how many, the bad ones among them, their 95th percentile in ms."""

    at: datetime
    calls: int
    bad: int
    p95_ms: float | None


Course = tuple[list[Point], list[Point]]


def course_of(release: Release, stage: Stage) -> Course:
    """The points of the candidate, and of what ran before, oldest first; spans without calls are left out.

    They are added up once for each count of the log, whoever looks.
    """
    if stage.started_at is None:
        return [], []
    if stage.counted_at is None:
        return _added_up(release, stage, stage.started_at)
    key = f"releases-course-{stage.pk}-{stage.counted_at.timestamp()}"
    remembered = caches["process"]
    found: Course | None = remembered.get(key)
    if found is None:
        found = _added_up(release, stage, stage.started_at)
        remembered.set(key, found, KEPT_S)
    return found


def _added_up(release: Release, stage: Stage, started_at: datetime) -> Course:
    began = started_at.replace(second=0, microsecond=0)
    minutes = max(1, -(-int((timezone.now() - began) / timedelta(minutes=1)) // POINTS))
    found: dict[int, list[Point]] = {}
    added = ", ".join(f"sum(histogram[{place + 1}])::bigint" for place in range(SIZE))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT deployment_id, floor(extract(epoch FROM minute - %s) / %s)::int AS span,"  # noqa: S608
            f" sum(calls)::bigint, sum(bad)::bigint, ARRAY[{added}] FROM releases_stageminute"
            " WHERE stage_id = %s AND calls > 0 GROUP BY 1, 2 ORDER BY 2",
            [began, minutes * 60, stage.pk],
        )
        for pk, span, calls, bad, histogram in cursor.fetchall():
            until = began + (span + 1) * timedelta(minutes=minutes)
            found.setdefault(pk, []).append(Point(until, calls, bad, percentile([histogram], 0.95)))
    return found.get(release.deployment_id or 0, []), found.get(release.baseline_id or 0, [])
