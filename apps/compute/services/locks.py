"""Locking packages: uv resolves them in a job of the sandbox, and what it locks names an environment.

One way for all who lock: a model's packages (catalog) and a team's environments (workbench). The job reaches the
package hosts on the administrator's list, through the forwarder, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext as _

from apps.compute import environments
from apps.compute.models import Job
from apps.compute.services.jobs import submit_job
from apps.core import objects

if TYPE_CHECKING:
    from apps.accounts.models import Team, User

LOCK = "environment.lock"
_UV = "/opt/atrium-uv"
_RESOURCES = {"cpu": 1.0, "memory_mb": 1024}
_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Lock:
    """What a job has locked: the environment's name, the lock as a stored object, and how many packages."""

    environment: str
    sha256: str
    packages: int


def submit_lock(
    kind: str, title: str, wanted: str, *, by: User, team: Team, subject: models.Model, start_from: str = ""
) -> Job:
    """Let uv resolve and lock what `wanted` says, a line each; when the job has ended, ask `lock_of`.

    uv keeps the versions of the lock `start_from` as long as nothing speaks against them. Raises NotAllowed, Invalid.
    """
    files: dict[str, bytes | str] = {"inputs/requirements.in": wanted}
    if start_from:
        files[f"outputs/{LOCK}"] = start_from
    return submit_job(
        kind,
        title,
        by=by,
        team=team,
        argv=["python", "-m", "atrium.packaging.lock", "--uv", _UV],
        environment="base",
        files=files,
        mounts=[(environments.uv_program(), _UV, True)],
        resources=_RESOURCES,
        timeout_s=_TIMEOUT_S,
        subject=subject,
        network=Job.Network.FORWARDER,
    )


def lock_of(job: Job) -> Lock | None:
    """The lock that a job made, kept where environments are built from; None when it made none."""
    if job.status != Job.Status.SUCCEEDED or LOCK not in job.outputs:
        return None
    sha256 = str(job.outputs[LOCK]["sha256"])
    facts = job.result if isinstance(job.result, dict) else {}
    return Lock(_keep(sha256), sha256, int(facts.get("packages") or 0))


def why_no_lock(job: Job) -> dict[str, str]:
    """What the job said of its end: `message` and `advice`, uv's own words where it came so far."""
    told = job.result.get("failure") if isinstance(job.result, dict) else None
    told = told if isinstance(told, dict) else {}
    message = str(told.get("message") or job.reason or _("The job that chooses the versions was ended."))
    return {"message": message, "advice": str(told.get("advice") or _("Try it again."))}


def have_lock(environment: str, sha256: str) -> str:
    """Put a stored lock where environments are built from, unless it is there: another machine, a lost folder."""
    return environment if environments.exists(environment) else _keep(sha256)


def _keep(sha256: str) -> str:
    with objects.open_object(sha256) as stream:
        return environments.keep_lock(stream.read().decode())
