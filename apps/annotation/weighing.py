"""What people who disagree most likely mean: each vote weighs by how reliable its person is.

While a disagreement waits for a reviewer, its label is a proposal: that of more than half when the last vote comes
(`services.settle_on`), and from the next round here on the likeliest one, anew whenever a later disagreement tells
more about the people. It decides nothing; what all agree on is never weighed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.annotation.label_types import type_named
from apps.annotation.label_types.base import short
from apps.annotation.models import Annotation, Project, Task
from apps.annotation.quality import Vote, meaning, trusted_in
from apps.annotation.reliability import chances
from apps.annotation.selectors import newest_votes, projects_that_disagree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.annotation.label_types import LabelType

MOST = 500
_EVEN = 1e-6
_NEW = 0.5
"""How far somebody is trusted of whom nothing is known; all alike, so it matters only beside others."""


@dataclass(frozen=True)
class Side:
    """One answer to a task, in words too, how likely it is right, and who gave it: (person, reliability)."""

    value: Any
    said: str
    chance: float
    people: list[tuple[str, float]]


@dataclass(frozen=True)
class Weighed:
    """The answers to one task, the likeliest first; `winner` is None where none is likelier than all others."""

    sides: list[Side]
    winner: Side | None
    overrules: bool
    """Whether fewer people stand behind the winner than behind another answer."""

    @property
    def label(self) -> str:
        """The winner as a task's label."""
        return short(self.winner.said) if self.winner else ""


def weigh(task: Task) -> Weighed | None:
    """The answers of a task by weight; None without votes."""
    return _weigh(task.project, _votes([task])).get(task.pk)


def propose_all() -> None:
    """Let the labels of disagreements follow what is known of the people. Harmless at any time."""
    for project in projects_that_disagree():
        _propose(project)


def _propose(project: Project) -> None:
    newest = Task.objects.filter(project=project, status=Task.Status.CONFLICT).order_by("-pk")
    tasks = {task.pk: task for task in newest[:MOST]}
    said = Annotation.objects.filter(task__in=tasks).order_by("-pk").values_list("pk", flat=True).first()
    if said is None or said <= project.weighed:
        return
    for pk, found in _weigh(project, _votes(list(tasks.values()))).items():
        value = found.winner.value if found.winner else None
        if (tasks[pk].label, tasks[pk].value) != (found.label, value):
            waiting = Task.objects.filter(pk=pk, status=Task.Status.CONFLICT)
            waiting.update(label=found.label, value=value)
    Project.objects.filter(pk=project.pk, weighed__lt=said).update(weighed=said)


def _votes(tasks: Sequence[Task]) -> list[Vote]:
    rows = Annotation.objects.filter(task__in=[task.pk for task in tasks], skipped=False).order_by("pk")
    return [
        Vote(task, person, label if value is None else value)
        for task, person, label, value in rows.values_list("task_id", "user__username", "label", "value")
    ]


def _weigh(project: Project, votes: list[Vote]) -> dict[int, Weighed]:
    kind, here = type_named(project.kind), {vote.task for vote in votes}
    rows = newest_votes(project).values_list("task_id", "user__username", "label", "value")
    others = [
        Vote(task, person, label if value is None else value)
        for task, person, label, value in rows
        if task not in here
    ]
    trusted = trusted_in(project, kind, [*votes, *others])
    by_task: dict[int, list[Vote]] = {}
    for vote in votes:
        by_task.setdefault(vote.task, []).append(vote)
    labels = len({kind.text(vote.value) for vote in [*votes, *others]}) if kind.is_nominal else 0
    return {task: _sides(kind, said, trusted, labels) for task, said in by_task.items()}


def _sides(kind: LabelType, votes: list[Vote], trusted: dict[str, float], labels: int) -> Weighed:
    met: list[Any] = []
    numbered = [
        (meaning(kind, vote.value, met), vote.person, trusted.get(vote.person, _NEW)) for vote in votes
    ]
    found = chances([(number, right) for number, _person, right in numbered], max(labels, len(met), 2))
    sides = [
        Side(
            value,
            kind.text(value),
            found[number],
            [(who, right) for answer, who, right in numbered if answer == number],
        )
        for number, value in enumerate(met)
    ]
    sides.sort(key=lambda side: -side.chance)
    winner = sides[0] if len(sides) == 1 or sides[0].chance > sides[1].chance + _EVEN else None
    most = max(len(side.people) for side in sides)
    return Weighed(sides, winner, winner is not None and len(winner.people) < most)
