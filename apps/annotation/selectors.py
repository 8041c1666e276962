"""Reads for the annotation pages."""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.annotation.agreement import Agreement, agreement, likeness
from apps.annotation.candidates import CONTROLS
from apps.annotation.estimate import Estimate, accuracy, share
from apps.annotation.label_types import Setting, type_named
from apps.annotation.models import (
    Annotation,
    Draw,
    Golden,
    Project,
    PullRule,
    RetrainingDecision,
    RetrainingRule,
    Tally,
    Task,
)
from apps.annotation.policy import MEMBERS, RULE_READERS, may_manage
from apps.annotation.sequential import Decision, decide
from apps.catalog.models import Capability
from apps.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User
    from apps.annotation.label_types import LabelType

_MOST = 5000
MOST_COMPARED = 1000
"""Regions are held against others of their task, which takes its time: so many votes tell enough of people."""
FEWEST = 30
MOST_LABELS = 100
MOST_LEFT = 1000
_MOST_DECIDING = 20_000


def capabilities_to_ask_about(user: User, words: str = "") -> QuerySet[Capability]:
    """Those of which a person may open a project and that are called so, by name; without words the newest first."""
    found = Capability.objects.select_related("team").filter(team__in=teams_of(user, Role.DEVELOPER, Role.QA))
    if not words.strip():
        return found.order_by("-pk")
    words = words.strip()
    return found.filter(Q(slug__icontains=words) | Q(name__icontains=words)).order_by("name", "pk")


def capability_to_ask_about(user: User, key: str) -> Capability | None:
    """The one of this key, as a form sends it; None when there is none."""
    return capabilities_to_ask_about(user).filter(pk=key).first() if key.isdecimal() else None


def projects_visible_to(user: User) -> QuerySet[Project]:
    """Projects of the person's teams, with the numbers that a list shows; they cost the same for a million tasks."""
    return _projects(user).annotate(
        open_tasks=_tallied(Task.Status.OPEN),
        to_review=_tallied(Task.Status.CONFLICT, Task.Status.AGREED),
        accepted=_tallied(Task.Status.ACCEPTED),
    )


def _projects(user: User) -> QuerySet[Project]:
    rows = Project.objects.filter(team__in=teams_of(user, *MEMBERS))
    return rows.select_related("capability", "team", "dataset")


def projects_named(user: User) -> QuerySet[Project]:
    """Projects of the person's teams, for lineage that leads to them."""
    return _projects(user)


def rules_named(pks: Collection[int], user: User | AnonymousUser) -> dict[int, tuple[str, str]]:
    """What the pull rules are called that a person may see, and where they are changed."""
    if not user.is_authenticated:
        return {}
    rows = PullRule.objects.filter(pk__in=pks, project__team__in=teams_of(user, *MEMBERS))
    return {
        rule.pk: (rule.get_kind_display(), reverse("annotation:detail", args=[rule.project_id]))
        for rule in rows
    }


def pseudonyms_named(pks: Collection[int], _user: User | AnonymousUser) -> dict[int, tuple[str, str]]:
    """People whose project keeps their names out of data sets."""
    return {pk: (f"{pk:08x}", "") for pk in pks}


def get_project(pk: int, *, user: User, counted: bool = True) -> Project:
    """A project by its number. Raises NotFound, also for one that the person may not see.

    Not `counted` it comes without the numbers of a list: for what every single label waits for.
    """
    project = (projects_visible_to(user) if counted else _projects(user)).filter(pk=pk).first()
    if project is None:
        raise NotFound(_("There is no annotation project %(pk)d that you may see.") % {"pk": pk})
    return project


def get_task(pk: int, *, user: User) -> Task:
    """A task by its number. Raises NotFound, also for one that the person may not see."""
    task = tasks_visible_to(user).filter(pk=pk).first()
    if task is None:
        raise NotFound(_("There is no task %(pk)d that you may see.") % {"pk": pk})
    return task


def _tallied(*states: str) -> Coalesce:
    rows = Tally.objects.filter(project_id=OuterRef("pk"), status__in=states).order_by()
    return Coalesce(Subquery(rows.values("project_id").annotate(total=Sum("n")).values("total")), 0,
                    output_field=BigIntegerField())  # fmt: skip


