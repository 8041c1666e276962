"""Usage, added up while the log is read: by key and hour, by capability and hour, by key and day.

The second and third say nothing that the first does not: by them a page costs the same however many keys call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.gateway.histogram import SIZE, added

Key = tuple[int, datetime, int, int, str, str]
"""Grant (0: nobody's, or a shadow's), hour, capability, deployment, outcome, version."""

_ADDED = (
    "(SELECT array_agg(a + b ORDER BY place)"
    " FROM unnest(u.histogram, EXCLUDED.histogram) WITH ORDINALITY AS t(a, b, place))"
)
_BY_KEY = (
    "INSERT INTO gateway_usage AS u"  # noqa: S608
    " (grant_id, hour, capability_id, deployment_id, outcome, version, count, ms, histogram)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (grant_id, hour, capability_id, deployment_id, outcome) DO UPDATE SET"
    f" count = u.count + EXCLUDED.count, ms = u.ms + EXCLUDED.ms, histogram = {_ADDED}"
)
_BY_CAPABILITY = (
    "INSERT INTO gateway_usageofcapability AS u"  # noqa: S608
    " (hour, capability_id, deployment_id, outcome, version, count, histogram) VALUES (%s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (capability_id, hour, deployment_id, outcome) DO UPDATE SET"
    f" count = u.count + EXCLUDED.count, histogram = {_ADDED}"
)
_BY_DAY = (
    "INSERT INTO gateway_usageofkey AS u (capability_id, day, grant_id, version, count, failed, last)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (capability_id, day, grant_id, version) DO UPDATE SET"
    " count = u.count + EXCLUDED.count, failed = u.failed + EXCLUDED.failed,"
    " last = greatest(u.last, EXCLUDED.last)"
)


@dataclass
class Tally:
    """What a batch adds to one row of usage."""

    count: int = 0
    ms: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * SIZE)


def add(tallies: Mapping[Key, Tally]) -> None:
    """Add a batch to all rollups, within the transaction of the caller.

    Rows are written in one order, so that two who write at once cannot wait for each other.
    """
    rows = sorted(tallies.items())
    counted = [(key, tally) for key, tally in rows if key[0]]
    with connection.cursor() as cursor:
        cursor.executemany(_BY_KEY, [(*key, tally.count, tally.ms, tally.histogram) for key, tally in rows])
        cursor.executemany(_BY_CAPABILITY, _by_capability(counted))
        cursor.executemany(_BY_DAY, _by_day(counted))


def _by_capability(rows: list[tuple[Key, Tally]]) -> list[tuple[Any, ...]]:
    found: defaultdict[tuple[datetime, int, int, str, str], list[Tally]] = defaultdict(list)
    for key, tally in rows:
        found[key[1:]].append(tally)
    return [
        (*key, sum(tally.count for tally in each), added(tally.histogram for tally in each))
        for key, each in sorted(found.items())
    ]


def _by_day(rows: list[tuple[Key, Tally]]) -> list[tuple[Any, ...]]:
    found: dict[tuple[int, datetime, int, str], tuple[int, int, datetime]] = {}
    for (grant, hour, capability, _deployment, outcome, version), tally in rows:
        key = (capability, hour.replace(hour=0), grant, version)
        count, failed, last = found.get(key, (0, 0, hour))
        failed += tally.count if outcome else 0
        found[key] = (count + tally.count, failed, max(last, hour))
    return [(*key, *sums) for key, sums in sorted(found.items())]
