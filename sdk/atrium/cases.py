"""Shipped cases: run them, and say per output how far two answers lie apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from atrium.oip.arrays import Array, to_array
from atrium.package import Case
from atrium.told import tell


class Model(Protocol):
    """A loaded model: arrays by input name in, arrays by output name out."""

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]: ...


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case went; `difference` is the largest one over its outputs."""

    name: str
    passed: bool
    difference: float
    message: str

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        if not math.isfinite(self.difference):
            document["difference"] = None
        return document


def run_case(model: Model, case: Case) -> CaseResult:
    """Run one case; whatever the model raises becomes the message."""
    try:
        answers = model.predict({tensor.name: to_array(tensor) for tensor in case.inputs})
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
        return CaseResult(case.name, False, math.inf, tell("the model raised %(error)s", error=raised))
    worst = 0.0
    for tensor in case.expected:
        if tensor.name not in answers:
            message = tell("output '%(name)s' is missing in the answer", name=tensor.name)
            return CaseResult(case.name, False, math.inf, message)
        expected = to_array(tensor)
        distance = difference(expected, np.asarray(answers[tensor.name]))
        worst = max(worst, distance)
        if distance > case.tolerance:
            return CaseResult(case.name, False, distance, _mismatch(tensor.name, distance, case.tolerance))
    return CaseResult(case.name, True, worst, "")


def _mismatch(name: str, distance: float, tolerance: float) -> str:
    if math.isinf(distance):
        return tell("output '%(name)s' has another value or shape than expected", name=name)
    return tell(
        "output '%(name)s' differs by %(apart)s, more than the tolerance %(tolerance)s",
        name=name,
        apart=f"{distance:.3g}",
        tolerance=f"{tolerance:g}",
    )


def run_cases(model: Model, cases: Sequence[Case]) -> list[CaseResult]:
    return [run_case(model, case) for case in cases]


def difference(left: Array, right: Array) -> float:
    """The largest absolute difference; infinite when shapes or non-numeric values differ; NaN equals NaN."""
    if left.shape != right.shape:
        return math.inf
    if left.size == 0:
        return 0.0
    if left.dtype.kind in "OUSb" or right.dtype.kind in "OUSb":
        same = [
            _text(a) == _text(b) for a, b in zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
        ]
        return 0.0 if all(same) else math.inf
    first, second = left.astype(np.float64), right.astype(np.float64)
    apart = np.abs(first - second)
    apart[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    worst = float(apart.max())
    return math.inf if math.isnan(worst) else worst


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
