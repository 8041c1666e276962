"""How far people agree: Krippendorff's alpha for nominal labels, with an interval by resampling the items.

Source: Krippendorff, "Content Analysis" (2004); the coefficient itself comes from the `krippendorff` package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from apps.core.later import later

if TYPE_CHECKING:
    import krippendorff
    import numpy as np
else:
    krippendorff, np = later("krippendorff"), later("numpy")

RESAMPLINGS = 400


@dataclass(frozen=True)
class Agreement:
    """Alpha with its 95 % interval over `items` items with two or more labels; None where it is not defined.

    `raw` is the share of pairs that agree. With one single label everywhere alpha is undefined and raw speaks.
    """

    alpha: float | None
    low: float | None
    high: float | None
    raw: float | None
    items: int


def agreement(votes: Sequence[Sequence[str]]) -> Agreement:
    """Agreement over items, each the list of labels that people gave to it."""
    several = [labels for labels in votes if len(labels) > 1]
    if not several:
        return Agreement(None, None, None, None, 0)
    return _of(_counts(several), _drawn(len(several)))


def _of(counts: np.ndarray, drawn: np.ndarray) -> Agreement:
    alpha = _alpha(counts)
    known = _spread(counts, drawn)
    low, high = np.percentile(known, [2.5, 97.5]) if alpha is not None and len(known) else (None, None)
    return Agreement(alpha, _float(low), _float(high), _raw(counts), len(counts))


def _counts(several: Sequence[Sequence[str]]) -> np.ndarray:
    """How often each label was given to each item."""
    column = {label: number for number, label in enumerate(sorted({x for labels in several for x in labels}))}
    counts = np.zeros((len(several), len(column)), dtype=int)
    rows = np.repeat(np.arange(len(several)), [len(labels) for labels in several])
    columns = np.array([column[label] for labels in several for label in labels])
    np.add.at(counts, (rows, columns), 1)
    return counts


def by_label(votes: Sequence[Sequence[str]]) -> dict[str, Agreement]:
    """Agreement on each label against all others; most disagreement first."""
    several = [labels for labels in votes if len(labels) > 1]
    if not several:
        return {}
    labels = sorted({label for item in several for label in item})
    counts, drawn = _counts(several), _drawn(len(several))
    people = counts.sum(1)
    found = {
        label: _of(np.stack([counts[:, at], people - counts[:, at]], 1), drawn)
        for at, label in enumerate(labels)
    }
    return dict(sorted(found.items(), key=lambda entry: entry[1].raw or 0))


def by_pair(votes: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], Agreement]:
    """Agreement of each two people, over items as {person: label}; most disagreement first."""
    pairs: dict[tuple[str, str], list[list[str]]] = {}
    for item in votes:
        for one, other in combinations(sorted(item), 2):
            pairs.setdefault((one, other), []).append([item[one], item[other]])
    found = {pair: agreement(rows) for pair, rows in pairs.items()}
    return dict(sorted(found.items(), key=lambda entry: entry[1].raw or 0))


def likeness(votes: Sequence[Sequence[Any]], alike: Callable[[Any, Any], float]) -> Agreement:
    """How alike the values of two people are on average, over items of two values or more; no alpha for regions."""
    several = [values for values in votes if len(values) > 1]
    if not several:
        return Agreement(None, None, None, None, 0)
    means = [np.mean([alike(a, b) for a, b in combinations(values, 2)]) for values in several]
    return Agreement(None, None, None, float(np.mean(means)), len(several))


def _drawn(items: int) -> np.ndarray:
    """How often each item is in each of the drawings, the same for as many items."""
    rng = np.random.default_rng(20260101)
    drawings = (np.bincount(rng.integers(0, items, items), minlength=items) for _ in range(RESAMPLINGS))
    return np.stack(list(drawings)).astype(float)


def _spread(counts: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Alpha of items drawn anew, where it is defined: all drawings at once, as sums of what each item adds.

    Alpha is 1 - (n - 1) (n - o) / (n² - Σ n_k²) with n values, n_k of each label, and o the pairs of one label within
    items, each by one less than its item's values.
    """
    people = counts.sum(1)
    of_label, alike = drawn @ counts, drawn @ ((counts * (counts - 1)).sum(1) / (people - 1))
    values = drawn @ people
    apart = values**2 - (of_label**2).sum(1)
    defined = (of_label > 0).sum(1) > 1
    return np.asarray(
        1 - (values[defined] - 1) * (values[defined] - alike[defined]) / apart[defined], dtype=float
    )


def _alpha(counts: np.ndarray) -> float | None:
    if (counts.sum(0) > 0).sum() < 2:
        return None
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def _raw(counts: np.ndarray) -> float:
    people = counts.sum(1)
    agreeing = (counts * (counts - 1)).sum(1) / (people * (people - 1))
    return float(agreeing.mean())


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def majority(labels: Sequence[str]) -> str | None:
    """The label of more than half of the votes, or None."""
    if not labels:
        return None
    label, votes = Counter(labels).most_common(1)[0]
    return label if votes * 2 > len(labels) else None
