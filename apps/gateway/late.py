"""Calls that can be looked at only long after they were made: of a gateway that was cut off, or digested late.

Who reads the log in the order of time asks here which minutes of it have got more calls since, and reads those again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, Exists, Func, OuterRef, Value
from django.utils import timezone

from apps.gateway.models import LateMinute

LATE = timedelta(minutes=1)
"""Whoever reads the log looks back further than this anyway."""
KEPT = timedelta(days=30)
MOST_SPANS = 100
MOST_MINUTES = 1000
_MINUTE = timedelta(minutes=1)


def note(moments: Iterable[tuple[int | None, datetime]]) -> None:
    """Write down the minutes of those calls (capability, when it was made) that are late now."""
    before = timezone.now() - LATE
    found = {
        (capability, at.astimezone(UTC).replace(second=0, microsecond=0))
        for capability, at in moments
        if capability is not None and at < before
    }
    if found:
        rows = sorted(found)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO gateway_lateminute (capability_id, minute, noted_at) "
                "SELECT capability, minute, clock_timestamp() FROM unnest(%s::bigint[], %s::timestamptz[]) "
                "AS t (capability, minute) "
                "ON CONFLICT (capability_id, minute) DO UPDATE SET noted_at = excluded.noted_at",
                [[capability for capability, _ in rows], [minute for _, minute in rows]],
            )


def minutes(
    capability_id: int, since: datetime, earliest: datetime, before: datetime, *, until: datetime
) -> list[tuple[datetime, datetime, datetime]]:
    """The first minutes that have got more calls since a moment and `before` another one, in the order of the notes.

    Each as (begin, end, when it was noted), of those from `earliest` on that begin before `until`.
    """
    rows = LateMinute.objects.filter(
        capability_id=capability_id,
        noted_at__gte=since,
        noted_at__lt=before,
        minute__gte=earliest,
        minute__lt=until,
    )
    found = rows.order_by("noted_at", "minute").values_list("minute", "noted_at")[:MOST_MINUTES]
    return [(minute, minute + _MINUTE, noted) for minute, noted in found]


def spans(capability_id: int, since: datetime, earliest: datetime) -> list[tuple[datetime, datetime]]:
    """From when until when the log has got more calls since a moment, from `earliest` on; neighbours are one span."""
    rows = LateMinute.objects.filter(capability_id=capability_id, noted_at__gte=since, minute__gte=earliest)
    found: list[tuple[datetime, datetime]] = []
    for minute in rows.order_by("minute").values_list("minute", flat=True):
        if found and (minute <= found[-1][1] or len(found) == MOST_SPANS):
            found[-1] = (found[-1][0], minute + _MINUTE)
        else:
            found.append((minute, minute + _MINUTE))
    return found


def noted(capability_id: int, since: datetime, earliest: datetime) -> Exists:
    """Of calls: whether the minute of one, from `earliest` on, has got more calls since a moment."""
    rows = LateMinute.objects.filter(capability_id=capability_id, noted_at__gte=since, minute__gte=earliest)
    its_own = Func(Value("minute"), OuterRef("at"), function="date_trunc", output_field=DateTimeField())
    return Exists(rows.filter(minute=its_own))


def forget(now: datetime) -> int:
    """Delete what was noted long ago; returns how many minutes."""
    return LateMinute.objects.filter(noted_at__lt=now - KEPT).delete()[0]
