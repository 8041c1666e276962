"""Makes deployments true: starts, checks, replaces and stops runners until what runs is what was asked for.

Called by tasks, again and again, by several at once. Every step first writes what it is about to do and can
be repeated, so that a kill at any moment leaves a state that the next round understands.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from apps.catalog.services import build_soon, environment_to_serve, materialise
from apps.compute import environments
from apps.compute.engines.base import PORT_SOCKET, Mount, Resources, Workload
from apps.compute.services import (
    observe,
    remove_workload,
    start_workload,
    stop_workload,
    workload_log,
    workload_socket,
)
from apps.core.errors import Conflict, PortalError, Unavailable
from apps.core.events import publish
from apps.core.telling import joined, kept, sentence
from apps.core.telling import say as _
from apps.instances import health, routes
from apps.instances.models import Deployment, Replica
from apps.instances.selectors import living_deployments

if TYPE_CHECKING:
    from apps.compute.engines.base import Observed

log = logging.getLogger(__name__)

ROUND_LOCK = 0x41544952
DEPLOYMENT_LOCK = 0x41544944
UNREADY_AFTER = 3
REPLACE_AFTER = 30
FAILED_AFTER_RESTARTS = 3
START_CHECKS = 180
DRAIN = timedelta(seconds=2)
LONGEST_PAUSE_S = 60
MEASURED_EVERY = timedelta(seconds=5)
STOP_GRACE_S = 10.0
LOG_LINES = 6


@contextmanager
def _locked(*key: int) -> Iterator[bool]:
    """Whether this is the only caller; a killed one lets go with its connection."""
    marks = ", ".join(["%s"] * len(key))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({marks})", list(key))
        got = bool(cursor.fetchone()[0])
        try:
            yield got
        finally:
            if got:
                cursor.execute(f"SELECT pg_advisory_unlock({marks})", list(key))


def reconcile() -> None:
    """One round over everything that is not stopped. A second caller at the same time returns at once."""
    with _locked(ROUND_LOCK) as alone:
        if not alone:
            return
        # A round mostly finds everything as wanted, so it reads no more than that takes.
        living = list(living_deployments().select_related(None))
        healthy = health.check(
            replica.socket
            for deployment in living
            for replica in deployment.replica_set.all()
            if replica.status != Replica.Status.STOPPING
        )
        for deployment in living:
            try:
                if not (_is_settled(deployment, healthy) and _measure(deployment)):
                    reconcile_deployment(deployment.pk, healthy)
            except Exception:
                log.exception("deployment %s: this round failed", deployment.pk)


def _is_settled(deployment: Deployment, healthy: Mapping[str, bool]) -> bool:
    """Whether everything is as wanted, so that there is nothing to do but to measure."""
    replicas = list(deployment.replica_set.all())
    return (
        deployment.desired == Deployment.Desired.RUNNING
        and deployment.status == Deployment.Status.READY
        and not deployment.status_reason
        and len(replicas) == deployment.replicas
        and all(
            replica.status == Replica.Status.READY
            and replica.generation == deployment.generation
            and replica.failed_checks == 0
            and healthy.get(replica.socket, False)
            for replica in replicas
        )
    )


def _measure(deployment: Deployment) -> bool:
    """Write what the engine measured of settled replicas, where that is due. False when one is not what it seems."""
    due = [replica for replica in deployment.replica_set.all() if _is_due(replica)]
    seen = observe(replica.workload_id for replica in due)
    for replica in due:
        observed = seen.get(replica.workload_id)
        if observed is None or observed.state != "running":
            return False
        same = Replica.objects.filter(
            pk=replica.pk, workload_id=replica.workload_id, status=Replica.Status.READY
        )
        same.update(**_measured(replica, observed))
    return True


def _is_due(replica: Replica) -> bool:
    """Whether the engine is to be asked for its measurements again."""
    return replica.observed_at is None or timezone.now() - replica.observed_at > MEASURED_EVERY


def reconcile_deployment(pk: int, healthy: Mapping[str, bool] | None = None) -> None:
    """Bring one deployment a step nearer to what is wanted of it. `healthy` holds answers by socket."""
    with _locked(DEPLOYMENT_LOCK, pk % (1 << 31)) as alone:
        deployment = living_deployments().filter(pk=pk).first() if alone else None
        if deployment is None:
            return
        replicas = list(Replica.objects.filter(deployment=deployment).order_by("pk"))
        if healthy is None:
            healthy = health.check(replica.socket for replica in replicas)
        seen = observe(replica.workload_id for replica in replicas)
        for replica in replicas:
            _look(deployment, replica, seen.get(replica.workload_id), healthy.get(replica.socket, False))
        _adjust(deployment)
        _judge(deployment)


# -- one replica ------------------------------------------------------------------------------------


def _look(deployment: Deployment, replica: Replica, observed: Observed | None, healthy: bool) -> None:
    if replica.status == Replica.Status.STOPPING:
        _see_off(replica, observed)
    elif observed is None:
        _start(deployment, replica)
    elif observed.state == "stopped" and replica.status != Replica.Status.FAILED:
        _start_anew(deployment, replica)
    elif observed.ended:
        _replace_later(deployment, replica, observed)
    elif observed.state == "running":
        _check(deployment, replica, observed, healthy)
    else:
        _wait(deployment, replica, observed)


def _start(deployment: Deployment, replica: Replica) -> None:
    """Hand the runner to the engine; an id that runs already is left alone."""
    if replica.retry_at and replica.retry_at > timezone.now():
        return
    environment = environment_to_serve(deployment.version)
    if not environments.is_ready(environment):
        build_soon(environment)
        reason = _("waits until the environment %(name)s is built") % {
            "name": environments.named(environment)
        }
        _note(deployment, replica, status=Replica.Status.STARTING, **_saying(replica, reason))
        return
    try:
        start_workload(
            _workload(deployment, replica),
            purpose=_("Runner of %(version)s") % {"version": deployment.version},
            by=deployment.version.created_by,
            labels=deployment.labels,
        )
    except Unavailable as error:
        _note(deployment, replica, status=Replica.Status.STARTING, **_saying(replica, error.message))
    except (PortalError, OSError) as error:
        pause = timezone.now() + timedelta(seconds=30)
        words = error.message if isinstance(error, PortalError) else str(error)
        _note(deployment, replica, status=Replica.Status.FAILED, **_saying(replica, words), retry_at=pause)
    else:
        socket = str(workload_socket(replica.workload_id))
        _note(
            deployment,
            replica,
            status=Replica.Status.STARTING,
            **_saying(replica, _("loads the model")),
            socket=socket,
            retry_at=None,
            observed_at=timezone.now(),
        )


def _workload(deployment: Deployment, replica: Replica) -> Workload:
    resources = deployment.resources
    return Workload(
        id=replica.workload_id,
        argv=["python", "-m", "atrium.runner", "--package", "/package", "--uds", PORT_SOCKET],
        environment=environments.path(environment_to_serve(deployment.version)),
        resources=Resources(cpu=float(resources["cpu"]), memory_mb=int(resources["memory_mb"])),
        mounts=[Mount(materialise(deployment.version), "/package", readonly=True)],
        port=True,
        restart="on-failure",
        network="none",
    )


def _check(deployment: Deployment, replica: Replica, observed: Observed, healthy: bool) -> None:
    facts = _measured(replica, observed)
    if healthy:
        facts |= {"status": Replica.Status.READY, "reason": "", "failed_checks": 0}
        if replica.status != Replica.Status.READY:
            facts["ready_at"] = timezone.now()
        _note(deployment, replica, **facts)
        return
    if words := "" if replica.ready_at else health.failure(replica.socket):
        told = _("It cannot serve this version: %(words)s") % {"words": words}
        facts |= _failure(told) | {"failed_checks": START_CHECKS, "status": Replica.Status.FAILED}
        _note(deployment, replica, **facts)
        stop_workload(replica.workload_id, 1.0)
        return
    failed = replica.failed_checks + 1
    facts["failed_checks"] = failed
    if failed >= (REPLACE_AFTER if replica.ready_at else START_CHECKS):
        if replica.status != Replica.Status.FAILED:
            told = _("It does not answer its health check any more and is replaced.")
            facts |= _failure(_with_words(told, replica))
        _note(deployment, replica, **facts, status=Replica.Status.FAILED)
        stop_workload(replica.workload_id, 1.0)
        return
    if replica.status == Replica.Status.READY and failed >= UNREADY_AFTER:
        told = _("It runs, but %(count)d health checks in a row got no answer.") % {"count": failed}
        facts |= {"status": Replica.Status.STARTING}
        facts |= _failure(_with_words(told, replica))
    _note(deployment, replica, **facts)


def _wait(deployment: Deployment, replica: Replica, observed: Observed) -> None:
    """The engine starts it, or starts it again after a crash."""
    facts = _measured(replica, observed)
    crashed = observed.state == "restarting"
    if crashed:
        reason = _crash_reason(replica, observed)
        facts |= {
            **_saying(replica, reason),
            "failed_checks": 0,
            "ready_at": None,
        }  # it loads anew, as long as at first
        if facts["reason"] != replica.reason:
            facts |= _failure(reason)
        often = observed.restarts >= FAILED_AFTER_RESTARTS
        facts["status"] = Replica.Status.FAILED if often else Replica.Status.STARTING
    elif replica.status == Replica.Status.READY:
        facts["status"] = Replica.Status.STARTING
    _note(deployment, replica, **facts)


def _start_anew(deployment: Deployment, replica: Replica) -> None:
    """It was asked to end though it is wanted, as all workloads are when the portal stops: that is no failure of its
    own, so nobody is told and no release goes back.
    """
    old = replica.workload_id
    _note(
        deployment,
        replica,
        workload_id=_new_id(deployment),
        socket="",
        status=Replica.Status.STARTING,
        failed_checks=0,
        ready_at=None,
        retry_at=None,
    )
    remove_workload(old)
    _start(deployment, replica)


def _replace_later(deployment: Deployment, replica: Replica, observed: Observed) -> None:
    """A runner that has ended is replaced after a pause that grows with every time."""
    now = timezone.now()
    if replica.retry_at is None:
        pause = min(2**replica.replaced, LONGEST_PAUSE_S)
        # One that was ended for its missed checks keeps that as the reason.
        ended_by_us = replica.status == Replica.Status.FAILED and replica.failed_checks >= REPLACE_AFTER
        told = {} if ended_by_us else _failure(_crash_reason(replica, observed))
        _note(
            deployment,
            replica,
            status=Replica.Status.FAILED,
            **told,
            retry_at=now + timedelta(seconds=pause),
        )
    elif replica.retry_at <= now:
        old = replica.workload_id
        _note(
            deployment,
            replica,
            workload_id=_new_id(deployment),
            socket="",
            status=Replica.Status.STARTING,
            replaced=replica.replaced + 1,
            restarts=replica.restarts + 1,
            failed_checks=0,
            ready_at=None,
            retry_at=None,
        )
        remove_workload(old)
        _start(deployment, replica)


def _see_off(replica: Replica, observed: Observed | None) -> None:
    """Give the gateway time to turn away, then end the process, then forget it."""
    if observed is None or observed.ended:
        remove_workload(replica.workload_id)
        replica.delete()
    elif replica.stopping_at is None or timezone.now() - replica.stopping_at > DRAIN:
        stop_workload(replica.workload_id, STOP_GRACE_S)


def _measured(replica: Replica, observed: Observed) -> dict[str, Any]:
    """What the engine measured, unless that is known well enough already."""
    now = timezone.now()
    facts: dict[str, Any] = {"restarts": replica.replaced + observed.restarts}
    if observed.pid:
        facts["pid"] = observed.pid
    if _is_due(replica):
        spent = observed.cpu_s - replica.cpu_s
        span = (now - replica.observed_at).total_seconds() if replica.observed_at else 0.0
        facts |= {"memory_mb": observed.memory_mb, "cpu_s": observed.cpu_s, "observed_at": now}
        facts["cpu_share"] = round(max(0.0, spent / span), 3) if span else 0.0
    return facts


def _with_words(told: str, replica: Replica) -> str:
    """What is wrong, with what the runner itself says to that."""
    words = health.words(replica.socket)
    return joined(told, _("It says: %(words)s") % {"words": words}) if words else told


def _failure(reason: str) -> dict[str, Any]:
    """What is shown now, and still when the replica answers again."""
    words, told = kept(reason)
    return {"reason": words, "failure": words, "told": told, "failure_at": timezone.now()}


def _saying(replica: Replica, reason: str) -> dict[str, Any]:
    """What is shown now; what the last failure was stays."""
    words, told = kept(reason)
    before = {text: parts for text, parts in replica.told.items() if text == replica.failure}
    return {"reason": words, "told": before | told}


def _crash_reason(replica: Replica, observed: Observed) -> str:
    lines = log_tail(replica.workload_id, LOG_LINES)
    known = {observed.reason: observed.told} if observed.told else {}
    return joined(sentence(observed.reason, known) or _("it ended"), lines, by="\n")


def log_tail(workload_id: str, lines: int) -> str:
    """The last lines of a workload's output."""
    offset, data = 0, b""
    for _round in range(400):
        part, following = workload_log(workload_id, offset)
        if not part or following == offset:
            break
        data, offset = (data + part)[-65_536:], following
    text = data.decode(errors="replace").replace("\x00", "")
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _note(deployment: Deployment, replica: Replica, **facts: Any) -> None:
    """Write what changed of a replica; tell the data plane in the same transaction when routes change."""
    changed = {name: value for name, value in facts.items() if getattr(replica, name) != value}
    if not changed:
        return
    before = (replica.status == Replica.Status.READY, replica.socket)
    for name, value in changed.items():
        setattr(replica, name, value)
    with transaction.atomic():
        Replica.objects.filter(pk=replica.pk).update(**changed)
        after = (replica.status == Replica.Status.READY, replica.socket)
        if before != after and (before[0] or after[0]):
            routes.changed(deployment.capability_id)


