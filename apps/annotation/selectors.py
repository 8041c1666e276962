"""Reads for the annotation pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, QuerySet

from apps.accounts.selectors import teams_of
from apps.annotation.agreement import Agreement, agreement
from apps.annotation.estimate import Estimate, accuracy
from apps.annotation.models import Annotation, Project, PullRule, Task
from apps.annotation.policy import MEMBERS

if TYPE_CHECKING:
    from apps.accounts.models import User

_MOST = 5000
FEWEST = 30


def projects_visible_to(user: User) -> QuerySet[Project]:
    """Projects of the person's teams, with the numbers that a list shows."""
    return (
        Project.objects.filter(team__in=teams_of(user, *MEMBERS))
        .select_related("capability", "team", "dataset")
        .annotate(
            open_tasks=Count("tasks", filter=Q(tasks__status=Task.Status.OPEN)),
            to_review=Count("tasks", filter=Q(tasks__status__in=[Task.Status.CONFLICT, Task.Status.AGREED])),
            accepted=Count("tasks", filter=Q(tasks__status=Task.Status.ACCEPTED)),
        )
    )


def left_for(user: User, project: Project) -> int:
    """How many open tasks this person has not labelled yet."""
    mine = Annotation.objects.filter(user=user, task__project=project).values("task_id")
    return Task.objects.filter(project=project, status=Task.Status.OPEN).exclude(pk__in=mine).count()


def agreement_of(project: Project) -> Agreement:
    """Agreement over the newest tasks."""
    votes: dict[int, list[str]] = {}
    rows = Annotation.objects.filter(task__project=project, skipped=False).order_by("-task_id")
    for task_id, label in rows.values_list("task_id", "label")[: _MOST * 3]:
        votes.setdefault(task_id, []).append(label)
    return agreement(list(votes.values()))


def accuracy_of(project: Project) -> Estimate | None:
    """Accuracy in production from the accepted labels of random controls, weighted by how each was selected.

    Complaints and uncertain calls say nothing about the rest: a call that nobody complained about could not be in
    them. None for fewer than `FEWEST` labels, since the interval would promise too much.
    """
    rows = list(
        Task.objects.filter(project=project, status=Task.Status.ACCEPTED, rule_kind=PullRule.Kind.RANDOM)
        .exclude(predicted="")
        .order_by("-pk")
        .values_list("predicted", "label", "probability")[:_MOST]
    )
    if len(rows) < FEWEST:
        return None
    return accuracy([predicted == label for predicted, label, _p in rows], [p for _a, _b, p in rows])


def shown(task: Task, project: Project) -> dict[str, Any]:
    """How a task's input is drawn: pixels by row for an image, a text, or (column, value) pairs."""
    value = next(iter(task.inputs.values()), None)
    if project.show == Project.Show.IMAGE and isinstance(value, list):
        side = round(len(value) ** 0.5)
        top = max(value) or 1
        rows = [value[at : at + side] for at in range(0, len(value), side)]
        return {"rows": [[round(100 * cell / top) for cell in row] for row in rows], "side": side}
    if project.show == Project.Show.ROW and isinstance(value, list):
        return {"pairs": list(zip(_columns(project, len(value)), value, strict=False))}
    return {"text": str(value)}


def _columns(project: Project, count: int) -> list[str]:
    version = project.dataset.versions.order_by("-number").first()
    names = [column["name"] for column in (version.schema.get("columns", []) if version else [])]
    features = [name for name in names if name not in (project.target, "split", "id")]
    return features if len(features) == count else [str(number) for number in range(1, count + 1)]
