"""What a deployment used while it was evaluated: memory, processor time, and how long it took to start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.compute.selectors import workloads
from apps.instances.models import Replica

if TYPE_CHECKING:
    from apps.evaluation.models import Run
    from apps.instances.models import Deployment


@dataclass(frozen=True)
class Used:
    """Over all replicas: the highest peak memory in MB, processor seconds so far."""

    peak_memory_mb: float
    cpu_s: float


def of(deployment: Deployment) -> Used | None:
    """As the engine sees it now; None when nothing runs."""
    names = set(Replica.objects.filter(deployment=deployment).values_list("workload_id", flat=True))
    seen = [workload for workload in workloads() if workload.id in names] if names else []
    if not seen:
        return None
    return Used(
        max(workload.peak_memory_mb or workload.memory_mb for workload in seen),
        sum(workload.cpu_s for workload in seen),
    )


def figures(run: Run, calls: int) -> dict[str, dict[str, Any]]:
    """Figures for gates. A cold start is one only if the evaluation itself started the deployment."""
    found: dict[str, dict[str, Any]] = {}
    used = of(run.deployment)
    if used is not None and used.peak_memory_mb:
        found["memory_mb"] = {"value": round(used.peak_memory_mb, 1), "n": 1, "unit": "MB"}
    if used is not None and run.cpu_s_before is not None and calls:
        spent = max(0.0, used.cpu_s - run.cpu_s_before)
        found["cpu_ms_per_call"] = {"value": round(1000 * spent / calls, 3), "n": calls, "unit": "ms"}
    ready = (
        Replica.objects.filter(deployment=run.deployment, ready_at__isnull=False).order_by("ready_at").first()
    )
    if run.made_deployment and ready is not None and ready.ready_at is not None:
        took = (ready.ready_at - ready.created_at).total_seconds()
        found["cold_start_s"] = {"value": round(took, 2), "n": 1, "unit": "s"}
    return found
