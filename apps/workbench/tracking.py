"""The experiment tracker: MLflow in a sandbox of its own, one MLflow workspace per team, chosen here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import PersonalToken, Role, Team
from apps.accounts.selectors import teams_of
from apps.accounts.services import user_of_token
from apps.compute import environments
from apps.compute.adapters import engine
from apps.compute.engines.base import PORT_SOCKET, WORK, Mount, Resources, Workload
from apps.compute.models import Job
from apps.compute.services import remove_workload, start_workload, workload_socket
from apps.core import secrets
from apps.core.errors import NotAllowed
from apps.workbench.models import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from apps.accounts.models import User

log = logging.getLogger(__name__)

WORKLOAD = "mlflow"
ENVIRONMENT = "mlflow"
PREFIX = "/mlflow"


def keep_tracker() -> None:
    """See to it that the tracker runs. It restarts by itself; this is for first starts and after `make up`."""
    if not settings.ATRIUM.mlflow or not environments.is_ready(ENVIRONMENT):
        return
    observed = engine().observe(WORKLOAD)
    if observed is not None and not observed.ended:
        return
    if observed is not None:
        log.warning("the tracker ended (%s) and is started again", observed.reason)
        remove_workload(WORKLOAD)
    home: Path = settings.ATRIUM.data_dir / "mlflow"
    home.mkdir(exist_ok=True, mode=0o700)
    start_workload(_workload(home), purpose="MLflow", trusted=True)


def _workload(home: Path) -> Workload:
    """It has no network and no secret; the one way to it is its socket, which only the live process uses."""
    server = ["--backend-store-uri", f"sqlite:///{WORK}/mlflow.db", "--workers", "1", "--enable-workspaces"]
    server += ["--serve-artifacts", "--artifacts-destination", f"{WORK}/artifacts", "--static-prefix", PREFIX]
    server += ["--x-frame-options", "NONE", "--allowed-hosts", "*"]  # the live process has checked both
    server += ["--uvicorn-opts", f"--uds {PORT_SOCKET} --log-level warning"]
    return Workload(
        id=WORKLOAD,
        argv=["python", "-m", "mlflow", "server", *server],
        environment=environments.path(ENVIRONMENT),
        resources=Resources(cpu=0.1, memory_mb=1536, disk_mb=102_400),
        mounts=[Mount(home, WORK, readonly=False)],
        port=True,
        restart="always",
        nice=5,
        env={
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        },
    )


def panel_of(job: Job) -> str:
    """The fragment with a job's metrics, for its page; nothing for jobs that cannot reach the tracker."""
    return reverse("workbench:job_metrics", args=[job.pk]) if job.network == "forwarder" else ""


def tracker_socket() -> Path:
    """Where the tracker listens."""
    return workload_socket(WORKLOAD)


def tracked_teams(user: User) -> list[Team]:
    """The teams whose experiments a person may see and write: those in which they develop."""
    return list(teams_of(user, Role.DEVELOPER).order_by("pk"))


def team_for(user: User, wanted: str, *, usual: Team | None = None) -> str:
    """The MLflow workspace for a request: the one it names, else `usual`, else the person's first team.

    Raises NotAllowed.
    """
    teams = tracked_teams(user)
    if not teams:
        raise NotAllowed(_("Experiments are for developers of a team."))
    if wanted and wanted not in {team.slug for team in teams}:
        raise NotAllowed(_("You do not develop in the team “%(team)s”.") % {"team": wanted})
    if wanted:
        return wanted
    return usual.slug if usual in teams else teams[0].slug


@dataclass(frozen=True)
class Bearer:
    """Whose team a token works for, and what its runs are tagged with."""

    team: str
    tags: dict[str, str]


def bearer_of(secret: str, wanted: str) -> Bearer:
    """As `team_for`, for a personal token; one that a job or a workspace carries leads to their team.

    Raises NotAllowed.
    """
    user = user_of_token(secret)
    if user is None:
        raise NotAllowed(_("The token is unknown, revoked or expired."))
    token = PersonalToken.objects.get(digest=secrets.digest(secret))
    tags = {"atrium.user": user.username}
    carrier: Job | Workspace | None
    if token.job_id is not None:
        carrier = Job.objects.select_related("team").filter(pk=token.job_id).first()
        tags["atrium.job"] = str(token.job_id)
    else:
        carrier = Workspace.objects.select_related("team").filter(token=token).first()
        if carrier is not None:
            tags["atrium.workspace"] = str(carrier.pk)
    return Bearer(team_for(user, wanted, usual=carrier.team if carrier else None), tags)