def tasks_visible_to(user: User, project: Project | None = None) -> QuerySet[Task]:
    """Tasks of the projects that a person may see, or of one of them.

    `answered` says whether the person may know the answer: who steers the project, and who has said theirs. Others
    may still be asked; and whoever was asked about a golden task could take their answer back. Show them `as_told`.
    """
    mine = Annotation.objects.filter(task=OuterRef("pk"), user_id=user.pk)
    tested = Q(task__golden__retired_at__isnull=True, task__golden__made_at__lt=F("at"))
    said = Exists(mine.exclude(tested))
    steers = Q(project__team__in=teams_of(user, Role.DEVELOPER, Role.QA))
    rows = Task.objects.select_related("project__team", "project__dataset").annotate(
        answered=ExpressionWrapper(steers | Q(said), output_field=BooleanField())
    )
    if project is not None:
        return rows.filter(project=project)
    return rows.filter(project__team__in=teams_of(user, *MEMBERS))


def in_status(
    rows: QuerySet[Any], status: str, *, user: User, project: Project | None = None
) -> QuerySet[Any]:
    """Those of the visible tasks that are told (`as_told`) to have this status."""
    if project is not None and may_manage(user, project):
        return rows.filter(status=status)
    if status == Task.Status.OPEN:
        return rows.filter(Q(status=status) | Q(answered=False))
    return rows.filter(status=status, answered=True)


def as_told(task: Task) -> Task:
    """A visible task as the person may know it: a copy to be shown, never to be saved.

    To whoever may still be asked it looks open, whatever others have said or a reviewer has decided. In a blind project
    the model's answer is told of closed tasks only.
    """
    told = copy(task)
    if not getattr(task, "answered", True):
        told.status, told.label, told.value, told.closed_at = Task.Status.OPEN, "", None, None
        told.dataset_version = told.reviewed_by = None
    if task.project.blind and told.status == Task.Status.OPEN:
        told.predicted, told.confidence, told.suggested, told.proposed = "", None, "", None
    return told


def annotations_visible_to(user: User) -> QuerySet[Annotation]:
    """One's own annotations, and everybody's where one manages; peers stay hidden from whoever labels."""
    manages = teams_of(user, Role.DEVELOPER, Role.QA)
    mine = Q(user_id=user.pk, task__project__team__in=teams_of(user, *MEMBERS))
    return Annotation.objects.filter(mine | Q(task__project__team__in=manages)).select_related("task", "user")


def flagged_among(rows: QuerySet[Task], user: User) -> QuerySet[Task]:
    """Those that somebody asked others to look at, as far as the person may see who said what."""
    told = annotations_visible_to(user).filter(task=OuterRef("pk"), flagged=True)
    return rows.filter(Exists(told))


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
    """Agreement over the newest tasks: alpha of labels; of regions, and of texts of many kinds, how alike they are."""
    votes: dict[int, list[Any]] = {}
    kind = type_named(project.kind)
    rows = Annotation.objects.filter(task__project=project, skipped=False).order_by("-task_id")
    most = MOST_COMPARED if kind.is_regions else _MOST * 3
    for task_id, label, value in rows.values_list("task_id", "label", "value")[:most]:
        votes.setdefault(task_id, []).append(label if value is None else value)
    texts = [[kind.text(value) for value in values] for values in votes.values()]
    if kind.is_regions or is_many(kind, texts):
        return likeness(list(votes.values()), kind.likeness)
    return agreement(texts)


def is_many(kind: LabelType, texts: Iterable[Iterable[str]]) -> bool:
    """Whether answers of no list are of more kinds than agreement could be told of one by one."""
    return not kind.is_nominal and len({text for said in texts for text in said}) > MOST_LABELS


def newest_votes(project: Project) -> QuerySet[Annotation]:
    """What people said of the newest tasks, as many labels as estimates rest on."""
    rows = Annotation.objects.filter(task__project=project, skipped=False)
    return rows.order_by("-task_id")[:_MOST]


def known_of(project: Project) -> dict[int, Any]:
    """{task: value} of the golden tasks: what is true there is not to be guessed from the votes."""
    rows = Golden.objects.filter(project=project, retired_at=None, task__status=Task.Status.ACCEPTED)
    found = rows.values_list("task", "task__label", "task__value")
    return {task: label if value is None else value for task, label, value in found}


