"""Labelled places in a text. Truth and answers are JSON lists of {"start", "end", "label"} in one cell."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrium.evaluation.resampling import Statistic
from atrium.evaluation.table import UnusableTable
from atrium.evaluation.tasks.base import Array, Task, by_kind
from atrium.signature import Signature, TensorSpec

Span = tuple[int, int, str]


@dataclass(frozen=True)
class Places:
    """A set of spans by row; None where the answer was no list of spans."""

    places: list[frozenset[Span] | None]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Array) -> "Places":
        return Places([self.places[int(row)] for row in rows])


class TextSpans(Task[Places]):
    """Exact-match precision, recall and F1 over all spans (as CoNLL does), and the share of rows all right."""

    name = "text_spans"
    main = "span_f1"
    higher_is_better = True

    def __init__(self, signature: Signature, truth: Array) -> None:
        self.spec = self.answers_with(signature) or signature.outputs[0]
        read = [_read(cell) for cell in truth.tolist()]
        bad = next((row for row, spans in enumerate(read) if spans is None), None)
        if bad is not None:
            raise UnusableTable(
                f'the right answer of row {bad} must be like [{{"start": 0, "end": 4, "label": "site"}}], '
                f"got {truth[bad]!r}"
            )
        self.truth: list[frozenset[Span]] = [spans for spans in read if spans is not None]
        self.labels = sorted({label for spans in self.truth for _start, _end, label in spans})

    @classmethod
    def answers_with(cls, signature: Signature) -> TensorSpec | None:
        return by_kind(signature.outputs, "spans")

    def read(self, batches: Sequence[dict[str, Array]]) -> Places:
        return Places([_read(cell) for batch in batches for cell in batch[self.spec.name].ravel().tolist()])

    def statistic(self, answers: Places, rows: Array) -> Statistic:
        truth = [self.truth[int(row)] for row in rows]
        given = [spans or frozenset() for spans in answers.places]
        hits = np.array([len(a & b) for a, b in zip(truth, given, strict=True)], float)
        actual = np.array([len(spans) for spans in truth], float)
        guessed = np.array([len(spans) for spans in given], float)
        whole = np.array([a == b for a, b in zip(truth, answers.places, strict=True)], float)

        def statistic(weights: Array) -> dict[str, Array]:
            found, there, said = weights @ hits, weights @ actual, weights @ guessed
            with np.errstate(divide="ignore", invalid="ignore"):
                return {
                    "span_f1": 2 * found / (there + said),
                    "span_precision": found / said,
                    "span_recall": found / there,
                    "rows_right": weights @ whole / weights.sum(1),
                }

        return statistic

    def wrong(self, answers: Places) -> Array:
        errors = self.errors(answers)
        return np.argsort(-errors, kind="stable")[: int((errors > 0).sum())]

    def same(self, mine: Places, other: Places) -> Array:
        return np.array([a == b for a, b in zip(mine.places, other.places, strict=True)])

    def errors(self, answers: Places) -> Array:
        return np.array([_apart(a, b) for a, b in zip(self.truth, answers.places, strict=True)], float)

    def row(self, answers: Places, row: int) -> dict[str, Any]:
        spans = answers.places[row]
        return {
            "truth": _told(self.truth[row]),
            "answer": None if spans is None else _told(spans),
            "error": float(_apart(self.truth[row], spans)),
        }

    def detail(self, answers: Places) -> dict[str, Any]:
        told = []
        for label in self.labels:
            of_truth = [{s for s in spans if s[2] == label} for spans in self.truth]
            of_given = [{s for s in spans or () if s[2] == label} for spans in answers.places]
            hits = sum(len(a & b) for a, b in zip(of_truth, of_given, strict=True))
            there, said = sum(map(len, of_truth)), sum(map(len, of_given))
            told.append(
                {
                    "label": label,
                    "n": there,
                    "precision": hits / said if said else None,
                    "recall": hits / there,
                }
            )
        return {"by_label": told}


def _apart(truth: frozenset[Span], given: frozenset[Span] | None) -> int:
    """Spans that only one of the two has; an answer that is no list counts as one more."""
    return len(truth) + 1 if given is None else len(truth ^ given)


def _read(cell: Any) -> frozenset[Span] | None:
    try:
        entries = json.loads(cell)
        return frozenset((int(e["start"]), int(e["end"]), str(e["label"])) for e in entries)
    except (TypeError, ValueError, KeyError):
        return None


def _told(spans: frozenset[Span]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label} for start, end, label in sorted(spans)]