# -- all replicas of one deployment -----------------------------------------------------------------


def _adjust(deployment: Deployment) -> None:
    """Start what is missing, end what is too much; old generations go as new ones answer."""
    living = list(
        Replica.objects.filter(deployment=deployment).exclude(status=Replica.Status.STOPPING).order_by("pk")
    )
    if deployment.desired == Deployment.Desired.STOPPED:
        _end(deployment, living)
        return
    new = [replica for replica in living if replica.generation == deployment.generation]
    old = [replica for replica in living if replica.generation != deployment.generation]
    for _each in range(deployment.replicas - len(new)):
        replica = Replica.objects.create(
            deployment=deployment, generation=deployment.generation, workload_id=_new_id(deployment)
        )
        _start(deployment, replica)
    answering = sum(replica.status == Replica.Status.READY for replica in new)
    _end(deployment, sorted(new, key=_worth)[: max(0, len(new) - deployment.replicas)])
    still_needed = max(0, deployment.replicas - answering)
    _end(deployment, sorted(old, key=_worth)[: max(0, len(old) - still_needed)])


def _worth(replica: Replica) -> tuple[int, int]:
    order = {Replica.Status.FAILED: 0, Replica.Status.STARTING: 1, Replica.Status.READY: 2}
    return order.get(Replica.Status(replica.status), 0), -replica.pk


