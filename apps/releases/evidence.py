"""What the calls of a stage showed, per deployment, read from the call log; and what its replicas use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Count, Exists, Max, OuterRef, Q, Sum

from apps.gateway.models import Call, Outcome
from apps.gateway.selectors import counts_since
from apps.instances.models import Replica
from apps.releases.judgement import Counts

if TYPE_CHECKING:
    from apps.instances.models import Deployment


@dataclass(frozen=True)
class Observed:
    """Calls, server errors among them, calls that somebody called wrong, and the 95th percentile in milliseconds.

    `slow` answers took longer than the stage allows; `bad` counts each call once, whatever is wrong with it.
    `memory_mb` is the largest replica's, `cpu_share` the sum of their processor shares: the load per server.
    """

    calls: int = 0
    errors: int = 0
    complaints: int = 0
    p95_ms: float | None = None
    slow: int = 0
    bad: int = 0
    memory_mb: float = 0.0
    cpu_share: float = 0.0

    @property
    def counts(self) -> Counts:
        return Counts(self.calls, min(self.calls, self.bad))

    def words(self) -> str:
        """`12 of 340`."""
        return f"{self.bad} of {self.calls}"


def observe(
    deployments: Iterable[Deployment | None], *, since: datetime, slow_ms: float | None = None
) -> dict[int, Observed]:
    """What was logged since a moment for each deployment; a call whose feedback says wrong is a bad answer."""
    keys = [deployment.pk for deployment in deployments if deployment is not None]
    found = counts_since(keys, since)
    bad = _bad_since(keys, since, slow_ms)
    load = {
        row["deployment_id"]: (row["memory"] or 0.0, row["cpu"] or 0.0)
        for row in Replica.objects.filter(deployment_id__in=keys)
        .values("deployment_id")
        .annotate(memory=Max("memory_mb"), cpu=Sum("cpu_share"))
    }
    return {
        key: Observed(
            **found.get(key, {}),
            slow=bad.get(key, (0, 0))[0],
            bad=bad.get(key, (0, 0))[1],
            memory_mb=round(load.get(key, (0.0, 0.0))[0], 1),
            cpu_share=round(load.get(key, (0.0, 0.0))[1], 3),
        )
        for key in keys
    }


def _bad_since(keys: list[int], since: datetime, slow_ms: float | None) -> dict[int, tuple[int, int]]:
    """{deployment: (slow, bad)}."""
    slow = Q(latency_ms__gt=slow_ms) if slow_ms else Q(pk__isnull=True)
    wrong = Exists(Outcome.objects.filter(request_id=OuterRef("request_id"), correct=False))
    rows = Call.objects.filter(deployment_id__in=keys, at__gte=since).order_by().values("deployment_id")
    counted = rows.annotate(
        slow=Count("request_id", filter=slow),
        bad=Count("request_id", filter=Q(status__gte=500) | Q(wrong) | slow),
    )
    return {int(row["deployment_id"] or 0): (row["slow"], row["bad"]) for row in counted}