def projects_that_disagree() -> QuerySet[Project]:
    """All projects with disagreements that nobody has decided, by the tallies: no task is looked at."""
    return (
        Project.objects.annotate(waiting=_tallied(Task.Status.CONFLICT)).filter(waiting__gt=0).order_by("pk")
    )


def conflicts_of(project: Project) -> QuerySet[Task]:
    """The tasks on which people disagree and nobody has decided."""
    return Task.objects.filter(project=project, status=Task.Status.CONFLICT)


def may_take_back(said: Annotation) -> bool:
    """Whether a person's last answer can be undone: its task is open, or a golden one that looks so."""
    if said.task.status == Task.Status.OPEN:
        return True
    return Golden.objects.filter(task=said.task_id, made_at__lt=said.at).exists()


def accuracy_of(project: Project) -> Estimate | None:
    """Accuracy in production from the accepted labels of random controls, weighted by how each was selected.

    Complaints and uncertain calls say nothing about the rest: a call that nobody complained about could not be in
    them. None for fewer than `FEWEST` labels, since the interval would promise too much.
    """
    rows = list(
        labelled_draws(project).order_by("-pk").values_list("predicted", "task__label", "probability")[:_MOST]
    )
    if len(rows) < FEWEST:
        return None
    return accuracy([predicted == label for predicted, label, _p in rows], [p for _a, _b, p in rows])


def near_audit_of(project: Project) -> Estimate | None:
    """How often an almost equal input that was labelled by itself got the label of the task it would have been put
    into: the newest pairs of which both have one label. None while there is no such pair.
    """
    kind, labelled = type_named(project.kind), (Task.Status.AGREED, Task.Status.ACCEPTED)
    rows = Task.objects.filter(project=project, audit_of__isnull=False, status__in=labelled)
    pairs = rows.filter(audit_of__status__in=labelled).order_by("-pk")
    found = [
        kind.likeness(label if value is None else value, other if twin is None else twin) >= kind.agree_at
        for label, value, other, twin in pairs.values_list(
            "label", "value", "audit_of__label", "audit_of__value"
        )[:_MOST]
    ]
    return share(sum(found), len(found)) if found else None


def labelled_draws(project: Project) -> QuerySet[Draw]:
    """The calls that random controls drew and whose label is accepted."""
    return Draw.objects.filter(project=project, task__status=Task.Status.ACCEPTED).exclude(predicted="")


def decision_of(project: Project) -> Decision | None:
    """Whether the accuracy in production reaches the project's gate; None without one.

    Draws count in their order, up to the last one whose task anybody has looked at; those before it that are not
    decided yet stand for the worst. The order in which labels are accepted would mislead: what all agree on, which
    is mostly right, is accepted sooner.
    """
    if project.gate is None:
        return None
    draws = Draw.objects.filter(project=project).exclude(predicted="")
    said = Annotation.objects.filter(task=OuterRef("task"))
    begun = draws.filter(~Q(task__status=Task.Status.OPEN) | Exists(said), task__rule_kind__in=CONTROLS)
    last = begun.values("task").annotate(first=Min("pk")).aggregate(last=Max("first"))["last"] or 0
    rows = (
        draws.filter(pk__lte=last)
        .exclude(task__status=Task.Status.REJECTED)
        .order_by("pk")
        .values_list("task__status", "predicted", "task__label", "probability")[:_MOST_DECIDING]
    )
    found = [
        (predicted == label if status == Task.Status.ACCEPTED else None, 1 / chance)
        for status, predicted, label, chance in rows
    ]
    least = project.rules.filter(kind=PullRule.Kind.RANDOM).aggregate(least=Min("share"))["least"]
    return decide(
        [right for right, _weight in found],
        [weight for _right, weight in found],
        project.gate,
        1 / (least or 1),
    )


def retraining_rules_visible_to(user: User) -> QuerySet[RetrainingRule]:
    """The rules of the person's teams, with what lists and pages show."""
    rows = RetrainingRule.objects.filter(capability__team__in=teams_of(user, *RULE_READERS))
    return rows.select_related("capability__team", "project__dataset", "written_by")


def decisions_by(rule: RetrainingRule) -> QuerySet[RetrainingDecision]:
    """What a rule decided, with what a list shows; order them by `-pk`."""
    return RetrainingDecision.objects.filter(rule=rule).select_related(
        "retraining__dataset_version__dataset", "retraining__version", "release__version"
    )


