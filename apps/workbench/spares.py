"""One warm spare server, bound to a workspace when somebody starts one: click to usable without the server's imports.

The spare runs in a sandbox of its own with an empty folder at /work. Binding moves the workspace's files into that
folder and gives the folder the workspace's name, so that nothing has to be mounted into a running sandbox; each
step can be repeated after a kill.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.compute import environments, ledger
from apps.compute.adapters import engine
from apps.compute.engines import sandbox
from apps.compute.selectors import why_no_node
from apps.compute.services import grow_reservation, remove_workload, start_workload
from apps.core import turns
from apps.core.errors import PortalError, Unavailable
from apps.workbench import launch
from apps.workbench.models import SpareServer, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

ENVIRONMENT = "base"
FLAVOUR = Workspace.Flavour.SMALL
HELD = ledger.Amount(0, 200)
"""What a spare takes of the ledger while it is nobody's: its imports and a little more."""
_TRIES_AGAIN_AFTER = timedelta(seconds=60)


def keep_spares() -> None:
    """Have as many spares as wanted: start what is missing, remove what is of no use any more."""
    with turns.only_one(turns.SPARES, 0) as alone:
        if not alone:
            return
        wanted = settings.ATRIUM.spare_workspaces if _can_be() else 0
        free = [row for row in SpareServer.objects.filter(workspace=None) if not _removed(row, wanted)]
        for row in free[wanted:]:
            _remove(row)
        if len(free) < wanted:
            _start()


def _can_be() -> bool:
    """Spares need mounts, and their environment."""
    return sandbox.probe().is_strong and environments.is_ready(ENVIRONMENT)


def _removed(row: SpareServer, wanted: int) -> bool:
    """Remove one of an older environment, or that ended; that only after a while, so that none starts on and on."""
    observed = engine().observe(row.workload_id)
    ended = observed is None or observed.ended
    if wanted and row.environment == _environment_name() and not ended:
        return False
    if wanted and ended and timezone.now() - row.created_at < _TRIES_AGAIN_AFTER:
        return False
    _remove(row)
    return True


def _environment_name() -> str:
    return environments.path(ENVIRONMENT).name


def _start() -> None:
    row = SpareServer.objects.create(
        workload_id=f"spare-{secrets.token_hex(4)}", environment=_environment_name()
    )
    folder = _folder(row.workload_id)
    (folder / "home").mkdir(parents=True, mode=0o700)
    folder.chmod(0o711)
    launch.write_configuration(folder / "etc", row.workload_id)
    workload = launch.spare_workload(row.workload_id, folder, Workspace.SIZES[FLAVOUR], ENVIRONMENT)
    try:
        start_workload(workload, purpose="warm spare for a workspace", trusted=True, held=HELD)
    except PortalError as error:
        log.info("no warm spare for now: %s", error.message)
        _remove(row)


def _remove(row: SpareServer) -> None:
    remove_workload(row.workload_id)
    shutil.rmtree(_folder(row.workload_id), ignore_errors=True)
    row.delete()


def _folder(workload_id: str) -> Path:
    root: Path = settings.ATRIUM.data_dir / "spares" / workload_id
    return root


def take(workspace: Workspace) -> bool:
    """Make a spare the workspace's server where one fits it. Raises NotAllowed, Unavailable when there is no room."""
    if workspace.environment != ENVIRONMENT or workspace.flavour != FLAVOUR or workspace.datasets.exists():
        return False
    if why_no_node(workspace.labels):
        return False
    row = _claim(workspace)
    if row is None:
        return False
    observed = engine().observe(row.workload_id)
    try:
        if observed is None or observed.ended:
            raise Unavailable("the spare has ended")
        needs = ledger.Amount(workspace.size.cpu, workspace.size.memory_mb)
        purpose = f"workspace {workspace.name}"
        grow_reservation(row.workload_id, needs, purpose=purpose, by=workspace.owner)
    except PortalError:
        give_up(workspace)
        return False
    return True


@transaction.atomic
def _claim(workspace: Workspace) -> SpareServer | None:
    free = SpareServer.objects.select_for_update(skip_locked=True).filter(
        workspace=None, environment=_environment_name()
    )
    row = free.order_by("created_at").first()
    if row is not None:
        SpareServer.objects.filter(pk=row.pk).update(workspace=workspace)
        Workspace.objects.filter(pk=workspace.pk).update(server=row.workload_id)
        workspace.server = row.workload_id
    return row


def is_unbound(workspace: Workspace) -> bool:
    """Whether the workspace has a spare that does not know it yet."""
    return bool(workspace.server) and not (_folder(workspace.server) / "etc" / launch.START).exists()


def bind(workspace: Workspace, variables: Mapping[str, str]) -> None:
    """Give the spare the workspace's files, then the variables with which it begins. May be repeated."""
    folder = _folder(workspace.server)
    launch.fill_home(workspace)
    _settle(folder / "home", launch.home_of(workspace))
    engine().own(workspace.server, launch.home_of(workspace))
    target = folder / "etc" / launch.START
    part = target.with_suffix(".part")
    part.write_text(json.dumps(dict(variables)), encoding="utf-8")
    part.replace(target)


def give_up(workspace: Workspace) -> None:
    """The workspace's server is no spare any more, or has ended: its files are under its own name again."""
    if not workspace.server:
        return
    folder = _folder(workspace.server)
    remove_workload(workspace.server)
    if folder.is_dir() and launch.home_of(workspace).is_dir():
        _settle(folder / "home", launch.home_of(workspace))
    shutil.rmtree(folder, ignore_errors=True)
    with transaction.atomic():
        SpareServer.objects.filter(workload_id=workspace.server).delete()
        Workspace.objects.filter(pk=workspace.pk).update(server="")
    workspace.server = ""


def _settle(inside: Path, home: Path) -> None:
    """Move the files of `home` into the folder that is mounted in the spare, which then becomes `home`.

    The folder keeps its inode, so what is mounted in the sandbox stays the same; the supervisor, which measures it
    by its old path, finds a link there.
    """
    if inside.is_symlink():
        return
    if inside.is_dir():
        for name in os.listdir(home):  # noqa: PTH208 - names only
            (home / name).rename(inside / name)
        inside.rename(home)  # onto the folder that is empty now, in one step
    inside.symlink_to(os.path.relpath(home, inside.parent))
