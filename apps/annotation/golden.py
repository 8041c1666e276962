"""Golden tasks: accepted ones on which all agreed come again to people who have not seen them.

Their answers show how often each person is right and are certain for `reliability`. One that many answer otherwise
has drifted, or never was right, and rests.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.translation import override

from apps.annotation.estimate import Estimate, share
from apps.annotation.label_types import type_named
from apps.annotation.models import Annotation, Golden, Project, Task
from apps.core.telling import Said, kept, spoken
from apps.core.telling import say as _
from apps.requests.services import notify

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.annotation.label_types import LabelType

MOST = 50
FEWEST_ANSWERS = 4
_LOOKED_AT = 500


def keep_all() -> None:
    """Retire what has drifted and top up, for every project that mixes golden tasks in. Harmless at any time."""
    rows = Project.objects.filter(status=Project.Status.OPEN, golden_every__isnull=False)
    for project in rows.select_related("created_by").order_by("pk")[:200]:
        retire_drifted(project)
        top_up(project)


def top_up(project: Project) -> int:
    """Make golden tasks of accepted ones with two labels or more that all mean what was accepted. How many."""
    lacking = MOST - project.golden_tasks.filter(retired_at=None).count()
    if lacking <= 0:
        return 0
    kind, made = type_named(project.kind), 0
    rows = Task.objects.filter(project=project, status=Task.Status.ACCEPTED, golden=None).annotate(
        said=Count("annotations", filter=Q(annotations__skipped=False))
    )
    for task in rows.filter(said__gte=2).order_by("-pk")[:_LOOKED_AT]:
        if made < lacking and _unanimous(task, kind):
            _golden, new = Golden.objects.get_or_create(task=task, defaults={"project": project})
            made += new
    return made


def _unanimous(task: Task, kind: LabelType) -> bool:
    rows = list(task.annotations.all())
    right = _value(task)
    return not any(row.skipped or row.flagged for row in rows) and all(
        kind.likeness(_value(row), right) >= kind.agree_at for row in rows
    )


def _value(row: Task | Annotation) -> Any:
    return row.label if row.value is None else row.value


def answers_of(project: Project, *, alive: bool = True) -> list[tuple[int, str, bool]]:
    """(golden task, person, whether the answer was right), of what was said since it is golden."""
    kind = type_named(project.kind)
    rows = (
        Annotation.objects.filter(task__golden__project=project, skipped=False)
        .filter(at__gt=F("task__golden__made_at"))
        .select_related("task", "user")
    )
    if alive:
        rows = rows.filter(task__golden__retired_at=None)
    return [
        (row.task_id, row.user.get_username(), kind.likeness(_value(row), _value(row.task)) >= kind.agree_at)
        for row in rows.order_by("-pk")[:5000]
    ]


def results_of(project: Project) -> dict[str, Estimate]:
    """{person: share of golden tasks answered rightly, with its interval}."""
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for _task, person, good in answers_of(project):
        asked[person] += 1
        right[person] += good
    return {person: share(right[person], number) for person, number in sorted(asked.items())}


def retire_drifted(project: Project) -> int:
    """Let the golden tasks rest that more than half of their answers contradict, and those no longer accepted."""
    asked: Counter[int] = Counter()
    wrong: Counter[int] = Counter()
    for task, _person, good in answers_of(project):
        asked[task] += 1
        wrong[task] += not good
    retired = 0
    undone = project.golden_tasks.filter(retired_at=None).exclude(task__status=Task.Status.ACCEPTED)
    retired += _rest(undone, _("It is not accepted any more."))
    for task, number in asked.items():
        if number < FEWEST_ANSWERS or wrong[task] * 2 <= number:
            continue
        why = _("%(wrong)d of %(n)d people answered otherwise.") % {"wrong": wrong[task], "n": number}
        if _rest(project.golden_tasks.filter(task=task, retired_at=None), why):
            retired += 1
            _tell_maker(project, task, why)
    return retired


def _rest(goldens: QuerySet[Golden], why: Said) -> int:
    words, told = kept(why)
    return goldens.update(retired_at=timezone.now(), reason=words, told=told)


def _tell_maker(project: Project, task: int, why: Said) -> None:
    with override(project.created_by.language):
        notify(
            [project.created_by],
            _("Golden task %(task)d of “%(project)s” rests: look at its label again.")
            % {"task": task, "project": project.name},
            url=f"/annotation/tasks/{task}/",
            body=spoken(why.told),
        )
