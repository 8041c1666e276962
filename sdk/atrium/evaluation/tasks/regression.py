"""One number a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrium.evaluation.resampling import Statistic
from atrium.evaluation.tasks.base import Array, Task, by_kind, numbers
from atrium.signature import Signature, TensorSpec

_POINTS = 500


@dataclass(frozen=True)
class Values:
    """A number by row."""

    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> "Values":
        return Values(self.values[rows])


class Regression(Task[Values]):
    """RMSE, MAE, bias and R². A row is worth a look by how far its answer lies from the truth."""

    name = "regression"
    main = "mae"
    higher_is_better = False

    def __init__(self, signature: Signature, truth: Array) -> None:
        self.spec = self.answers_with(signature) or signature.outputs[0]
        self.truth = numbers(truth)

    @classmethod
    def answers_with(cls, signature: Signature) -> TensorSpec | None:
        return by_kind(signature.outputs, "value", "number")

    def read(self, batches: Sequence[dict[str, Array]]) -> Values:
        return Values(np.concatenate([batch[self.spec.name].astype(float).ravel() for batch in batches]))

    def statistic(self, answers: Values, rows: Array) -> Statistic:
        truth = self.truth[rows]
        off = answers.values - truth
        square = off**2

        def statistic(weights: Array) -> dict[str, Array]:
            total = weights.sum(1)
            mean = weights @ truth / total
            spread = weights @ truth**2 / total - mean**2
            mse = weights @ square / total
            with np.errstate(divide="ignore", invalid="ignore"):
                r2 = np.where(spread > 0, 1 - mse / spread, np.nan)
            return {
                "mae": weights @ np.abs(off) / total,
                "rmse": np.sqrt(mse),
                "bias": weights @ off / total,
                "r2": r2,
            }

        return statistic

    def wrong(self, answers: Values) -> Array:
        return np.argsort(-self.errors(answers), kind="stable")

    def same(self, mine: Values, other: Values) -> Array:
        return np.isclose(mine.values, other.values, rtol=1e-6, atol=1e-9)

    def errors(self, answers: Values) -> Array:
        off = np.abs(answers.values - self.truth)
        return np.where(np.isfinite(off), off, np.inf)

    def row(self, answers: Values, row: int) -> dict[str, Any]:
        value = float(answers.values[row])
        finite = bool(np.isfinite(value))
        return {
            "truth": float(self.truth[row]),
            "answer": value if finite else None,
            "error": abs(value - float(self.truth[row])) if finite else None,
        }

    def detail(self, answers: Values) -> dict[str, Any]:
        keep = np.unique(np.linspace(0, len(self.truth) - 1, _POINTS).astype(int))
        keep = keep[np.isfinite(answers.values[keep])]
        points = [[float(self.truth[i]), float(answers.values[i]), int(i)] for i in keep]
        off = (answers.values - self.truth)[np.isfinite(answers.values)]
        counts, edges = np.histogram(off, bins=30)
        return {"points": points, "residuals": {"histogram": counts.tolist(), "edges": edges.tolist()}}
