"""Workloads that run until they are stopped: replicas, workspaces. The caller keeps the ids.

The caller starts a given id once; to run the same thing again it takes another id, or removes the first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser

from apps.compute import ledger
from apps.compute.adapters import engine, package_clients, package_clients_asked, sockets_dir
from apps.compute.engines.base import EngineError
from apps.compute.models import Reservation
from apps.compute.policy import may_run_code
from apps.compute.selectors import why_no_node, why_no_room
from apps.compute.services.attempts import ledger_locked
from apps.core.errors import Invalid, Unavailable
from apps.core.policy import require
from apps.core.telling import say as _
from apps.core.telling import spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from apps.accounts.models import User
    from apps.compute.engines.base import Observed, Workload


def start_workload(
    workload: Workload,
    *,
    purpose: str = "",
    by: User | None = None,
    trusted: bool = False,
    held: ledger.Amount | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Start a workload if it fits; starting an id again is harmless. Call it outside a transaction.

    `trusted` is for code that the portal ships. `held` is what it takes of the machine before `grow_reservation`,
    where that is less than its limits. Only a node with all `labels` takes it.
    Raises Unavailable with the reason when it does not fit now, NotAllowed where the sandbox is too weak for `by`,
    Invalid when it cannot run at all.
    """
    if not trusted:
        require(may_run_code(by or AnonymousUser()))
    if workload.network == "forwarder" and not package_clients_asked():
        words = _("It waits until this machine's package clients have told which hosts they use.")
        raise Unavailable(words, retry_after=3)
    needs = workload.resources
    with ledger_locked():
        if not Reservation.objects.filter(pk=workload.id).exists():
            amount = held or ledger.Amount(needs.cpu, needs.memory_mb, needs.gpu)
            if told := why_no_node(labels):
                raise Unavailable(spoken(told), retry_after=5)
            if short := why_no_room(amount):
                raise Unavailable(_("It waits for room: %(why)s.") % {"why": spoken(short)}, retry_after=5)
            Reservation.objects.create(
                workload_id=workload.id,
                purpose=purpose[:200],
                cpu=amount.cpu,
                memory_mb=round(amount.memory_mb),
                gpu=amount.gpu,
            )
    if workload.network == "forwarder":
        workload = replace(workload, env={**package_clients(), **workload.env})
    try:
        engine().start(workload)
    except EngineError as error:
        Reservation.objects.filter(pk=workload.id).delete()
        raise Invalid(str(error)) from error


def grow_reservation(workload_id: str, needs: ledger.Amount, *, purpose: str, by: User) -> None:
    """Let a workload that runs take more of the machine, now for somebody's code. Raises Unavailable, NotAllowed."""
    require(may_run_code(by))
    with ledger_locked():
        row = Reservation.objects.get(pk=workload_id)
        own = ledger.Amount(row.cpu, row.memory_mb, row.gpu)
        if short := why_no_room(needs, own=own):
            raise Unavailable(_("It waits for room: %(why)s.") % {"why": spoken(short)}, retry_after=5)
        row.cpu, row.memory_mb, row.gpu = needs.cpu, round(needs.memory_mb), needs.gpu
        row.purpose = purpose[:200]
        row.save()


def stop_workload(workload_id: str, grace_s: float = 10.0) -> None:
    """Ask a workload to end. It keeps its place, log and files until `remove_workload`."""
    engine().stop(workload_id, grace_s)


def remove_workload(workload_id: str) -> None:
    """Forget a workload, ending it first where it still runs, and give its resources back."""
    engine().remove(workload_id)
    Reservation.objects.filter(pk=workload_id).delete()


def observe(workload_ids: Iterable[str]) -> dict[str, Observed]:
    """What is seen of these workloads; those that the engine does not know are left out."""
    seen = ((workload_id, engine().observe(workload_id)) for workload_id in workload_ids)
    return {workload_id: observed for workload_id, observed in seen if observed}


def workload_log(workload_id: str, offset: int = 0, limit: int = 262_144) -> tuple[bytes, int]:
    """The output from `offset` on, and the offset to go on from."""
    return engine().log(workload_id, offset, limit)


def workload_socket(workload_id: str) -> Path:
    """Where the unix socket that a workload makes at /run/atrium/port.sock is found outside."""
    return sockets_dir() / workload_id / "port.sock"
