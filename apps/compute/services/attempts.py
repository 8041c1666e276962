"""The attempts of jobs: admit, launch, watch, conclude. Called by tasks, at any time, by several at once.

Each step first writes what it is about to do, and can be repeated: a kill at any moment leaves a state that
the next call understands. The engine runs one workload id once, however often it is started.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.compute import environments, ledger, needs, placement
from apps.compute.adapters import engine, package_clients, package_clients_asked
from apps.compute.engines.base import EngineError, File, Mount, Resources, Workload
from apps.compute.engines.shim import HEAD_BYTES, SEGMENT_BYTES
from apps.compute.job_environment import variables_for
from apps.compute.models import Attempt, Job, LogPart, Reservation, failure_in
from apps.compute.selectors import (
    jobs_waiting,
    larger_nodes,
    node_name,
    other_nodes,
    runs_elsewhere,
    says_why_it_waits,
    told_log,
    why_no_node,
    why_no_room,
)
from apps.compute.services.jobs import finished
from apps.compute.services.told import told_by
from apps.core import background, objects, secrets
from apps.core.errors import Conflict, PortalError
from apps.core.telling import in_english, told
from apps.core.texts import keepable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apps.compute.engines.base import Observed
    from apps.core.telling import Told

log = logging.getLogger(__name__)

LEDGER_LOCK = 0x41544A4C
JOB_LOCK = 0x41544A42
MOST_LOSSES = 5
MOST_OUTPUTS = 10_000
STOP_GRACE_S = 10.0
JOB_NICE = 5
TASK_TAKES_S = 3.0
MOST_PARTS = 8
"""Of one log at one round, 256 kB each."""
WAITS_FOR_HOSTS = timedelta(minutes=3)


@contextmanager
def ledger_locked() -> Iterator[None]:
    """One admission at a time; the lock ends with the transaction."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LEDGER_LOCK])
        yield


