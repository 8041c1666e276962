"""The live log of an environment that is being made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from apps.compute.consumers import IDLE_EVERY_S, STATE_EVERY_S, Followed, LogConsumer
from apps.compute.models import Job
from apps.workbench import install_log
from apps.workbench.selectors import environments_visible_to

if TYPE_CHECKING:
    from apps.accounts.models import User


class EnvironmentConsumer(LogConsumer):
    """`/ws/environments/<pk>/`: what the job says that locks the packages, then what the installer says."""

    def followed(self, viewer: User, pk: int) -> Followed | None:
        environment = environments_visible_to(viewer).filter(pk=pk).first()
        if environment is None:
            return None
        job = Job.objects.filter(pk=environment.job_id or 0).first()
        state = {
            "status": environment.status,
            "steps": environment.steps,
            "job": job.status if job else "",
            "reason": job.reason_words if job else "",
            "progress": job.progress if job else None,
        }
        ended = environment.ended
        return Followed(
            series=f"{job.pk}.{job.attempt}" if job else None,
            ended=ended,
            look_again_s=IDLE_EVERY_S if ended else STATE_EVERY_S,
            state=state,
            read=partial(install_log.read, environment, job),
        )
