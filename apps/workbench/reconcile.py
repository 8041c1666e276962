"""Follows the engine: starts what is wanted, notices what ended, and says why."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.services import create_token, revoke_token
from apps.compute import environments, ledger
from apps.compute.adapters import engine
from apps.compute.engines.base import EngineError, Observed
from apps.compute.selectors import why_no_node, why_no_room
from apps.compute.services import remove_workload, start_workload, stop_workload, workload_log
from apps.core import turns
from apps.core.errors import PortalError, Unavailable
from apps.core.telling import spoken
from apps.workbench import jupyter, spares
from apps.workbench.launch import home_of, lay_out, variables_of, workload_of
from apps.workbench.models import Workspace

log = logging.getLogger(__name__)

STARTS_WITHIN = timedelta(seconds=120)
TOKEN_LIVES = timedelta(days=7)
_LAST_LOG_BYTES = 6000
_MOVING = ("starting", "running", "stopping")


def reconcile_workspaces() -> None:
    """One look at every workspace that should run or is about to end."""
    for pk in Workspace.objects.filter(status__in=_MOVING).values_list("pk", flat=True):
        try:
            reconcile_workspace(pk)
        except (PortalError, EngineError, OSError):
            log.exception("workspace %s: tried again at the next look", pk)


def reconcile_workspace(pk: int) -> None:
    """Bring one workspace a step further, unless somebody else is at it. Call it outside a transaction."""
    with turns.only_one(turns.WORKSPACE, pk) as alone:
        workspace = Workspace.objects.filter(pk=pk, status__in=_MOVING).first() if alone else None
        if workspace is not None:
            step = {"starting": _starting, "running": _running, "stopping": _stopping}[workspace.status]
            step(workspace)


def copy_files(pk: int) -> None:
    """Make the files of a copy right after it was asked for; its start does it where this was cut short."""
    with turns.only_one(turns.WORKSPACE, pk) as alone:
        workspace = Workspace.objects.select_related("cloned_from").filter(pk=pk).first() if alone else None
        if workspace is not None and not home_of(workspace).exists():
            lay_out(workspace)


def _starting(workspace: Workspace) -> None:
    observed = engine().observe(workspace.workload_id)
    if observed is None:
        _launch(workspace)
    elif observed.ended:
        _ended(workspace, observed)
    elif spares.is_unbound(workspace):
        spares.bind(workspace, variables_of(workspace, _new_token(workspace)))
    elif answers(workspace):
        _move(workspace, "running")
    elif timezone.now() - workspace.status_at > STARTS_WITHIN:
        reason = _("The server did not answer within %(seconds)d s.")
        _forget(workspace, "failed", reason % {"seconds": STARTS_WITHIN.total_seconds()})


def _running(workspace: Workspace) -> None:
    observed = engine().observe(workspace.workload_id)
    if observed is None:
        _forget(workspace, "failed", _("The server's process is gone without a trace. Start it again."))
    elif observed.ended:
        _ended(workspace, observed)


def _stopping(workspace: Workspace) -> None:
    observed = engine().observe(workspace.workload_id)
    if observed is None or observed.ended:
        _forget(workspace, "stopped", workspace.status_reason)
    else:
        stop_workload(workspace.workload_id)


def _launch(workspace: Workspace) -> None:
    if not environments.exists(workspace.environment):
        reason = _("Its environment “%(name)s” is gone. Choose another one in the settings and start again.")
        _forget(workspace, "failed", reason % {"name": workspace.environment})
        return
    if why := why_it_waits(workspace):
        _wait(workspace, why)
        return
    owner = workspace.owner
    try:
        spares.give_up(workspace)  # one that was bound and is gone
        if spares.take(workspace):
            spares.bind(workspace, variables_of(workspace, _new_token(workspace)))
            return
        lay_out(workspace)
        workload = workload_of(workspace, _new_token(workspace))
        start_workload(workload, purpose=f"workspace {workspace.name}", by=owner, labels=workspace.labels)
    except Unavailable as error:
        _wait(workspace, error.message)
    except (PortalError, OSError) as error:
        log.warning("workspace %s does not start: %s", workspace.pk, error)
        _forget(workspace, "failed", str(error))


def _new_token(workspace: Workspace) -> str:
    """The secret of the token with which code in the workspace acts as its owner, in place of the one before."""
    _revoke(workspace)
    owner, expires = workspace.owner, timezone.now() + TOKEN_LIVES
    token, secret = create_token(owner, f"workspace {workspace.name}", by=owner, expires_at=expires)
    Workspace.objects.filter(pk=workspace.pk).update(token=token)
    workspace.token = token
    return secret


def why_it_waits(workspace: Workspace) -> str:
    """Why the server cannot be started now, in words; empty when it can."""
    if not environments.is_ready(workspace.environment):
        return _("Waits until the environment %(name)s is built.") % {
            "name": environments.in_words(workspace.environment)
        }
    if told := why_no_node(workspace.labels):
        return spoken(told)
    size = workspace.size
    short = why_no_room(ledger.Amount(size.cpu, size.memory_mb, size.gpu))
    return _("Waits for room: %(why)s.") % {"why": spoken(short)} if short else ""


def _wait(workspace: Workspace, why: str) -> None:
    """It stays `starting`, says why, and the time limit of the start begins anew."""
    waiting = Workspace.objects.filter(pk=workspace.pk, status="starting")
    waiting.update(status_reason=why[:500], status_at=timezone.now())


def _ended(workspace: Workspace, observed: Observed) -> None:
    if observed.state == "stopped" and workspace.status == "running":  # nobody asked for it here
        _forget(workspace, "stopped", _("It was stopped together with the portal; its files are kept."))
    elif observed.state == "succeeded" and workspace.status == "running":
        _forget(workspace, "stopped", _("The server ended by itself."))
    else:
        _forget(workspace, "failed", observed.reason or _("The server ended without saying why."))


def _forget(workspace: Workspace, to: str, reason: str) -> None:
    """Keep the last lines, remove the workload, end its token, write the status."""
    tail = log_of(workspace)[-_LAST_LOG_BYTES:]
    remove_workload(workspace.workload_id)
    spares.give_up(workspace)
    _revoke(workspace)
    Workspace.objects.filter(pk=workspace.pk).update(last_log=tail)
    _move(workspace, to, reason)


def _revoke(workspace: Workspace) -> None:
    token = workspace.token
    if token is not None and token.revoked_at is None:
        revoke_token(token, by=token.user)


def _move(workspace: Workspace, to: str, reason: str = "") -> None:
    Workspace.lifecycle.move(workspace, to, by=None, status_reason=reason[:500], status_at=timezone.now())


def log_of(workspace: Workspace) -> str:
    """What the server has written so far, or the last lines of the one that ended."""
    data, offset = workload_log(workspace.workload_id)
    while len(data) < 1 << 20:
        more, offset = workload_log(workspace.workload_id, offset)
        if not more:
            break
        data += more
    text = data.decode("utf-8", "replace").replace("\0", "")
    return text or workspace.last_log


def answers(workspace: Workspace) -> bool:
    """Whether the Jupyter server answers its status to somebody whom the portal vouches for."""
    return jupyter.ask(workspace, "/api/status") is not None