def versions_that_learnt(
    capabilities: Collection[int], data: Collection[int]
) -> dict[tuple[int, int], list[str]]:
    """{(capability, data set version): numbers of the versions that were trained on it or on one that came of it}."""
    with connection.cursor() as cursor:
        cursor.execute(_LEARNT, {"capabilities": list(capabilities), "data": list(data)})
        found: dict[tuple[int, int], list[str]] = {}
        for capability, root, number in cursor.fetchall():
            found.setdefault((capability, root), []).append(number)
    return found


_LEARNT = """
WITH RECURSIVE later (root, id) AS (
    SELECT id, id FROM datasets_datasetversion WHERE id = ANY(%(data)s)
    UNION
    SELECT later.root, v.id FROM datasets_datasetversion v JOIN later ON v.parent_id = later.id
), trained (capability_id, version_id, data_id) AS (
    SELECT capability_id, id, substring(dataset_version_urn FROM '^atrium:datasets.datasetversion:([0-9]+)$')::bigint
    FROM catalog_version WHERE capability_id = ANY(%(capabilities)s)
    UNION
    SELECT capability_id, version_id, dataset_version_id FROM annotation_retraining
    WHERE capability_id = ANY(%(capabilities)s) AND version_id IS NOT NULL
)
SELECT trained.capability_id, later.root, v.number
FROM later JOIN trained ON trained.data_id = later.id JOIN catalog_version v ON v.id = trained.version_id
WHERE v.status IN ('packaged', 'retired')
GROUP BY 1, 2, 3, v.id ORDER BY v.id
"""


def setting_of(project: Project, inputs: Mapping[str, Any]) -> Setting:
    """What an answer to a task is checked against."""
    return Setting(tuple(item["value"] for item in project.labels), project.options, inputs)


def shown(inputs: Mapping[str, Any], project: Project) -> dict[str, Any]:
    """How an input is drawn: pixels by row or the address of an image, a text, pairs, a table, a series, two texts."""
    value = next(iter(inputs.values()), None)
    if project.show == Project.Show.IMAGE:
        return _image(value)
    if project.show == Project.Show.PAIR:
        sides = [str(part) for part in inputs.values()]
        return {"sides": [*sides, "", ""][:2]}
    if not isinstance(value, list):
        return {"text": str(value)}
    if project.show == Project.Show.ROW:
        return {"pairs": list(zip(_columns(project, len(value)), value, strict=False))}
    if project.show == Project.Show.TABLE:
        rows = [row if isinstance(row, dict) else {"value": row} for row in value]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return {"columns": columns, "table": [[row.get(name, "") for name in columns] for row in rows]}
    if project.show == Project.Show.SERIES:
        return _series(value)
    return {"text": str(value)}


def _image(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        good = re.match(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$", value)
        return {"image": value} if good else {"broken": value[:100]}
    flat = _numbers(value)
    side = round(len(flat) ** 0.5)
    if not flat or side * side != len(flat):
        return {"broken": str(value)[:100]}
    top = max(flat) or 1
    rows = [flat[at : at + side] for at in range(0, len(flat), side)]
    return {"rows": [[round(100 * cell / top) for cell in row] for row in rows], "side": side}


def _numbers(value: Any) -> list[float]:
    """The pixels of an image, row after row, however they are nested; empty when something else is among them."""
    parts = value if isinstance(value, list) else []
    flat = [cell for part in parts for cell in (part if isinstance(part, list) else [part])]
    return flat if all(isinstance(cell, int | float) for cell in flat) else []


def _series(value: list[Any]) -> dict[str, Any]:
    """A line in a box of 1000 by 300, and its smallest and largest value."""
    points = _numbers(value)
    if len(points) < 2:
        return {"broken": str(value)[:100]}
    low, high = min(points), max(points)
    scale = (high - low) or 1
    line = " ".join(
        f"{1000 * at / (len(points) - 1):.1f},{300 - 290 * (point - low) / scale - 5:.1f}"
        for at, point in enumerate(points)
    )
    return {"line": line, "low": low, "high": high, "last": len(points) - 1}


def _columns(project: Project, count: int) -> list[str]:
    version = project.dataset.versions.order_by("-number").first()
    names = [column["name"] for column in (version.schema.get("columns", []) if version else [])]
    features = [name for name in names if name not in (project.target, "split", "id")]
    return features if len(features) == count else [str(number) for number in range(1, count + 1)]
