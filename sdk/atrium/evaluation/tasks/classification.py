"""One class out of several: images, tables, texts. Two or more classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from atrium.evaluation.resampling import Statistic
from atrium.evaluation.tasks.base import Array, Task, by_kind
from atrium.signature import Signature, TensorSpec

_BINS = 10
_POINTS = 200


@dataclass(frozen=True)
class Classes:
    """Class index by row (-1: none of the labels), and probabilities (rows, classes) if any."""

    predicted: Array
    probabilities: Array | None

    def __len__(self) -> int:
        return len(self.predicted)

    def take(self, rows: Array) -> "Classes":
        spread = self.probabilities
        return Classes(self.predicted[rows], None if spread is None else spread[rows])


class Classification(Task[Classes]):
    """Accuracy and its relatives, log loss, calibration, ROC and PR of each class."""

    name = "classification"
    main = "accuracy"
    higher_is_better = True

    def __init__(self, signature: Signature, truth: Array) -> None:
        spec = self.answers_with(signature)
        self.spec = spec or signature.outputs[0]
        self.spread = by_kind(signature.outputs, "probabilities")
        found = sorted({str(value) for value in truth})
        labels = list(self.spec.labels or [])
        self.labels = labels + [value for value in found if value not in labels]
        self.truth = np.array([self.labels.index(str(value)) for value in truth])

    @classmethod
    def answers_with(cls, signature: Signature) -> TensorSpec | None:
        return by_kind(signature.outputs, "class")

    def read(self, batches: Sequence[dict[str, Array]]) -> Classes:
        predicted = np.concatenate([self._classes(batch[self.spec.name]) for batch in batches])
        spread = None
        if self.spread is not None and all(self.spread.name in batch for batch in batches):
            spread = np.concatenate([batch[self.spread.name].astype(float) for batch in batches])
            if spread.ndim != 2 or spread.shape[1] != len(self.labels) or not np.isfinite(spread).all():
                spread = None
        return Classes(predicted, spread)

    def _classes(self, given: Array) -> Array:
        values = given.ravel()
        if self.spec.labels and values.dtype.kind in "iu":
            known = (values >= 0) & (values < len(self.spec.labels))
            return np.where(known, values, -1).astype(int)
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
        return np.array([self.labels.index(text) if text in self.labels else -1 for text in texts])

    def statistic(self, answers: Classes, rows: Array) -> Statistic:
        truth, classes = self.truth[rows], len(self.labels)
        known = np.where(answers.predicted >= 0, answers.predicted, classes)
        pairs = np.zeros((len(truth), classes * (classes + 1)))
        pairs[np.arange(len(truth)), truth * (classes + 1) + known] = 1

        def statistic(weights: Array) -> dict[str, Array]:
            counts = (weights @ pairs).reshape(len(weights), classes, classes + 1)
            found = _of_counts(counts)
            if answers.probabilities is not None:
                found |= _of_probabilities(truth, answers.probabilities, weights)
            return found

        return statistic

    def wrong(self, answers: Classes) -> Array:
        found = np.flatnonzero(answers.predicted != self.truth)
        if answers.probabilities is None:
            return found
        return found[np.argsort(-answers.probabilities[found].max(1), kind="stable")]

    def same(self, mine: Classes, other: Classes) -> Array:
        return np.asarray(mine.predicted == other.predicted)

    def errors(self, answers: Classes) -> Array:
        return (answers.predicted != self.truth).astype(float)

    def row(self, answers: Classes, row: int) -> dict[str, Any]:
        predicted = int(answers.predicted[row])
        told: dict[str, Any] = {
            "truth": self.labels[self.truth[row]],
            "answer": self.labels[predicted] if predicted >= 0 else None,
            "error": float(predicted != self.truth[row]),
        }
        if answers.probabilities is not None:
            told["confidence"] = round(float(answers.probabilities[row].max()), 4)
        return told

    def detail(self, answers: Classes) -> dict[str, Any]:
        told: dict[str, Any] = {
            "labels": self.labels,
            "confusion": confusion(self.truth, answers.predicted, len(self.labels)),
        }
        if answers.probabilities is not None:
            told["calibration"] = calibration(self.truth, answers.probabilities)
            told["curves"] = [
                {"label": label} | curves(self.truth == index, answers.probabilities[:, index])
                for index, label in enumerate(self.labels)
                if 0 < (self.truth == index).sum() < len(self.truth) and (len(self.labels) > 2 or index == 1)
            ]
        return told


def _of_counts(counts: Array) -> dict[str, Array]:
    classes = counts.shape[1]
    hits = np.einsum("kcc->kc", counts[:, :, :classes])
    actual, guessed = counts.sum(2), counts[:, :, :classes].sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(actual > 0, hits / actual, np.nan)
        precision = np.where(guessed > 0, hits / guessed, 0.0)
        f1 = np.where(actual + guessed > 0, 2 * hits / (actual + guessed), np.nan)
    return {
        "accuracy": hits.sum(1) / counts.sum((1, 2)),
        "balanced_accuracy": np.nanmean(recall, 1),
        "precision_macro": np.nanmean(np.where(actual > 0, precision, np.nan), 1),
        "recall_macro": np.nanmean(recall, 1),
        "f1_macro": np.nanmean(f1, 1),
    }


def _of_probabilities(truth: Array, probabilities: Array, weights: Array) -> dict[str, Array]:
    total = weights.sum(1)
    right = probabilities[np.arange(len(truth)), truth]
    loss = -np.log(np.clip(right, 1e-15, 1))
    one_hot = np.eye(probabilities.shape[1])[truth]
    brier = ((probabilities - one_hot) ** 2).sum(1)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.zeros(len(weights))
    for index in np.unique(bins):
        inside = bins == index
        gap += np.abs(weights[:, inside] @ (correct[inside] - confidence[inside]))
    found = {
        "log_loss": weights @ loss / total,
        "brier": weights @ brier / total,
        "calibration_error": gap / total,
    }
    if probabilities.shape[1] == 2:
        found["roc_auc"] = auc(truth == 1, probabilities[:, 1], weights)
    return found


def auc(positive: Array, score: Array, weights: Array) -> Array:
    """The area under the ROC curve for each row of weights: the weighted Mann-Whitney statistic, ties half."""
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) > 0]))
    gained = np.add.reduceat(weights[:, order] * positive[order], first, axis=1)
    lost = np.add.reduceat(weights[:, order] * ~positive[order], first, axis=1)
    below = lost.cumsum(1) - lost
    with np.errstate(divide="ignore", invalid="ignore"):
        return (gained * (below + lost / 2)).sum(1) / (gained.sum(1) * lost.sum(1))


def mcnemar(truth_mine: Array, truth_other: Array) -> dict[str, Any]:
    """Exact McNemar test on the rows that only one version got right; arrays of right (True) by row."""
    better = int((truth_mine & ~truth_other).sum())
    worse = int((~truth_mine & truth_other).sum())
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
        {
            "confidence": float(confidence[bins == i].mean()),
            "accuracy": float(correct[bins == i].mean()),
            "n": int((bins == i).sum()),
        }
        for i in range(_BINS)
        if (bins == i).any()
    ]


def curves(positive: Array, score: Array) -> dict[str, Any]:
    """`roc`: (false positive rate, true positive rate); `pr`: (recall, precision); at most 200 points each."""
    order = np.argsort(-score, kind="stable")
    hits, misses = positive[order].cumsum(), (~positive[order]).cumsum()
    keep = np.unique(np.linspace(0, len(order) - 1, _POINTS).astype(int))
    tpr, fpr = hits[keep] / max(1, hits[-1]), misses[keep] / max(1, misses[-1])
    precision = hits[keep] / (hits[keep] + misses[keep])
    return {
        "roc": [[0.0, 0.0], *([float(f), float(t)] for f, t in zip(fpr, tpr, strict=True))],
        "pr": [[float(r), float(p)] for r, p in zip(tpr, precision, strict=True)],
    }
