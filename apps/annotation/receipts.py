"""What became of feedback: looked at, accepted, in which data set version, in which model, in production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.annotation.models import Merged, Retraining, Task
from apps.evaluation.selectors import production_of
from apps.gateway.models import Outcome
from apps.gateway.selectors import feedback_visible_to

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

    from apps.accounts.models import User


@dataclass(frozen=True)
class Receipt:
    """One piece of feedback and how far it has come. `steps` are words in their order, the last one is the present."""

    outcome: Outcome
    state: str
    steps: list[str]


def feedback_of(user: User) -> QuerySet[Outcome]:
    """The feedback on calls that a person may see; labels are not feedback."""
    return feedback_visible_to(user).filter(kind=Outcome.Kind.FEEDBACK)


def receipts(outcomes: Sequence[Outcome]) -> list[Receipt]:
    """A receipt for each, in a constant number of queries for their tasks and one look at each capability's traffic."""
    tasks = _tasks_of([outcome.request_id for outcome in outcomes])
    versions = {
        task.dataset_version_id for found in tasks.values() for task in found if task.dataset_version_id
    }
    trained: dict[tuple[int, int], Any] = {}
    rows = Retraining.objects.filter(dataset_version_id__in=versions, version__isnull=False)
    for row in rows.select_related("version", "capability").order_by("pk"):
        trained[row.capability_id, row.dataset_version_id] = row.version
    running = {capability: _running(found) for capability, found in _capabilities(tasks).items()}
    made = []
    for outcome in outcomes:
        chains = [_chain(task, trained, running) for task in tasks.get(outcome.request_id, [])]
        steps = max(chains, key=len, default=[])
        made.append(Receipt(outcome, _state(steps), [_("received"), *(text for _state_name, text in steps)]))
    return made


def _state(steps: list[tuple[str, str]]) -> str:
    return steps[-1][0] if steps else "received"


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


def _capabilities(tasks: dict[UUID, list[Task]]) -> dict[int, Any]:
    return {task.project.capability_id: task.project.capability for found in tasks.values() for task in found}


def _running(capability: Any) -> str:
    deployment = production_of(capability)
    return deployment.version.number if deployment else ""


def _chain(task: Task, trained: dict[tuple[int, int], Any], running: dict[int, str]) -> list[tuple[str, str]]:
    if task.status == Task.Status.REJECTED:
        return [("left_out", _("left out by a reviewer"))]
    if task.status != Task.Status.ACCEPTED:
        return [("looked_at", _("people look at it"))]
    steps = [("accepted", _("accepted as “%(label)s”") % {"label": task.label})]
    if task.dataset_version_id is None:
        return steps
    steps.append(("in_data", _("in %(version)s") % {"version": task.dataset_version}))
    capability = task.project.capability_id
    version = trained.get((capability, task.dataset_version_id))
    if version is not None:
        steps.append(("in_model", _("in model %(version)s") % {"version": version.number}))
        if version.number == running[capability]:
            steps.append(("in_production", _("which answers in production")))
    return steps
