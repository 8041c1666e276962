"""Run a workspace's notebook or script as a job: its files are copied as they are now, the job is on its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.compute import job_data
from apps.compute.policy import may_submit_job
from apps.compute.selectors import measured_needs
from apps.compute.services import silent_cells, submit_job
from apps.core import objects
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.workbench import mounted
from apps.workbench.files import TooMuch, within_limits
from apps.workbench.launch import home_of
from apps.workbench.policy import may_edit_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from apps.accounts.models import User
    from apps.compute.models import Job
    from apps.compute.needs import Needs
    from apps.datasets.models import DatasetVersion
    from apps.workbench.models import Workspace

FOLDER = "workspace"
RESOURCES = {"cpu": 1.0, "memory_mb": 2048}
"""What a file is given that asks for nothing."""


def run_file(
    workspace: Workspace,
    path: str,
    *,
    by: User,
    params: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    timeout_s: float = 3600,
    labels: Sequence[str] | None = None,
    cell_timeout_s: float | None = None,
    max_attempts: int = 1,
    priority: int = 5,
    environment: str = "",
    datasets: Iterable[DatasetVersion] = (),
) -> Job:
    """Queue the notebook or script at `path` of a workspace. Raises NotAllowed, Invalid.

    Environment and labels are the workspace's, unless others are given. It reads the workspace's data
    sets and those of `datasets`, which stand before other versions of the same; in the lineage it comes from these.
    A notebook gets `params` as variables and leaves itself, executed, in the job's outputs; a script finds them with
    `atrium.params()`. A cell that hangs for `cell_timeout_s` seconds is ended (0: never; None: as `atrium.notebook`
    does).
    """
    require(may_edit_workspace(by, workspace))
    require(may_submit_job(by, workspace.team))
    argv = _command(path)
    if path.endswith(".ipynb"):
        argv += silent_cells(cell_timeout_s)
    inputs = _copied(workspace)
    if path not in inputs:
        raise Invalid(
            _("There is no file “%(path)s” in the workspace.") % {"path": path}, fields={"path": _("unknown")}
        )
    data = mounted.data_of(datasets, user=by, beside=mounted.versions_in(workspace, by))
    with transaction.atomic():
        job = submit_job(
            "notebook" if path.endswith(".ipynb") else "script",
            PurePosixPath(path).name,
            by=by,
            team=workspace.team,
            argv=argv,
            environment=environment or workspace.environment,
            inputs={f"{FOLDER}/{name}": sha256 for name, sha256 in inputs.items()},
            params=params,
            resources={**RESOURCES, **(resources or {})},
            timeout_s=timeout_s,
            max_attempts=max_attempts,
            priority=priority,
            labels=workspace.labels if labels is None else labels,
            subject=workspace,
            needs_key=needs_key(workspace, path),
            network="forwarder",
            mounts=data.mounts,
            env=data.env,
        )
        job_data.note_sources(data, job)
    return job


def needs_key(workspace: Workspace, path: str) -> str:
    """What compute knows the runs of one file by."""
    return f"workspace:{workspace.pk}:{path}"


def needs_of(workspace: Workspace, paths: Iterable[str]) -> list[tuple[str, Needs]]:
    """What earlier runs of these files needed, for those that have run."""
    found = ((path, measured_needs(needs_key(workspace, path))) for path in paths)
    return [(path, needs) for path, needs in found if needs is not None]


def _command(path: str) -> list[str]:
    inside = PurePosixPath("/work/inputs") / FOLDER / path
    if inside.suffix == ".ipynb":
        return ["python", "-m", "atrium.notebook", str(inside)]
    if inside.suffix == ".py":
        return ["env", f"--chdir={inside.parent}", "python", str(inside)]
    raise Invalid(
        _("“%(path)s” is neither a notebook (.ipynb) nor a Python script (.py).") % {"path": path},
        fields={"path": _("unknown kind")},
    )


def _copied(workspace: Workspace) -> dict[str, str]:
    """Path to SHA-256 of the workspace's files as they are now."""
    try:
        return {file.path: objects.put(handle)[0] for file, handle in within_limits(home_of(workspace))}
    except TooMuch as error:
        raise Invalid(
            _("The workspace holds more than a job is given (%(what)s). Put data into a data set.")
            % {"what": error}
        ) from error
