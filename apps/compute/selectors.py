"""Reads about jobs and about what the machine has left."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Case, CharField, F, FloatField, Q, QuerySet, Sum, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.selectors import teams_of
from apps.compute import environments, ledger, needs, placement
from apps.compute.adapters import engine
from apps.compute.egress import Rule
from apps.compute.engines import sandbox
from apps.compute.engines.base import left_out
from apps.compute.models import AllowedHost, Attempt, EgressRecord, Job, LogPart, Node, Reservation
from apps.compute.policy import SUBMITTERS, WATCHERS
from apps.core import objects
from apps.core.errors import NotFound
from apps.core.telling import spoken, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO, TypedDict

    from django.contrib.auth.models import AnonymousUser
    from django_stubs_ext import WithAnnotations

    from apps.accounts.models import Team, User
    from apps.compute.engines.base import Observed
    from apps.core.telling import Told

    class _State(TypedDict):
        state: str

    NodeNow = WithAnnotations[Node, _State]

SILENT_AFTER = timedelta(seconds=15)
GONE_AFTER = timedelta(minutes=2)
"""A node that was silent for so long is not waited for: its jobs start elsewhere. A worker's restart takes less."""


def jobs_visible_to(user: User | AnonymousUser) -> QuerySet[Job]:
    """The jobs of the teams in which a person develops, operates or signs off."""
    return Job.objects.filter(team__in=teams_of(user, *WATCHERS)).select_related("team", "created_by")


def teams_to_submit_for(user: User | AnonymousUser) -> QuerySet[Team]:
    """The teams for which a person may run code."""
    return teams_of(user, *SUBMITTERS)


def job_visible_to(user: User | AnonymousUser, pk: int) -> Job:
    """One job. Raises NotFound when there is none that this person may see."""
    job = jobs_visible_to(user).filter(pk=pk).first()
    if job is None:
        raise NotFound(_("There is no job %(pk)d that you may see.") % {"pk": pk})
    return job


def kinds_visible_to(user: User | AnonymousUser) -> list[str]:
    """The kinds of jobs that a person sees, for the filter."""
    found = jobs_visible_to(user).order_by("kind").values_list("kind", flat=True).distinct()
    return list(found[:50])


def capacity() -> ledger.Amount:
    """What this machine may give to workloads."""
    return ledger.capacity(settings.ATRIUM.node_cpu, settings.ATRIUM.node_memory_mb)


def most_to_ask() -> tuple[ledger.Amount, int]:
    """What the roomiest nodes, this machine among them, may give to one workload; and the most cores that one has."""
    room, cores = capacity(), ledger.load().cores
    for cpu, memory_mb, gpu, real in Node.objects.values_list("cpu", "memory_mb", "gpu", "cores")[:500]:
        room = ledger.Amount(max(room.cpu, cpu), max(room.memory_mb, memory_mb), max(room.gpu, gpu))
        cores = max(cores, real)
    return room, cores


def in_use() -> ledger.Amount:
    """What this machine's active jobs and long-running workloads have been given.

    A job that is another node's by its row counts where the engine here runs it: this machine was renamed.
    """
    names = ("cpu", "memory_mb", "gpu")
    active = Job.objects.filter(status__in=Job.ACTIVE)
    others = Q(node__in=other_nodes().values("name"))
    foreign = active.filter(others).values_list("pk", "workload_id")
    here = [pk for pk, workload_id in foreign if engine().observe(workload_id)]
    given = active.filter(~others | Q(pk__in=here))
    jobs = given.aggregate(**{name: Sum(Cast(KT(f"resources__{name}"), FloatField())) for name in names})
    held = Reservation.objects.none() if settings.ATRIUM.jobs_only else Reservation.objects.all()
    reserved = held.aggregate(**{name: Sum(F(name)) for name in names})
    return ledger.total(
        ledger.Amount(**{name: float(row[name] or 0) for name in names}) for row in (jobs, reserved)
    )


def nodes() -> QuerySet[NodeNow]:
    """All nodes by name, each with its `state` (active, drained, silent) by the database's clock."""
    state = Case(
        When(seen_at__lt=Now() - SILENT_AFTER, then=Value("silent")),
        When(drained_at__isnull=False, then=Value("drained")),
        default=Value("active"),
        output_field=CharField(),
    )
    return Node.objects.annotate(state=state).select_related("drained_by").order_by("name", "pk")


def node_name() -> str:
    """The name of this machine among the nodes."""
    return settings.ATRIUM.node_name or socket.gethostname()[:100]


def other_nodes() -> QuerySet[Node]:
    """The other machines that run jobs, those included that are silent for a moment."""
    return Node.objects.filter(seen_at__gte=Now() - GONE_AFTER).exclude(name=node_name())


def runs_elsewhere(job: Job) -> bool:
    """Whether another node has it, which alone can tell what becomes of it."""
    return job.node not in ("", node_name()) and other_nodes().filter(name=job.node).exists()


def labels_of_nodes() -> list[str]:
    """Every label that some node has, by name."""
    return sorted(
        {label for labels in Node.objects.values_list("labels", flat=True)[:500] for label in labels}
    )


