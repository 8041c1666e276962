"""Quality figures with 95 % intervals by the percentile bootstrap over rows (Efron and Tibshirani, 1993).

All resamplings are multinomial weights of the same rows, so that figures of two versions on the same rows are
compared pairwise, and each figure is a function of weighted counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

Array = NDArray[Any]
RESAMPLINGS = 1000
_CHUNK = 100
_BINS = 10


@dataclass(frozen=True)
class Answers:
    """What a version said: class index by row (-1: none of the labels), and probabilities (rows, classes) if any."""

    predicted: Array
    probabilities: Array | None


def _weights(rows: int, seed: int = 20260101) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    even = np.full(rows, 1 / rows)
    yield np.ones((1, rows))
    for _ in range(0, RESAMPLINGS, _CHUNK):
        yield rng.multinomial(rows, even, size=_CHUNK).astype(float)


Statistic = Callable[[Array], dict[str, Array]]


def estimate(rows: int, statistic: Statistic) -> dict[str, dict[str, Any]]:
    """Figures of a statistic that maps weights (k, rows) to values (k,) by name. NaN resamplings are left out."""
    parts = [statistic(weights) for weights in _weights(rows)]
    figures = {}
    for name, first in parts[0].items():
        spread = np.concatenate([part[name] for part in parts[1:]])
        spread = spread[np.isfinite(spread)]
        low, high = np.percentile(spread, [2.5, 97.5]) if len(spread) > RESAMPLINGS // 2 else (np.nan, np.nan)
        figures[name] = {"value": _number(first[0]), "low": _number(low), "high": _number(high), "n": rows}
    return figures


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def classification(truth: Array, answers: Answers, classes: int) -> Statistic:
    """Accuracy, balanced accuracy, macro precision, recall and F1, log loss, calibration error (ECE, 10 bins)."""
    known = np.where(answers.predicted >= 0, answers.predicted, classes)
    pairs = np.zeros((len(truth), classes * (classes + 1)))
    pairs[np.arange(len(truth)), truth * (classes + 1) + known] = 1

    def statistic(weights: Array) -> dict[str, Array]:
        counts = (weights @ pairs).reshape(len(weights), classes, classes + 1)
        hits = np.einsum("kcc->kc", counts[:, :, :classes])
        actual, guessed = counts.sum(2), counts[:, :, :classes].sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = np.where(actual > 0, hits / actual, np.nan)
            precision = np.where(guessed > 0, hits / guessed, 0.0)
            both = actual + guessed
            f1 = np.where(both > 0, 2 * hits / both, np.nan)
        found = {
            "accuracy": hits.sum(1) / weights.sum(1),
            "balanced_accuracy": np.nanmean(recall, 1),
            "precision_macro": np.nanmean(np.where(actual > 0, precision, np.nan), 1),
            "recall_macro": np.nanmean(recall, 1),
            "f1_macro": np.nanmean(f1, 1),
        }
        if answers.probabilities is not None:
            found |= _of_probabilities(truth, answers.probabilities, weights)
        return found

    return statistic


def _of_probabilities(truth: Array, probabilities: Array, weights: Array) -> dict[str, Array]:
    total = weights.sum(1)
    loss = -np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, 1))
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.zeros(len(weights))
    for index in range(_BINS):
        inside = bins == index
        gap += np.abs(weights[:, inside] @ (correct[inside] - confidence[inside]))
    found = {"log_loss": weights @ loss / total, "calibration_error": gap / total}
    if probabilities.shape[1] == 2:
        found["roc_auc"] = np.array([_auc(truth, probabilities[:, 1], row) for row in weights])
    return found


def _auc(truth: Array, score: Array, weight: Array) -> float:
    if len(np.unique(truth[weight > 0])) < 2:
        return float("nan")
    return float(roc_auc_score(truth, score, sample_weight=weight))


def difference(mine: Statistic, other: Statistic) -> Statistic:
    """Candidate minus production, on the same resampled rows."""

    def statistic(weights: Array) -> dict[str, Array]:
        left, right = mine(weights), other(weights)
        return {name: left[name] - right[name] for name in left if name in right}

    return statistic


def mcnemar(truth: Array, mine: Array, other: Array) -> dict[str, Any]:
    """Exact McNemar test on the rows that only one version got right."""
    better = int(((mine == truth) & (other != truth)).sum())
    worse = int(((mine != truth) & (other == truth)).sum())
    p = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return {"only_candidate_right": better, "only_production_right": worse, "p_value": p}


def confusion(truth: Array, predicted: Array, classes: int) -> list[list[int]]:
    """Rows: the truth; columns: the answer; the last column counts answers that are no known class."""
    counts = np.zeros((classes, classes + 1), int)
    np.add.at(counts, (truth, np.where(predicted >= 0, predicted, classes)), 1)
    return [[int(n) for n in row] for row in counts]


def calibration(truth: Array, probabilities: Array) -> list[dict[str, Any]]:
    """Per bin of confidence: how sure the version was, how often it was right, and on how many rows."""
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        {"confidence": float(confidence[bins == i].mean()), "accuracy": float(correct[bins == i].mean()),
         "n": int((bins == i).sum())}
        for i in range(_BINS)
        if (bins == i).any()
    ]  # fmt: skip


def roc(truth: Array, probabilities: Array) -> list[list[float]]:
    """Points (false positive rate, true positive rate) of a two-class version, at most 200."""
    order = np.argsort(-probabilities[:, 1], kind="stable")
    positive = truth[order] == 1
    tpr = np.concatenate([[0], positive.cumsum() / max(1, positive.sum())])
    fpr = np.concatenate([[0], (~positive).cumsum() / max(1, (~positive).sum())])
    keep = np.unique(np.linspace(0, len(tpr) - 1, 200).astype(int))
    return [[float(fpr[i]), float(tpr[i])] for i in keep]