@contextmanager
def _job_locked(job_id: int) -> Iterator[bool]:
    """Whether this is the only caller that works on the job's end."""
    key = [JOB_LOCK, job_id % (1 << 31)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        got = bool(cursor.fetchone()[0])
        try:
            yield got
        finally:
            if got:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


# -- start ------------------------------------------------------------------------------------------


def start_job(job_id: int) -> bool:
    """Start a queued job if it fits, else note why it waits. Returns whether it was started."""
    with ledger_locked():
        job = Job.objects.select_for_update().filter(pk=job_id, status=Job.Status.QUEUED).first()
        if job is None:
            return False
        if why := why_no_node(job.labels) or _why_it_waits(job):
            _note_why(job, why)
            return False
        number = job.attempt + 1
        # The random part keeps the folder of another database's job of the same number apart.
        workload_id = f"j{job.pk}-{number}-{secrets.new('x')[1][:6]}"
        Attempt.objects.create(job=job, number=number, workload_id=workload_id)
        Job.lifecycle.move(
            job,
            "starting",
            by=None,
            attempt=number,
            workload_id=workload_id,
            node=node_name(),
            started_at=timezone.now(),
            reason="",
            result=None,
            memory_mb=0,
        )
    _launch(job)
    return True


def _note_why(job: Job, why: Told) -> None:
    """Keep why it waits, for readers of any language; what the node that is nearest to taking it said stays."""
    words = in_english(why)
    if words != job.reason and (not job.reason or says_why_it_waits(job.labels, _asked(job))):
        Job.objects.filter(pk=job.pk).update(reason=words, result={"told": {words: why}})


def _why_it_waits(job: Job) -> Told | None:
    if not environments.is_ready(job.environment):
        return environments.why_not_ready(job.environment)
    if job.network == Job.Network.FORWARDER and _hosts_are_looked_up(job):
        return told(gettext_noop("waits until this machine's package clients have told which hosts they use"))
    needs = _asked(job)
    short = why_no_room(needs)
    if short is None:
        return None
    if larger := larger_nodes(needs):
        return told(placement.LARGER, nodes=", ".join(larger))
    return told(gettext_noop("waits: %(why)s"), why=short)


def _asked(job: Job) -> ledger.Amount:
    return ledger.Amount(job.resources["cpu"], job.resources["memory_mb"], job.resources["gpu"])


def _hosts_are_looked_up(job: Job) -> bool:
    """Whether what the forwarder lets through is known in a moment; a job that waited for long goes without it."""
    return not package_clients_asked() and timezone.now() - job.queued_at < WAITS_FOR_HOSTS


def _launch(job: Job) -> None:
    """Hand the admitted attempt to the engine; repeating it is harmless."""
    try:
        engine().start(_workload(job))
    except (EngineError, PortalError, OSError) as error:
        _end(job, "failed", None, reason=str(error))
        return
    try:
        Job.lifecycle.move(job, "running", by=None)
    except Conflict:
        return  # somebody saw it run, or end, before us


def _workload(job: Job) -> Workload:
    files = [File("params.json", json.dumps(job.params).encode())]
    stored = {
        **job.files,
        **{f"inputs/{path}": sha256 for path, sha256 in job.inputs.items()},
        **{f"checkpoints/{path}": sha256 for path, sha256 in job.checkpoints.items()},
    }
    files += [File(path, objects.path(sha256)) for path, sha256 in stored.items()]
    variables = json.loads(secrets.decrypt(job.variables)) if job.variables else {}
    return Workload(
        id=job.workload_id,
        argv=job.argv,
        environment=environments.path(job.environment),
        resources=Resources(**job.resources),
        mounts=[Mount(source=Path(source), target=target, readonly=ro) for source, target, ro in job.mounts],
        files=files,
        env={
            **(package_clients() if job.network == "forwarder" else {}),
            **variables,
            **variables_for(job),
            "ATRIUM_JOB": str(job.pk),
            "ATRIUM_ATTEMPT": str(job.attempt),
        },
        network=job.network,  # type: ignore[arg-type]
        timeout_s=job.timeout_s,
        nice=JOB_NICE,
    )


# -- watch ------------------------------------------------------------------------------------------


def watch_job(job_id: int) -> None:
    """Bring the row of an active job to what the engine sees, and repair what a kill left behind.

    What another node runs is left to it, until it is gone.
    """
    job = Job.objects.filter(pk=job_id, status__in=Job.ACTIVE).first()
    if job is None:
        return
    observed = engine().observe(job.workload_id)
    if observed is None:
        if not runs_elsewhere(job):
            _repair(job)
    elif observed.ended:
        conclude_job(job.pk)
    else:
        _note(job, observed)
        if job.cancel_requested_at:
            engine().stop(job.workload_id, STOP_GRACE_S)


def _repair(job: Job) -> None:
    if job.cancel_requested_at:
        _end(job, "cancelled", None, reason=job.reason)
    elif job.node not in ("", node_name()):
        _lose(
            job,
            None,
            told(gettext_noop("node %(name)s, where it ran, is not heard any more"), name=job.node),
            {},
        )
    elif job.status == Job.Status.STARTING:
        _launch(job)
    else:
        _lose(job, None, told(gettext_noop("its workload vanished")), {})


def _note(job: Job, observed: Observed) -> None:
    if job.status == Job.Status.STARTING:
        try:
            Job.lifecycle.move(job, "running", by=None)
        except Conflict:
            return
    seen: dict[str, Any] = {"memory_mb": observed.memory_mb, "peak_memory_mb": observed.peak_memory_mb}
    seen |= {
        "cpu_s": observed.cpu_s,
        "node": node_name(),
        **told_by(job),
    }  # the machine may have another name now
    _sample(job, observed)
    changed = {name: value for name, value in seen.items() if getattr(job, name) != value}
    if changed:
        Job.objects.filter(pk=job.pk, workload_id=job.workload_id, status__in=Job.ACTIVE).update(**changed)


def _sample(job: Job, observed: Observed) -> None:
    """Keep what the attempt uses now, for its chart."""
    attempt = Attempt.objects.filter(workload_id=job.workload_id).only("usage", "started_at").first()
    if attempt is None:
        return
    since = (timezone.now() - attempt.started_at).total_seconds()
    sample = (round(since, 1), round(observed.memory_mb, 1), round(observed.cpu_s, 2))
    Attempt.objects.filter(pk=attempt.pk).update(usage=needs.with_sample(attempt.usage, sample))


# -- end --------------------------------------------------------------------------------------------


def conclude_job(job_id: int) -> None:
    """Collect what an ended attempt left and move the job on. Only one caller at a time does it."""
    with _job_locked(job_id) as alone:
        job = Job.objects.filter(pk=job_id, status__in=Job.ACTIVE).first() if alone else None
        observed = engine().observe(job.workload_id) if job else None
        if job is None or observed is None or not observed.ended:
            return
        _conclude(job, observed)


def _conclude(job: Job, observed: Observed) -> None:
    facts = {**told_by(job), "memory_mb": 0, "peak_memory_mb": observed.peak_memory_mb}
    facts["cpu_s"] = observed.cpu_s
    if observed.state == "succeeded":
        try:
            facts |= {"result": _result(job), "outputs": _collect(job, "outputs")}
        except PortalError as error:
            _end(job, "failed", observed, reason=error.message, **facts)
            return
        _end(job, "succeeded", observed, reason="", **facts)
    elif job.cancel_requested_at:
        _end(job, "cancelled", observed, reason=job.reason, **facts)
    elif observed.state in ("lost", "stopped"):
        _lose(job, observed, _why_of(observed), facts)
    elif job.failures + 1 < job.max_attempts:
        pattern = gettext_noop("attempt %(number)d failed (%(why)s); it is repeated")
        reason = told(pattern, number=job.attempt, why=_why_of(observed))
        facts |= {"failures": job.failures + 1, "checkpoints": _checkpoints(job)}
        _end(job, "queued", observed, reason=reason, **facts)
    else:
        result = _result_if_any(job)
        facts |= {"failures": job.failures + 1, "result": result, "outputs": _executed_notebooks(job)}
        own = failure_in(result).get("message") if observed.exit_code else ""
        _end(job, "failed", observed, reason=own or _why_of(observed), **facts)


def _why_of(observed: Observed) -> Told | str:
    return observed.told or observed.reason


def _lose(job: Job, observed: Observed | None, why: Told | str, facts: dict[str, Any]) -> None:
    """The machine ended the attempt, not the code: repeat it, from its checkpoint, without counting it."""
    facts["losses"] = job.losses + 1
    if job.losses >= MOST_LOSSES:
        pattern = gettext_noop("given up after %(number)d losses: %(why)s")
        reason = told(pattern, number=job.losses + 1, why=why)
        _end(job, "failed", observed, reason=reason, **facts)
        return
    if observed:
        facts["checkpoints"] = _checkpoints(job)
    _end(job, "queued", observed, reason=told(gettext_noop("starts again: %(why)s"), why=why), **facts)


def _end(job: Job, status: str, observed: Observed | None, *, reason: Told | str, **facts: Any) -> None:
    """Write the end of the attempt, and of the job unless it is queued again; then clear the workload away.

    Nothing is written where the job has another attempt by now: another node took this one for lost.
    """
    words = keepable(reason if isinstance(reason, str) else in_english(reason))
    pattern = {} if isinstance(reason, str) else keepable(reason)
    if pattern:
        facts["result"] = _with_told(facts.get("result"), words, pattern)
    stored_log = _store_log(job) if observed else _store_told_log(job)
    now = timezone.now()
    if status != "queued":
        facts["finished_at"] = now
    try:
        with transaction.atomic():
            own = Job.objects.select_for_update().filter(pk=job.pk, workload_id=job.workload_id)
            if own.values_list("pk").first() is None:
                return
            Job.lifecycle.move(job, status, by=None, reason=words, **facts)
            Attempt.objects.filter(workload_id=job.workload_id).update(
                finished_at=now,
                reason=keepable(observed.reason) if observed else words,
                told=keepable(observed.told or {}) if observed else pattern,
                exit_code=observed.exit_code if observed else None,
                peak_memory_mb=observed.peak_memory_mb if observed else 0,
                cpu_s=observed.cpu_s if observed else 0,
                log=stored_log,
            )
            LogPart.objects.filter(attempt__workload_id=job.workload_id).delete()
            if status != "queued":
                finished(job)
    except Conflict:
        return  # another caller wrote this end
    engine().remove(job.workload_id)
    if status == "queued":
        background.enqueue("compute.start_job", job.pk, priority=0)


def _with_told(result: Any, words: str, pattern: Told) -> Any:
    """The job's result with what its reason is made of; a result that is no object is left as it is."""
    if result is not None and not isinstance(result, dict):
        return result
    kept = result or {}
    known = kept["told"] if isinstance(kept.get("told"), dict) else {}
    return {**kept, "told": {**known, words: pattern}}


def _store_log(job: Job) -> str:
    return objects.put(_pieces(lambda offset: engine().log(job.workload_id, offset)))[0]


def _store_told_log(job: Job) -> str:
    """What is left of the log where the engine that has it is not heard; empty when nothing is."""
    attempt = Attempt.objects.filter(workload_id=job.workload_id, log_parts__isnull=False).first()
    return objects.put(_pieces(lambda offset: told_log(attempt, offset)))[0] if attempt else ""


def _pieces(read: Callable[[int], tuple[bytes, int]]) -> Iterator[bytes]:
    offset = 0
    while True:
        data, following = read(offset)
        if following == offset:
            return
        offset = following
        yield data


def _result(job: Job) -> Any:
    raw = engine().read(job.workload_id, "result.json")
    try:
        return keepable(json.loads(raw)) if raw is not None else None
    except (ValueError, RecursionError) as error:
        raise PortalError(_("result.json is no JSON: %(error)s") % {"error": error}) from error


def _result_if_any(job: Job) -> Any:
    try:
        return _result(job)
    except PortalError:
        return None


def _collect(job: Job, under: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, handle in engine().files(job.workload_id, under):
        if len(found) >= MOST_OUTPUTS:
            raise PortalError(
                _("The job left more than %(most)d files in %(folder)s; put them into an archive.")
                % {"most": MOST_OUTPUTS, "folder": under}
            )
        sha256, size = objects.put(handle)
        found[_free(keepable(path), found)] = {"sha256": sha256, "size": size}
    return found


def _free(path: str, taken: dict[str, Any]) -> str:
    """The path, with a number where another file has it: names that differ in what no row keeps become the same."""
    own = PurePosixPath(path)
    numbers = count(len(taken) + 1)
    while path in taken:
        path = str(own.with_stem(f"{own.stem}-{next(numbers)}"))
    return path


def _executed_notebooks(job: Job) -> dict[str, Any]:
    """What a job that failed leaves nevertheless: its notebook as far as it came. Other outputs may be half written."""
    try:
        left = _collect(job, "outputs")
    except PortalError:
        return {}
    return {path: facts for path, facts in left.items() if path.endswith(".ipynb")}


def _checkpoints(job: Job) -> dict[str, str]:
    return {path: facts["sha256"] for path, facts in _collect(job, "checkpoints").items()}


# -- all --------------------------------------------------------------------------------------------


def anything_to_do() -> bool:
    """Whether a round would find a job: mostly none waits or runs."""
    return Job.objects.filter(status__in=(*Job.ACTIVE, Job.Status.QUEUED)).exists()


def reconcile() -> None:
    """One round over all jobs: watch the active ones, start waiting ones that fit now."""
    others = set(other_nodes().values_list("name", flat=True))
    active = Job.objects.filter(status__in=Job.ACTIVE).order_by("pk").values_list("pk", "workload_id", "node")
    for job_id, workload_id, node in list(active):
        try:
            observed = engine().observe(workload_id)
            if observed is None and node in others:
                continue
            if observed is not None and _ended_just_now(observed):
                background.enqueue("compute.conclude_job", job_id, priority=0)  # beside the others
            else:
                watch_job(job_id)
        except Exception:
            log.exception("job %s: this round failed", job_id)
    if others:
        _tell_logs()
    for here in (True, False):  # what another node has to take holds up nothing here
        for job_id in list(jobs_waiting(here=here).values_list("pk", flat=True)[:50]):
            start_job(job_id)


def _tell_logs() -> None:
    """Write down for the other nodes what the jobs of this one have printed since the last round."""
    running = Attempt.objects.filter(finished_at=None, job__status__in=Job.ACTIVE, job__node=node_name())
    for attempt in running.annotate(told_until=Coalesce(Max("log_parts__end"), 0)).order_by("pk"):
        try:
            _tell_log(attempt, attempt.told_until)
        except Exception:
            log.exception("attempt %s: its log is not told in this round", attempt.workload_id)


def _tell_log(attempt: Attempt, offset: int) -> None:
    """Go on from `offset`; like the engine, keep the head of the log and its newest segments."""
    for _part in range(MOST_PARTS):
        data, following = engine().log(attempt.workload_id, offset)
        if following == offset:
            break
        part = LogPart(attempt=attempt, start=offset, end=following, data=data)
        LogPart.objects.bulk_create([part], ignore_conflicts=True)
        offset = following
    if offset > HEAD_BYTES + 2 * SEGMENT_BYTES:
        middle = LogPart.objects.filter(attempt=attempt, start__gte=HEAD_BYTES)
        middle.filter(end__lte=offset - 2 * SEGMENT_BYTES).delete()


def _ended_just_now(observed: Observed) -> bool:
    """Whether the task that collects what it left is to be given time before this round does it itself."""
    return observed.ended and time.time() - (observed.finished_at or 0) < TASK_TAKES_S


def missing_environments() -> list[str]:
    """Environments that queued jobs wait for."""
    wanted = Job.objects.filter(status=Job.Status.QUEUED).values_list("environment", flat=True).distinct()
    return [name for name in wanted if not environments.is_ready(name)]


def reap() -> list[str]:
    """Remove workloads that neither an active job nor a reservation stands for, and what was told of such logs.

    Returns the workloads' ids.
    """
    seen = [observed.id for observed in engine().list()]
    active = Job.objects.filter(status__in=Job.ACTIVE).values_list("workload_id", flat=True)
    LogPart.objects.exclude(attempt__workload_id__in=active).delete()
    kept = set(active)
    kept |= set(Reservation.objects.values_list("workload_id", flat=True))
    strays = [workload_id for workload_id in seen if workload_id not in kept]
    for workload_id in strays:
        engine().remove(workload_id)
    return strays