def _end(deployment: Deployment, replicas: list[Replica]) -> None:
    for replica in replicas:
        _note(deployment, replica, status=Replica.Status.STOPPING, stopping_at=timezone.now())


def _new_id(deployment: Deployment) -> str:
    return f"r{deployment.pk}-{secrets.token_hex(5)}"


def _judge(deployment: Deployment) -> None:
    """Write what the deployment is, from what its replicas are."""
    replicas = list(Replica.objects.filter(deployment=deployment).order_by("pk"))
    if deployment.desired == Deployment.Desired.STOPPED:
        _judge_stopping(deployment, replicas)
        return
    living = [replica for replica in replicas if replica.status != Replica.Status.STOPPING]
    ready = [replica for replica in living if replica.status == Replica.Status.READY]
    failed = [replica for replica in living if replica.status == Replica.Status.FAILED]
    others = [replica for replica in living if replica.status == Replica.Status.STARTING]
    told = next((replica.why for replica in (*failed, *others) if replica.reason), "")
    if ready:
        short = len(ready) < deployment.replicas
        words = _("%(ready)d of %(wanted)d replicas answer.") % {
            "ready": len(ready),
            "wanted": deployment.replicas,
        }
        _move(deployment, "ready", joined(words, told) if short else "")
    elif failed:
        _move(deployment, "failed", told)
    elif deployment.status != Deployment.Status.FAILED:
        _move(deployment, "starting", told)


