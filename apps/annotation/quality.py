"""Who can be trusted how far, which labels and which pairs of people disagree."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from apps.annotation.agreement import Agreement, by_label, by_pair
from apps.annotation.label_types import type_named
from apps.annotation.reliability import reliability, trust
from apps.annotation.selectors import MOST_COMPARED, is_many, known_of, newest_votes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.annotation.label_types import LabelType
    from apps.annotation.models import Project


@dataclass(frozen=True)
class Vote:
    """What one person said of a task."""

    task: int
    person: str
    value: Any
    seconds: float = 0.0


@dataclass(frozen=True)
class Quality:
    """People by account with their reliability; agreement by label and by pair, empty where answers are no labels of a
    list.
    """

    people: list[dict[str, Any]]
    labels: dict[str, Agreement]
    pairs: dict[tuple[str, str], Agreement]


def quality_of(project: Project) -> Quality:
    """From the newest labels."""
    kind, votes = type_named(project.kind), votes_of(project)
    items: dict[int, dict[str, str]] = {}
    for vote in votes:
        items.setdefault(vote.task, {})[vote.person] = kind.text(vote.value)
    trusted = trusted_in(project, kind, votes)
    people = [
        {
            "name": person,
            "labels": sum(vote.person == person for vote in votes),
            "reliability": right,
            "seconds": median(vote.seconds for vote in votes if vote.person == person),
        }
        for person, right in sorted(trusted.items(), key=lambda entry: entry[1])
    ]
    several = [list(item.values()) for item in items.values()]
    if kind.is_regions or is_many(kind, several):
        return Quality(people, {}, {})
    return Quality(people, by_label(several), by_pair(list(items.values())))


def votes_of(project: Project) -> list[Vote]:
    """The newest labels, those of the newest tasks first."""
    rows = newest_votes(project).values_list("task_id", "user__username", "label", "value", "seconds")
    return [
        Vote(task, person, label if value is None else value, seconds)
        for task, person, label, value, seconds in rows
    ]


def trusted_in(project: Project, kind: LabelType, votes: Sequence[Vote]) -> dict[str, float]:
    """How likely each person is right, from votes, the newest first, and from what is known of golden tasks."""
    if kind.is_nominal:
        said = [(vote.task, vote.person, kind.text(vote.value)) for vote in votes]
        return reliability(said, {task: kind.text(value) for task, value in known_of(project).items()}).people
    meanings: dict[int, list[Any]] = {}
    known: dict[int, int] = {}
    for task, value in known_of(project).items():
        meanings[task], known[task] = [value], 0
    numbered = [
        (vote.task, vote.person, meaning(kind, vote.value, meanings.setdefault(vote.task, [])))
        for vote in (votes[:MOST_COMPARED] if kind.is_regions else votes)
    ]
    return trust(numbered, known)


def meaning(kind: LabelType, value: Any, met: list[Any]) -> int:
    """The number of the value among those met that mean the same, itself a new one otherwise."""
    for number, other in enumerate(met):
        if kind.likeness(value, other) >= kind.agree_at:
            return number
    met.append(value)
    return len(met) - 1