def why_no_node(labels: Sequence[str]) -> Told | None:
    """Why this machine does not take what asks for these labels, as a pattern with its values; None when it may."""
    if not labels:
        return None
    places = [
        placement.Place(node.name, frozenset(node.labels), node.state == "active") for node in nodes()[:500]
    ]
    return placement.why_not(labels, node_name(), places)


def jobs_waiting(*, here: bool) -> QuerySet[Job]:
    """The queue of this machine, in its order; or the jobs that ask for labels, or for more, than it has."""
    found = Job.objects.filter(status=Job.Status.QUEUED).order_by("priority", "queued_at", "pk")
    node = Node.objects.filter(name=node_name()).first()
    room = {f"resources__{name}__lte": most for name, most in asdict(capacity()).items()}
    mine = Q(labels__contained_by=node.labels if node else [], **room)
    return found.filter(mine) if here else found.exclude(mine)


def why_no_room(need: ledger.Amount, *, own: ledger.Amount | None = None) -> Told | None:
    """Why this machine cannot take `need` now; None when it can. `own` is what the asker holds already.

    A portal whose node has not been heard yet takes what fits.
    """
    node = nodes().filter(name=node_name()).first()
    if node is not None and (closed := _why_closed(node)):
        return closed
    return ledger.missing(need, capacity() - in_use() + (own or ledger.Amount()))


def says_why_it_waits(labels: Sequence[str], need: ledger.Amount) -> bool:
    """Whether this machine writes down why a job waits: among the nodes that are heard, one alone does."""
    heard = [node for node in nodes()[:500] if node.state != "silent"]
    places = [placement.Place(node.name, frozenset(node.labels), node.state == "active") for node in heard]
    large = {node.name for node in heard if ledger.missing(need, _gives(node)) is None}
    return placement.speaker(labels, large, places) in (None, node_name())


def _gives(node: Node) -> ledger.Amount:
    return ledger.Amount(node.cpu, node.memory_mb, node.gpu)


def larger_nodes(need: ledger.Amount) -> list[str]:
    """Where what this machine could never take fits, at most five of them; none where it fits here."""
    if ledger.missing(need, capacity()) is None:
        return []
    room = {f"{name}__gte": amount for name, amount in asdict(need).items()}
    return list(other_nodes().filter(**room).order_by("name").values_list("name", flat=True)[:5])


def why_nothing_starts() -> str:
    """Why no job starts anywhere, in words: all nodes are silent, so that nobody writes it to the jobs."""
    node = nodes().order_by("-seen_at").first()
    closed = _why_closed(node) if node is not None and node.state == "silent" else None
    return spoken(closed) if closed else ""


def _why_closed(node: NodeNow) -> Told | None:
    if node.state == "silent":
        since = f"{node.seen_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return told(
            gettext_noop("node %(name)s has been silent since %(since)s"), name=node.name, since=since
        )
    if node.state == "drained":
        who = node.drained_by.called if node.drained_by else "–"
        return told(
            gettext_noop("node %(name)s takes nothing new: drained by %(who)s"), name=node.name, who=who
        )
    return None


def queue_position(job: Job) -> int:
    """The place of a queued job in the line, from 1."""
    before = Job.objects.filter(status=Job.Status.QUEUED)
    ahead = before.filter(priority__lt=job.priority) | before.filter(
        priority=job.priority, queued_at__lt=job.queued_at
    )
    return ahead.count() + 1


def measured_needs(key: str, *, most: int = 10) -> needs.Needs | None:
    """What the newest runs of one thing needed; those that were stopped from outside tell nothing."""
    if not key:
        return None
    ended = Job.objects.filter(needs_key=key, status__in=("succeeded", "failed"), peak_memory_mb__gt=0)
    rows = ended.order_by("-pk").values_list("peak_memory_mb", "cpu_s", "started_at", "finished_at")[:most]
    runs = []
    for peak, cpu_s, started, finished in rows:
        seconds = (finished - started).total_seconds() if started and finished else 0.0
        runs.append(needs.Measured(peak, cpu_s / seconds if seconds >= 1 else 0.0, seconds))
    return needs.of_runs(runs)


def advice_on(job: Job) -> str:
    """What to ask for next time, in words, where an ended job asked for far too much or nearly too little memory."""
    asked = float(job.resources.get("memory_mb", 0))
    measured = measured_needs(job.needs_key)
    if not job.ended or measured is None:
        return ""
    facts = {"peak": round(job.peak_memory_mb), "asked": round(asked), "next": measured.memory_mb}
    if needs.is_far_above(asked, measured.peak_memory_mb):
        return _("It used at most %(peak)d MB of the %(asked)d MB asked for; %(next)d MB would do.") % facts
    if needs.is_close(asked, job.peak_memory_mb):
        return _("It used %(peak)d MB of the %(asked)d MB asked for; ask for %(next)d MB next time.") % facts
    return ""