def _judge_stopping(deployment: Deployment, replicas: list[Replica]) -> None:
    if deployment.status not in (Deployment.Status.STOPPING, Deployment.Status.STOPPED):
        _move(deployment, "stopping", deployment.why)
    if not replicas:
        _move(deployment, "stopped", deployment.why)


def _move(deployment: Deployment, status: str, why: str) -> None:
    reason, told = kept(why)
    if deployment.status == status:
        if deployment.status_reason != reason:
            rows = Deployment.objects.filter(pk=deployment.pk, status=status)
            rows.update(status_reason=reason, told=told)
            deployment.status_reason, deployment.told = reason, told
        return
    facts: dict[str, Any] = {"status_reason": reason, "told": told}
    if status == Deployment.Status.READY:
        facts["ready_at"] = timezone.now()
    if status == Deployment.Status.STOPPED:
        facts["stopped_at"] = timezone.now()
    try:
        with transaction.atomic():
            Deployment.lifecycle.move(deployment, status, by=None, **facts)
            routes.changed(deployment.capability_id)
            _tell(deployment, status, reason)
    except Conflict:
        return  # somebody asked for something else meanwhile; the next round sees it


def _tell(deployment: Deployment, status: str, reason: str) -> None:
    if status in ("ready", "failed", "stopped"):
        publish(
            f"instances.deployment_{status}",
            deployment.pk,
            version=deployment.version_id,
            kind=deployment.kind,
            reason=reason,
        )
