"""Reads for the annotation pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.annotation.agreement import Agreement, agreement
from apps.annotation.estimate import Estimate, accuracy
from apps.annotation.models import Annotation, Project, PullRule, Tally, Task
from apps.annotation.policy import MEMBERS

if TYPE_CHECKING:
    from apps.accounts.models import User

_MOST = 5000
FEWEST = 30
MOST_LEFT = 1000


def projects_visible_to(user: User) -> QuerySet[Project]:
    """Projects of the person's teams, with the numbers that a list shows; they cost the same for a million tasks."""
    return (
        Project.objects.filter(team__in=teams_of(user, *MEMBERS))
        .select_related("capability", "team", "dataset")
        .annotate(
            open_tasks=_tallied(Task.Status.OPEN),
            to_review=_tallied(Task.Status.CONFLICT, Task.Status.AGREED),
            accepted=_tallied(Task.Status.ACCEPTED),
        )
    )


def _tallied(*states: str) -> Coalesce:
    rows = Tally.objects.filter(project_id=OuterRef("pk"), status__in=states).order_by()
    return Coalesce(Subquery(rows.values("project_id").annotate(total=Sum("n")).values("total")), 0,
                    output_field=BigIntegerField())  # fmt: skip


def tasks_visible_to(user: User, project: Project | None = None) -> QuerySet[Task]:
    """Tasks of the projects that a person may see, or of one of them."""
    rows = Task.objects.select_related("project__team", "project__dataset")
    if project is not None:
        return rows.filter(project=project)
    return rows.filter(project__team__in=teams_of(user, *MEMBERS))


def annotations_visible_to(user: User) -> QuerySet[Annotation]:
    """One's own annotations, and everybody's where one manages; peers stay hidden from whoever labels."""
    manages = teams_of(user, Role.DEVELOPER, Role.QA)
    mine = Q(user_id=user.pk, task__project__team__in=teams_of(user, *MEMBERS))
    return Annotation.objects.filter(mine | Q(task__project__team__in=manages)).select_related("task", "user")


def fold_tallies() -> None:
    """Put the rows that count the same into one. Harmless at any time, also twice at once."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLD)


_FOLD = """
WITH gone AS (
    DELETE FROM annotation_tally WHERE id IN (
        SELECT id FROM annotation_tally ORDER BY id LIMIT 100000 FOR UPDATE SKIP LOCKED)
    RETURNING project_id, status, n
)
INSERT INTO annotation_tally (project_id, status, n)
SELECT project_id, status, sum(n) FROM gone GROUP BY 1, 2 HAVING sum(n) <> 0
"""


def left_for(user: User, project: Project) -> int:
    """How many open tasks this person has not labelled yet, counted up to `MOST_LEFT`."""
    mine = Annotation.objects.filter(user=user, task=OuterRef("pk"))
    rows = Task.objects.filter(project=project, status=Task.Status.OPEN).exclude(Exists(mine))
    return len(rows.order_by("-pk").values_list("pk", flat=True)[:MOST_LEFT])


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
