"""How far each person's labels can be trusted, and what a task's label is then, by Dawid and Skene (1979).

Expectation and maximisation over a confusion matrix for each person; the matrices are smoothed by one imagined
right answer for each label, so that few labels say little.
"""

from __future__ import annotations

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
    told = np.zeros((len(people), len(items), len(labels)))
    for vote in votes:
        told[at[1][vote[1]], at[0][vote[0]], at[2][vote[2]]] = 1
    certain = {
        at[0][item]: at[2][label] for item, label in (known or {}).items() if item in at[0] and label in at[2]
    }
    truth = _certain(told.sum(0) / told.sum((0, 2))[:, None], certain)
    for _round in range(ROUNDS):
        confusion = np.einsum("il,pik->plk", truth, told) + _SMOOTHING * np.eye(len(labels)) + 1e-3
        confusion /= confusion.sum(2, keepdims=True)
        prior = truth.mean(0) + 1e-9
        weight = np.log(prior) + np.einsum("pik,plk->il", told, np.log(confusion))
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


def _certain(truth: np.ndarray, certain: Mapping[int, int]) -> np.ndarray:
    for item, label in certain.items():
        truth[item] = 0
        truth[item, label] = 1
    return truth
