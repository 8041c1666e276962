"""How long a capability's calls are kept, and the end of those whose days are over.

Deleting takes the rows, their bodies in files, what callers said about them, and the data keys of those days;
a day's table goes as a whole when every capability's retention has passed. Usage, which names nobody, stays.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.db import connection

from apps.catalog.models import Capability
from apps.gateway import feedback, late, partitions, payloads
from apps.gateway.models import Call, DataKey, Outcome, Retention
from apps.gateway.sealed import RENEWED_AFTER

DAYS = 90
MOST_DAYS = 3650
BATCH = 20_000
SECONDS = 20.0


def days_of(capability: Capability) -> int:
    """How many days a capability's calls are kept."""
    found = Retention.objects.filter(capability=capability).values_list("days", flat=True).first()
    return DAYS if found is None else found


def kept_until(call: Call) -> datetime:
    """When a call's row and bodies are deleted; until then it can be run again."""
    found = (
        Retention.objects.filter(capability=call.capability_id or 0).values_list("days", flat=True).first()
    )
    return call.at + timedelta(days=DAYS if found is None else found)


def enforce(now: datetime, seconds: float = SECONDS) -> dict[str, int]:
    """Delete what is over, for at most so long; the next round goes on. Returns what was deleted."""
    kept = dict(Retention.objects.values_list("capability", "days"))
    until = time.monotonic() + seconds
    done = {"calls": 0, "bodies": 0, "keys": 0, "tables": 0}
    for pk in Capability.objects.values_list("pk", flat=True):
        before = now - timedelta(days=kept.get(pk, DAYS))
        done["calls"] += _delete_calls(pk, before, until)
        done["keys"] += DataKey.objects.filter(capability=pk, created_at__lt=before - RENEWED_AFTER).delete()[
            0
        ]
    for pk in payloads.capabilities():
        before = now - timedelta(days=kept.get(pk, DAYS))
        done["bodies"] += payloads.forget(pk, before.astimezone(UTC).date())
    feedback.forget(now)
    late.forget(now)
    done["tables"] = len(partitions.drop_before((now - timedelta(days=max([DAYS, *kept.values()]))).date()))
    return done


def _delete_calls(capability_id: int, before: datetime, until: float) -> int:
    total = 0
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH old AS (SELECT request_id, at FROM gateway_call WHERE capability_id = %s AND at < %s LIMIT %s), "
                "said AS (DELETE FROM gateway_outcome o USING old WHERE o.request_id = old.request_id "
                "         AND o.kind = %s), "
                "apart AS (DELETE FROM gateway_uncountedfeedback f USING old WHERE f.request_id = old.request_id) "
                "DELETE FROM gateway_call c USING old WHERE c.request_id = old.request_id AND c.at = old.at",
                [capability_id, before, BATCH, Outcome.Kind.FEEDBACK],
            )
            total += cursor.rowcount
            if cursor.rowcount < BATCH:
                break
    return total
