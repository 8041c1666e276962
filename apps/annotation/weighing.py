"""What people who disagree most likely mean: each vote weighs by how reliable its person is.

While a disagreement waits for a reviewer, its label is a proposal: that of more than half when the last vote comes
(`services.settle_on`), and from the next round here on the likeliest one, anew whenever a later disagreement tells
more about the people. What a round learns of them is kept in the project; a page reads it. It decides nothing; what
all agree on is never weighed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Sum

from apps.annotation.label_types import type_named
from apps.annotation.label_types.base import short
from apps.annotation.models import Annotation, Project, Task
from apps.annotation.quality import Vote, meaning, trusted_in, votes_of
from apps.annotation.reliability import chances
from apps.annotation.selectors import conflicts_of, projects_that_disagree
from apps.core import turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.annotation.label_types import LabelType

PAGE = 500
_BUDGET_S = 20.0
_EVEN = 0.05
"""By less than this no answer is likelier than another: what is known of people is not that exact."""
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

    @property
    def value(self) -> Any:
        """The winner as a task's value; None without one."""
        return self.winner.value if self.winner else None


def weigh(task: Task) -> Weighed | None:
    """The answers of a task by weight; None without votes, and until a round has learnt of one of its people."""
    return _weigh(task.project, [task.pk]).get(task.pk) if task.project.trusted else None


def propose_all() -> None:
    """Let the labels of disagreements follow what is known of the people. Harmless at any time."""
    for project in projects_that_disagree():
        if _said_of(project) not in (None, project.weighed):
            with turns.only_one(turns.WEIGH, project.pk) as mine:
                if mine:
                    _propose(Project.objects.get(pk=project.pk))


def _said_of(project: Project) -> int | None:
    """What changes with every label of a disagreement; None without any.

    Numbers are given before they are seen: the newest one would tell nothing of those that come behind it.
    """
    waiting = Annotation.objects.filter(task__in=conflicts_of(project))
    said = waiting.aggregate(total=Sum("pk"))["total"]
    return None if said is None else int(said)


def _propose(project: Project) -> None:
    """One round: it ends after `_BUDGET_S` seconds, and the next one goes on below the last disagreement."""
    ends, said = time.monotonic() + _BUDGET_S, _said_of(project)
    if said in (None, project.weighed):
        return  # another round has just been at it
    kind, votes = type_named(project.kind), votes_of(project)
    answers = len({kind.text(vote.value) for vote in votes}) if kind.is_nominal else 0
    # A pass that was cut short is ended first, else new labels would keep it from the oldest for ever.
    pending = (project.trusted or {}).get("pending") or {"below": None, "said": said}
    project.trusted = {
        "people": trusted_in(project, kind, votes),
        "answers": answers,
        "pending": pending,
    }
    Project.objects.filter(pk=project.pk).update(trusted=project.trusted)
    tasks = conflicts_of(project).only("pk", "label", "value").order_by("-pk")
    while page := list((tasks.filter(pk__lt=pending["below"]) if pending["below"] else tasks)[:PAGE]):
        _propose_to(project, page)
        pending["below"] = page[-1].pk
        if time.monotonic() > ends:
            Project.objects.filter(pk=project.pk).update(trusted=project.trusted)
            return
    del project.trusted["pending"]
    Project.objects.filter(pk=project.pk).update(trusted=project.trusted, weighed=pending["said"])


def _propose_to(project: Project, tasks: Sequence[Task]) -> None:
    found = _weigh(project, [task.pk for task in tasks])
    for task in tasks:
        now = found.get(task.pk)
        if now is not None and (task.label, task.value) != (now.label, now.value):
            conflicts_of(project).filter(pk=task.pk).update(label=now.label, value=now.value)


def _weigh(project: Project, tasks: Sequence[int]) -> dict[int, Weighed]:
    kind, trusted = type_named(project.kind), project.trusted or {"people": {}, "answers": 0}
    rows = Annotation.objects.filter(task__in=tasks, skipped=False).order_by("pk")
    votes: dict[int, list[Vote]] = {}
    for task, person, label, value in rows.values_list("task_id", "user__username", "label", "value"):
        votes.setdefault(task, []).append(Vote(task, person, label if value is None else value))
    known = trusted["people"]
    return {
        task: _sides(kind, said, known, trusted["answers"])
        for task, said in votes.items()
        if any(vote.person in known for vote in said)  # else what most of them said stays
    }


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