def usage_of(job: Job) -> list[list[float]]:
    """What the newest attempt used over time: [seconds, MB, processor seconds] each.

    One that ran out of memory ends with the peak that was measured when it was killed, which is between two looks.
    """
    found = Attempt.objects.filter(job=job, number=job.attempt).first()
    if found is None:
        return []
    samples: list[list[float]] = found.usage
    if found.finished_at is None or not found.ran_out_of_memory:
        return samples
    seconds = (found.finished_at - found.started_at).total_seconds()
    return [*samples, [round(seconds, 1), found.peak_memory_mb, round(found.cpu_s, 2)]]


def job_log(
    job: Job, offset: int = 0, limit: int = 262_144, *, attempt: int | None = None
) -> tuple[bytes, int]:
    """Output of an attempt (the newest by default) from byte `offset` on, and the offset to go on from."""
    found = Attempt.objects.filter(job=job, number=attempt or job.attempt).first()
    if found is None:
        if attempt:
            raise NotFound(_("Job %(pk)d has no attempt %(number)d.") % {"pk": job.pk, "number": attempt})
        return b"", offset
    if not found.log:
        data, following = engine().log(found.workload_id, offset, limit)
        is_told = following == offset and job.node not in ("", node_name())
        return told_log(found, offset, limit) if is_told else (data, following)
    with objects.open_object(found.log) as handle:
        handle.seek(offset)
        data = handle.read(limit)
    return data, offset + len(data)


def told_log(attempt: Attempt, offset: int, limit: int = 262_144) -> tuple[bytes, int]:
    """The same of what the node that runs it has written down for the others."""
    part = LogPart.objects.filter(attempt=attempt, end__gt=offset).order_by("end").first()
    if part is None:
        return b"", offset
    if offset < part.start:
        return left_out(part.start - offset), part.start
    rest = bytes(part.data)[max(0, offset - part.start) :]
    following = part.end if len(rest) <= limit else max(offset, part.start) + limit
    return rest[:limit], following


def job_output(job: Job, path: str) -> tuple[BinaryIO, str]:
    """An output's bytes and its file name. Raises NotFound."""
    facts = job.outputs.get(path)
    if facts is None:
        raise NotFound(_("Job %(pk)d left no file “%(path)s”.") % {"pk": job.pk, "path": path})
    return objects.open_object(facts["sha256"]), path.rpartition("/")[2]


def log_parts(job: Job, attempt: int | None = None) -> Iterator[bytes]:
    """The whole log of an attempt, piece by piece."""
    offset = 0
    while True:
        data, following = job_log(job, offset, attempt=attempt)
        if following == offset:
            return
        offset = following
        yield data


def workloads() -> list[Observed]:
    """All workloads that the engine knows, for the administrator's page."""
    return list(engine().list())


@dataclass(frozen=True)
class Running:
    """A workload, what it is for, and the key of the job whose attempt it is."""

    seen: Observed
    purpose: str
    job: int | None

    @property
    def reason(self) -> str:
        """Why it is in its state, in the reader's language where the engine knows what the words are made of."""
        return spoken(self.seen.told) if self.seen.told else self.seen.reason


@dataclass(frozen=True)
class Machine:
    """How code of people is fenced on this machine, what it has given out of what, and what runs."""

    node: str
    sandbox: sandbox.Level
    used: ledger.Amount
    capacity: ledger.Amount
    workloads: list[Running]
    environments: list[dict[str, str | bool]]


def this_machine() -> Machine:
    """The machine as it is now, for administrators."""
    seen = workloads()
    purposes = purposes_of(each.id for each in seen)
    return Machine(
        node=node_name(),
        sandbox=sandbox.probe(),
        used=in_use(),
        capacity=capacity(),
        workloads=[Running(each, *purposes.get(each.id, ("", None))) for each in seen],
        environments=[
            {"name": name, "digest": environments.digest(name), "ready": environments.is_ready(name)}
            for name in environments.names()
        ],
    )


def purposes_of(workload_ids: Iterable[str]) -> dict[str, tuple[str, int | None]]:
    """What each workload is for, in words, with the key of the job whose attempt it is."""
    ids = list(workload_ids)
    held = Reservation.objects.filter(pk__in=ids).values_list("workload_id", "purpose")
    tried = Attempt.objects.filter(workload_id__in=ids).values_list("workload_id", "job__title", "job_id")
    return {key: (words, None) for key, words in held} | {key: (title, job) for key, title, job in tried}


def allowed_hosts() -> QuerySet[AllowedHost]:
    """The list of hosts that sandboxes may reach, by name."""
    return AllowedHost.objects.select_related("added_by").order_by("pattern", "pk")


def egress_rules() -> list[Rule]:
    """The entries that count now, at most 2,000."""
    patterns = AllowedHost.objects.filter(enabled=True).values_list("pattern", flat=True)[:2000]
    return [Rule.parse(pattern) for pattern in patterns]


def egress_records(*, allowed: bool | None = None, workload_id: str = "") -> QuerySet[EgressRecord]:
    """What workloads asked of the network, the newest first."""
    rows = EgressRecord.objects.order_by("-last_at", "-pk")
    if allowed is not None:
        rows = rows.filter(allowed=allowed)
    return rows.filter(workload_id=workload_id) if workload_id else rows
