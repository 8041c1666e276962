"""Looks after running workspaces: what is at work in them, when their lease ends, when they are only idle."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.compute.adapters import engine
from apps.compute.engines.shim import tree
from apps.core import background
from apps.core.errors import PortalError
from apps.requests.notifications import notify
from apps.workbench import jupyter
from apps.workbench.entry import ended_logins, forget_entries
from apps.workbench.launch import DOCUMENTS, home_of
from apps.workbench.models import Workspace
from apps.workbench.services import RECONCILE

if TYPE_CHECKING:
    from apps.compute.engines.base import Observed

log = logging.getLogger(__name__)

WARNS_BEFORE = timedelta(minutes=30)
WORKING_CORES = 0.1
"""Processor use above this counts as work; a server that nobody uses takes a tenth of it."""


@dataclass(frozen=True)
class Activity:
    """What was seen in a workspace at one look. Memory and disk in MB, `cores` since the look before."""

    at: str
    kernels: int = 0
    busy: int = 0
    terminals: int = 0
    commands: int = 0
    """Terminals in which a command runs."""
    cpu_s: float = 0.0
    cores: float | None = None
    disk_mb: float = 0.0
    frozen: bool = False


def tend_workspaces() -> None:
    """One look at every running workspace."""
    for workspace in Workspace.objects.filter(status="running").select_related("owner"):
        try:
            tend(workspace)
        except (PortalError, OSError):
            log.exception("workspace %s: looked after again at the next round", workspace.pk)


def tend(workspace: Workspace) -> None:
    """See what it does; warn before the lease ends; stop it when the lease has ended or it has been idle."""
    observed = engine().observe(workspace.workload_id)
    if observed is None or observed.ended:
        return  # the reconciler says so
    _end_shells(workspace)
    now = timezone.now()
    activity, heard = _look(workspace, observed, now)
    active_at = workspace.active_at or workspace.status_at
    if activity.busy or activity.commands or (activity.cores or 0) >= WORKING_CORES:
        active_at = now
    active_at = max([active_at, *(moment for moment in heard if moment <= now)])
    Workspace.objects.filter(pk=workspace.pk).update(activity=asdict(activity), active_at=active_at)
    workspace.active_at = active_at
    if workspace.lease_until and now >= workspace.lease_until:
        _stop(workspace, _("The lease ended."))
    elif now - active_at >= timedelta(minutes=workspace.idle_minutes):
        _stop(workspace, _("It was idle for %(minutes)d minutes.") % {"minutes": workspace.idle_minutes})
    elif workspace.lease_until and not workspace.lease_warned and now >= workspace.lease_until - WARNS_BEFORE:
        _warn(workspace)


def _end_shells(workspace: Workspace) -> None:
    """Shells end with the last login with which their owner had entered; kernels and jobs go on.

    The end of a login is not told by anybody: it is looked for, so that no kill and no broker that is away loses it.
    """
    over, another_stands = ended_logins(workspace)
    if over and (another_stands or jupyter.end_terminals(workspace)):
        forget_entries(over)


def _look(workspace: Workspace, observed: Observed, now: datetime) -> tuple[Activity, list[datetime]]:
    """What is seen, and the moments at which the server heard of somebody."""
    kernels = _rows(jupyter.ask(workspace, "/api/kernels?no_track_activity=1"))
    terminals = _rows(jupyter.ask(workspace, "/api/terminals?no_track_activity=1"))
    status = jupyter.ask(workspace, "/api/status")
    served = [status] if isinstance(status, dict) else []
    before = workspace.activity
    heard = [_moment(row.get("last_activity")) for row in [*kernels, *terminals, *served]]
    heard.append(_edited(workspace))
    return Activity(
        at=now.isoformat(),
        kernels=len(kernels),
        busy=sum(row.get("execution_state") == "busy" for row in kernels),
        terminals=len(terminals),
        commands=_commands(observed.pid),
        cpu_s=observed.cpu_s,
        cores=_cores(before, observed.cpu_s, now),
        disk_mb=observed.disk_mb,
        frozen=observed.frozen,
    ), [moment for moment in heard if moment is not None]


def _rows(answer: Any) -> list[dict[str, Any]]:
    return [row for row in answer[:1000] if isinstance(row, dict)] if isinstance(answer, list) else []


def _moment(text: Any) -> datetime | None:
    with suppress(ValueError):
        found = parse_datetime(text) if isinstance(text, str) else None
        return found if found is not None and timezone.is_aware(found) else None
    return None


def _edited(workspace: Workspace) -> datetime | None:
    """When a shared document was last changed: the server writes each change down there."""
    try:
        changed = (home_of(workspace) / DOCUMENTS).lstat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(changed, UTC)


def _cores(before: dict[str, Any], cpu_s: float, now: datetime) -> float | None:
    """Cores in use since the look before; None at the first look after a start."""
    at = _moment(before.get("at"))
    if at is None or cpu_s < before.get("cpu_s", 0):
        return None
    elapsed = (now - at).total_seconds()
    return round((cpu_s - before["cpu_s"]) / elapsed, 3) if elapsed > 0 else None


def _commands(pid: int | None) -> int:
    """Terminals of this process tree in which something other than the shell has the foreground.

    proc(5): a session's leader whose terminal's foreground group (tpgid) is not its own waits for a command.
    """
    found = 0
    for one in tree(pid) if pid else ():
        try:
            fields = Path(f"/proc/{one}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        _state, _parent, group, session, terminal, foreground = fields.rpartition(")")[2].split()[:6]
        found += session == str(one) and terminal != "0" and foreground not in ("-1", group)
    return found


@transaction.atomic
def _stop(workspace: Workspace, reason: str) -> None:
    Workspace.lifecycle.move(workspace, "stopping", by=None, status_reason=reason, status_at=timezone.now())
    notify(
        [workspace.owner],
        lambda: _("Workspace “%(name)s” was stopped") % {"name": workspace.name},
        url=workspace.get_absolute_url(),
        body=reason,
    )
    transaction.on_commit(lambda: background.enqueue(RECONCILE, workspace.pk, priority=0))


@transaction.atomic
def _warn(workspace: Workspace) -> None:
    if Workspace.objects.filter(pk=workspace.pk, lease_warned=False).update(lease_warned=True):
        notify(
            [workspace.owner],
            lambda: _("The lease of “%(name)s” ends in 30 minutes") % {"name": workspace.name},
            url=workspace.get_absolute_url(),
            body=_("Renew it on its page to keep it running. Files stay in any case."),
        )
