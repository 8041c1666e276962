"""How far each person's labels can be trusted, and what a task's label is then, by Dawid and Skene (1979).

Expectation and maximisation over a confusion matrix for each person. The matrices are smoothed by imagined answers,
nearly all of them right, half a one for each label on average, so that few labels say little. They are as frequent as
the labels are: else they would pull what people disagree on towards the frequent label. Where answers are no labels of
a list (regions, texts), `trust` is the same with one number for each person.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.core.later import later

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

ROUNDS = 100
_TOLERANCE = 1e-6
_SMOOTHING = 0.5
_SMOOTHING_OFF = 1e-3
_SUREST = 0.99


@dataclass(frozen=True)
class Reliability:
    """`people` maps a person to the probability of a right label; `items` an item to its labels' probabilities."""

    people: dict[str, float]
    items: dict[int, dict[str, float]]


def reliability(votes: Sequence[tuple[int, str, str]], known: Mapping[int, str] | None = None) -> Reliability:
    """From (item, person, label) of nominal labels; empty in, empty out.

    `known` are items whose label is certain, {item: label}: golden tasks.
    """
    if not votes:
        return Reliability({}, {})
    items, people, labels = (sorted({vote[part] for vote in votes}) for part in range(3))
    at = [{name: number for number, name in enumerate(names)} for names in (items, people, labels)]
    item, who, said = (np.array([at[part][vote[part]] for vote in votes]) for part in range(3))
    told = np.zeros((len(items), len(labels)))
    np.add.at(told, (item, said), 1)
    certain = {
        at[0][item]: at[2][label] for item, label in (known or {}).items() if item in at[0] and label in at[2]
    }
    truth = _certain(told / told.sum(1)[:, None], certain)
    imagined = len(labels) * (_SMOOTHING * np.eye(len(labels)) + _SMOOTHING_OFF)
    for _round in range(ROUNDS):
        prior = truth.mean(0) + 1e-9
        confusion = np.zeros((len(people), len(labels), len(labels)))
        np.add.at(confusion, (who, said), truth[item])
        confusion = confusion.transpose(0, 2, 1) + prior[:, None] * imagined
        confusion /= confusion.sum(2, keepdims=True)
        weight = np.tile(np.log(prior), (len(items), 1))
        np.add.at(weight, item, np.log(confusion).transpose(0, 2, 1)[who, said])
        fresh = np.exp(weight - weight.max(1, keepdims=True))
        fresh = _certain(fresh / fresh.sum(1, keepdims=True), certain)
        moved, truth = np.abs(fresh - truth).max(), fresh
        if moved < _TOLERANCE:
            break
    right = np.einsum("pll,l->p", confusion, truth.mean(0))
    return Reliability(
        {str(name): float(right[number]) for name, number in at[1].items()},
        {
            int(item): {str(label): float(truth[number, k]) for label, k in at[2].items()}
            for item, number in at[0].items()
        },
    )


def trust(votes: Sequence[tuple[int, str, int]], known: Mapping[int, int] | None = None) -> dict[str, float]:
    """How likely each person is right, from (item, person, meaning), where meanings are numbered within their item.

    Items with one vote say nothing, unless they are `known`, {item: meaning}; a meaning that nobody gave is no number
    of the votes. Two of three imagined answers are right.
    """
    known = known or {}
    asked = Counter(item for item, _person, _meaning in votes)
    votes = [vote for vote in votes if asked[vote[0]] > 1 or vote[0] in known]
    if not votes:
        return {}
    people = sorted({person for _item, person, _meaning in votes})
    keys = sorted({(item, meaning) for item, _person, meaning in votes})
    items = sorted({item for item, _meaning in keys})
    person_at = {person: number for number, person in enumerate(people)}
    key_at = {key: number for number, key in enumerate(keys)}
    item_at = {item: number for number, item in enumerate(items)}
    who = np.array([person_at[person] for _item, person, _meaning in votes])
    which = np.array([key_at[item, meaning] for item, _person, meaning in votes])
    of = np.array([item_at[item] for item, _meaning in keys])
    others = np.maximum(np.bincount(of) - 1, 1)[of[which]]
    fixed = np.array([item in known for item, _meaning in keys])
    told = np.array([float(known.get(item) == meaning) for item, meaning in keys])
    counted = np.bincount(which, minlength=len(keys))
    chance = np.where(fixed, told, counted / np.bincount(of, counted)[of])
    for _round in range(ROUNDS):
        right = (np.bincount(who, chance[which]) + 2) / (np.bincount(who) + 3)
        score = np.bincount(which, np.log(right[who] * others / (1 - right[who])))
        top = np.full(len(items), -np.inf)
        np.maximum.at(top, of, score)
        score = np.exp(score - top[of])
        fresh = np.where(fixed, told, score / np.bincount(of, score)[of])
        moved, chance = np.abs(fresh - chance).max(), fresh
        if moved < _TOLERANCE:
            break
    return {person: float(right[number]) for person, number in person_at.items()}


def chances(votes: Sequence[tuple[int, float]], answers: int) -> dict[int, float]:
    """How likely each answer that was given is right, from (answer, reliability of who gave it).

    Whoever errs gives any other of the possible `answers` alike. So each vote counts by the odds of its person, those
    of equally reliable people the same, and one no better than chance not at all.
    """
    weights: dict[int, float] = {}
    for answer, right in votes:
        sure = min(max(right, 1 / answers), _SUREST)
        weight = math.log(sure * (answers - 1) / (1 - sure))
        weights[answer] = weights.get(answer, 0.0) + weight
    top = max(weights.values(), default=0.0)
    odds = {answer: math.exp(weight - top) for answer, weight in weights.items()}
    total = sum(odds.values()) + max(answers - len(odds), 0) * math.exp(-top)
    return {answer: each / total for answer, each in odds.items()}


def _certain(truth: np.ndarray, certain: Mapping[int, int]) -> np.ndarray:
    for item, label in certain.items():
        truth[item] = 0
        truth[item, label] = 1
    return truth
