"""The next values of a series. The truth is a JSON list in one cell, as long as the answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrium.evaluation.resampling import Statistic
from atrium.evaluation.table import UnusableTable
from atrium.evaluation.tasks.base import Array, Task, by_kind
from atrium.signature import Signature, TensorSpec

_SHOWN = 12


@dataclass(frozen=True)
class Series:
    """(rows, horizon)."""

    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> "Series":
        return Series(self.values[rows])


class Forecasting(Task[Series]):
    """MAE and RMSE over all steps, and sMAPE (Makridakis, 1993; 0 to 2)."""

    name = "forecasting"
    main = "mae"
    higher_is_better = False

    def __init__(self, signature: Signature, truth: Array) -> None:
        self.spec = self.answers_with(signature) or signature.outputs[0]
        self.truth = np.array(_lists(truth), dtype=float)

    @classmethod
    def answers_with(cls, signature: Signature) -> TensorSpec | None:
        return by_kind(signature.outputs, "series")

    def read(self, batches: Sequence[dict[str, Array]]) -> Series:
        values = np.concatenate([batch[self.spec.name].astype(float) for batch in batches])
        values = values.reshape(len(values), -1)
        if values.shape[1] != self.truth.shape[1]:
            raise UnusableTable(
                f"the version answers {values.shape[1]} steps, the data set has {self.truth.shape[1]}"
            )
        return Series(values)

    def statistic(self, answers: Series, rows: Array) -> Statistic:
        truth = self.truth[rows]
        off = answers.values - truth
        size = np.abs(answers.values) + np.abs(truth)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(size > 0, 2 * np.abs(off) / size, 0.0).mean(1)
        absolute, square, drift = np.abs(off).mean(1), (off**2).mean(1), off.mean(1)

        def statistic(weights: Array) -> dict[str, Array]:
            total = weights.sum(1)
            return {
                "mae": weights @ absolute / total,
                "rmse": np.sqrt(weights @ square / total),
                "bias": weights @ drift / total,
                "smape": weights @ relative / total,
            }

        return statistic

    def wrong(self, answers: Series) -> Array:
        return np.argsort(-self.errors(answers), kind="stable")

    def same(self, mine: Series, other: Series) -> Array:
        return np.asarray(np.isclose(mine.values, other.values, rtol=1e-6, atol=1e-9).all(1))

    def errors(self, answers: Series) -> Array:
        off = np.abs(answers.values - self.truth).mean(1)
        return np.where(np.isfinite(off), off, np.inf)

    def row(self, answers: Series, row: int) -> dict[str, Any]:
        off = self.errors(answers)[row]
        values = answers.values[row]
        return {
            "truth": [round(float(v), 6) for v in self.truth[row]],
            "answer": [round(float(v), 6) for v in values] if np.isfinite(values).all() else None,
            "error": float(off) if np.isfinite(off) else None,
        }

    def detail(self, answers: Series) -> dict[str, Any]:
        finite = np.isfinite(answers.values).all(1)
        off = np.abs(answers.values - self.truth)[finite]
        shown = self.wrong(answers)[:_SHOWN]
        return {
            "by_step": [float(v) for v in off.mean(0)] if len(off) else [],
            "worst": [{"row": int(row)} | self.row(answers, int(row)) for row in shown],
        }


def _lists(truth: Array) -> list[list[float]]:
    found: list[list[float]] = []
    for row, cell in enumerate(truth.tolist()):
        try:
            values = [float(value) for value in json.loads(cell)]
        except (TypeError, ValueError) as error:
            raise UnusableTable(
                f"the right answer of row {row} must be a list of numbers like [1, 2.5], got {cell!r}"
            ) from error
        if found and len(values) != len(found[0]):
            raise UnusableTable(f"row {row} has {len(values)} steps, row 0 has {len(found[0])}")
        found.append(values)
    return found
