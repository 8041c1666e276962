"""What became of feedback: looked at, accepted, in which data, in which model, and whether it is right now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.annotation import rechecks
from apps.annotation.models import Merged, Recheck, Task
from apps.annotation.selectors import versions_that_learnt
from apps.core.errors import Conflict
from apps.evaluation.selectors import production_of
from apps.gateway.models import Outcome
from apps.gateway.selectors import calls, feedback_visible_to

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

    from apps.accounts.models import User

STATES = (
    "received", "looked_at", "left_out", "accepted", "in_data", "in_model", "in_production",
    "right_now", "wrong_now",
)  # fmt: skip


@dataclass(frozen=True)
class Receipt:
    """One piece of feedback and how far it has come. `steps` are words in their order, the last one is the present.

    `asking` says that the same input is on its way to the version in production, `may_ask` that it can be sent there.
    """

    outcome: Outcome
    state: str
    steps: list[str]
    asking: bool = False
    may_ask: bool = False


@dataclass
class _Chain:
    """How far one task of a call has come: (state, words) of each step."""

    task: Task
    steps: list[tuple[str, str]] = field(default_factory=list)
    asking: bool = False
    may_ask: bool = False


@dataclass(frozen=True)
class _Known:
    """What the receipts of a page rest on: who answers in production, who learnt from which data, what was asked again.

    `learnt` is by (capability, data set version), `again` by (task, call, number of the version).
    """

    running: dict[int, str]
    learnt: dict[tuple[int, int], list[str]]
    again: dict[tuple[int, UUID, str], Recheck]


def feedback_of(user: User, grants: Collection[int] | None = None) -> QuerySet[Outcome]:
    """The feedback on calls that a person may see, or on those with some keys alone; labels are not feedback."""
    rows = feedback_visible_to(user).filter(kind=Outcome.Kind.FEEDBACK)
    return rows if grants is None else rows.filter(request_id__in=calls(grants=grants).values("request_id"))


def receipts(outcomes: Sequence[Outcome]) -> list[Receipt]:
    """A receipt for each, in a constant number of queries for their tasks and one look at each capability's traffic."""
    tasks = _tasks_of([outcome.request_id for outcome in outcomes])
    known = _known(tasks)
    made = []
    for outcome in outcomes:
        chain = _longest(tasks.get(outcome.request_id, []), outcome.request_id, known)
        steps = chain.steps if chain else []
        made.append(
            Receipt(
                outcome,
                steps[-1][0] if steps else "received",
                [_("received"), *(text for _state, text in steps)],
                asking=chain is not None and chain.asking,
                may_ask=chain is not None and chain.may_ask,
            )
        )
    return made


def ask_again(outcome: Outcome, *, by: User) -> Receipt:
    """Ask the version in production the input of this feedback. The caller has looked whether they may see it.

    Raises Conflict where there is nothing to hold an answer against, or nobody to ask.
    """
    tasks = _tasks_of([outcome.request_id])
    chain = _longest(tasks.get(outcome.request_id, []), outcome.request_id, _known(tasks))
    if chain is None:
        raise Conflict(_("Nobody has looked at this feedback yet, so no answer can be held against it."))
    rechecks.ask(chain.task, outcome.request_id, by=by)
    return receipts([outcome])[0]


def _longest(tasks: list[Task], request_id: UUID, known: _Known) -> _Chain | None:
    chains = [_chain(task, request_id, known) for task in tasks]
    return max(chains, key=lambda chain: len(chain.steps), default=None)


def _known(tasks: dict[UUID, list[Task]]) -> _Known:
    every = [task for found in tasks.values() for task in found]
    capabilities = {task.project.capability_id: task.project.capability for task in every}
    data = {task.dataset_version_id for task in every if task.dataset_version_id}
    running = {pk: _running(capability) for pk, capability in capabilities.items()}
    asked = Recheck.objects.filter(
        task__in=[task.pk for task in every], request_id__in=list(tasks), version__number__in=running.values()
    ).select_related("version", "task")
    return _Known(
        running,
        versions_that_learnt(list(capabilities), list(data)) if data else {},
        {(row.task_id, row.request_id, row.version.number): row for row in asked} if every else {},
    )


def _tasks_of(request_ids: list[UUID]) -> dict[UUID, list[Task]]:
    """The tasks of calls, also of those that equal another call's input."""
    rows = Task.objects.select_related("project__capability", "dataset_version__dataset")
    found: dict[UUID, list[Task]] = {}
    for task in rows.filter(request_id__in=request_ids):
        found.setdefault(task.request_id, []).append(task)
    merged = Merged.objects.filter(request_id__in=request_ids)
    for row in merged.select_related("task__project__capability", "task__dataset_version__dataset"):
        found.setdefault(row.request_id, []).append(row.task)
    return found


def _running(capability: Any) -> str:
    deployment = production_of(capability)
    return deployment.version.number if deployment else ""


def _chain(task: Task, request_id: UUID, known: _Known) -> _Chain:
    chain = _Chain(task)
    if task.status == Task.Status.REJECTED:
        chain.steps.append(("left_out", _("left out by a reviewer")))
    elif task.status != Task.Status.ACCEPTED:
        chain.steps.append(("looked_at", _("people look at it")))
    else:
        _learning(chain, known)
        _asking(chain, request_id, known)
    return chain


def _learning(chain: _Chain, known: _Known) -> None:
    """From the label to the model that learnt it: the one in production where that is one of them, else the newest."""
    task, steps = chain.task, chain.steps
    steps.append(("accepted", _("accepted as “%(label)s”") % {"label": task.label}))
    if task.dataset_version_id is None:
        return
    steps.append(("in_data", _("in %(version)s") % {"version": task.dataset_version}))
    capability = task.project.capability_id
    numbers = known.learnt.get((capability, task.dataset_version_id), [])
    if not numbers:
        return
    running = known.running[capability]
    number = running if running in numbers else numbers[-1]
    steps.append(("in_model", _("in model %(version)s") % {"version": number}))
    if number == running:
        steps.append(("in_production", _("which answers in production")))


def _asking(chain: _Chain, request_id: UUID, known: _Known) -> None:
    """What the version in production answers to the very same input."""
    task, steps = chain.task, chain.steps
    running = known.running[task.project.capability_id]
    if not running or task.project.kind not in rechecks.KINDS:
        return
    row = known.again.get((task.pk, request_id, running))
    if row is None or (row.outdated and row.status != Recheck.Status.WAITING):
        chain.may_ask = True
        return
    told = {"version": running, "answer": row.answer}
    if row.status == Recheck.Status.WAITING:
        chain.asking = True
    elif row.status == Recheck.Status.RIGHT:
        words = _("asked the same again, %(version)s says “%(answer)s”: right now")
        steps.append(("right_now", words % told))
    elif row.status == Recheck.Status.WRONG:
        words = _("asked the same again, %(version)s says “%(answer)s”: not right yet")
        steps.append(("wrong_now", words % told))
    else:
        words = _("it could not be asked again: %(why)s")
        steps.append((steps[-1][0], words % {"why": row.why}))
        chain.may_ask = True
