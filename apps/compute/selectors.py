"""Reads about jobs and about what the machine has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import F, FloatField, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from apps.accounts.selectors import teams_of
from apps.compute import ledger
from apps.compute.adapters import engine
from apps.compute.models import Attempt, Job, Reservation
from apps.compute.policy import WATCHERS
from apps.core import objects
from apps.core.errors import NotFound

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


def jobs_visible_to(user: User | AnonymousUser) -> QuerySet[Job]:
    """The jobs of the teams in which a person develops, operates or signs off."""
    return Job.objects.filter(team__in=teams_of(user, *WATCHERS)).select_related("team", "created_by")


def capacity() -> ledger.Amount:
    """What this machine may give to workloads."""
    return ledger.capacity(settings.ATRIUM.node_cpu, settings.ATRIUM.node_memory_mb)


def in_use() -> ledger.Amount:
    """What active jobs and long-running workloads have been given."""
    names = ("cpu", "memory_mb", "gpu")
    active = Job.objects.filter(status__in=Job.ACTIVE)
    jobs = active.aggregate(**{name: Sum(Cast(KT(f"resources__{name}"), FloatField())) for name in names})
    others = Reservation.objects.aggregate(**{name: Sum(F(name)) for name in names})
    return ledger.total(
        ledger.Amount(**{name: float(row[name] or 0) for name in names}) for row in (jobs, others)
    )


def queue_position(job: Job) -> int:
    """The place of a queued job in the line, from 1."""
    before = Job.objects.filter(status=Job.Status.QUEUED)
    ahead = before.filter(priority__lt=job.priority) | before.filter(
        priority=job.priority, queued_at__lt=job.queued_at
    )
    return ahead.count() + 1


def job_log(
    job: Job, offset: int = 0, limit: int = 262_144, *, attempt: int | None = None
) -> tuple[bytes, int]:
    """Output of an attempt (the newest by default) from byte `offset` on, and the offset to go on from."""
    found = Attempt.objects.filter(job=job, number=attempt or job.attempt).first()
    if found is None:
        if attempt:
            raise NotFound(f"Job {job.pk} has no attempt {attempt}.")
        return b"", offset
    if not found.log:
        return engine().log(found.workload_id, offset, limit)
    with objects.open_object(found.log) as handle:
        handle.seek(offset)
        data = handle.read(limit)
    return data, offset + len(data)
