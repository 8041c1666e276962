"""Gates: what the figures of an evaluation must reach. Pure computation on numbers.

A figure is `{"value", "low", "high", "n", "unit"?}`: the estimate, its 95 % interval and the rows behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a gate, and a whole report, says."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


HIGHER_IS_BETTER = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "precision_macro",
        "recall_macro",
        "roc_auc",
        "r2",
        "throughput",
    }
)
LOWER_IS_BETTER = frozenset(
    {"log_loss", "calibration_error", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "memory_mb", "rmse",
     "mae", "cold_start_s", "error_rate", "cases_failed", "robustness_noise_drop", "package_mb"}
)  # fmt: skip
METRICS = HIGHER_IS_BETTER | LOWER_IS_BETTER


@dataclass(frozen=True)
class Gate:
    """One condition: the figure `metric` (of `slice`, or overall) against `threshold`, in the metric's direction.

    `relative` compares the difference to the production version: the candidate may be worse by `threshold` at
    most. `certain` asks that the whole interval is on the good side, else the estimate decides. Fewer rows than
    `at_least` never pass.
    """

    metric: str
    threshold: float
    slice: str = ""
    relative: bool = False
    certain: bool = False
    at_least: int = 1

    @property
    def higher_is_better(self) -> bool:
        return self.metric in HIGHER_IS_BETTER

    def words(self) -> str:
        """The condition as a reader would say it."""
        subject = f"{self.metric} of {self.slice}" if self.slice else self.metric
        if self.relative:
            return f"{subject} no more than {self.threshold:g} worse than in production"
        return f"{subject} {'≥' if self.higher_is_better else '≤'} {self.threshold:g}"


@dataclass(frozen=True)
class Result:
    """What one gate found."""

    gate: Gate
    verdict: Verdict
    reason: str
    figure: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "gate": asdict(self.gate),
            "words": self.gate.words(),
            "verdict": str(self.verdict),
            "reason": self.reason,
            "figure": dict(self.figure),
        }


def read_gates(items: Any) -> tuple[list[Gate], list[str]]:
    """Gates from JSON, with everything that is wrong with them, in words."""
    if not isinstance(items, list):
        return [], ["gates must be a list"]
    gates, problems = [], []
    for number, item in enumerate(items, 1):
        try:
            gate = Gate(**item)
            gate = Gate(**asdict(gate) | {"threshold": float(gate.threshold), "at_least": int(gate.at_least)})
        except (TypeError, ValueError) as error:
            problems.append(f"gate {number}: {error}")
            continue
        gates.append(gate)
        problems += [f"gate {number}: {problem}" for problem in _impossible(gate)]
    return gates, problems + _contradictions(gates)


def _impossible(gate: Gate) -> list[str]:
    problems = []
    if gate.metric not in METRICS:
        problems.append(f"there is no metric “{gate.metric}”; choose one of {', '.join(sorted(METRICS))}")
    bounded = gate.metric in HIGHER_IS_BETTER - {"throughput"}
    if bounded and not gate.relative and gate.threshold > 1:
        problems.append(f"{gate.metric} never exceeds 1, so ≥ {gate.threshold:g} cannot be met")
    if gate.metric in LOWER_IS_BETTER and not gate.relative and gate.threshold < 0:
        problems.append(f"{gate.metric} is never negative, so ≤ {gate.threshold:g} cannot be met")
    if gate.at_least < 1:
        problems.append("at_least must be 1 or more: no rows are no evidence")
    return problems


def _contradictions(gates: Sequence[Gate]) -> list[str]:
    seen: set[tuple[str, str, bool]] = set()
    problems = []
    for gate in gates:
        key = (gate.metric, gate.slice, gate.relative)
        if key in seen:
            problems.append(
                f"{gate.words()}: there is another gate on the same figure; keep the stricter one"
            )
        seen.add(key)
    return problems


def judge(gate: Gate, figures: Mapping[str, Any], differences: Mapping[str, Any] | None) -> Result:
    """Judge one gate. `figures` maps a metric, or `<slice>/<metric>`, to its figure; `differences` likewise.

    `differences` holds candidate minus production on the same rows; None when nothing is in production, and a
    relative gate then passes: there is nothing to be worse than.
    """
    name = f"{gate.slice}/{gate.metric}" if gate.slice else gate.metric
    if gate.relative and differences is None:
        return Result(gate, Verdict.PASSED, "nothing is in production to compare with")
    found = (differences or {}) if gate.relative else figures
    figure = found.get(name)
    if figure is None or figure.get("value") is None:
        return Result(gate, Verdict.UNDECIDED, f"the evaluation gave no {name}")
    rows = int(figure.get("n", 0))
    if rows < gate.at_least:
        reason = f"{rows} rows, at least {gate.at_least} are needed"
        return Result(gate, Verdict.UNDECIDED, reason, figure)
    return _decide(gate, figure)


def _decide(gate: Gate, figure: Mapping[str, Any]) -> Result:
    sign = 1.0 if gate.higher_is_better else -1.0
    limit = -gate.threshold if gate.relative else sign * gate.threshold
    value = sign * float(figure["value"])
    ends = [sign * float(figure.get(end, figure["value"])) for end in ("low", "high")]
    shown = f"{float(figure['value']):.4g}"
    if not gate.certain:
        verdict = Verdict.PASSED if value >= limit else Verdict.FAILED
        return Result(
            gate, verdict, f"{shown} ({'meets' if value >= limit else 'misses'} the threshold)", figure
        )
    if min(ends) >= limit:
        return Result(gate, Verdict.PASSED, f"{shown}, and the whole interval meets the threshold", figure)
    if max(ends) < limit:
        return Result(gate, Verdict.FAILED, f"{shown}, and the whole interval misses the threshold", figure)
    return Result(
        gate, Verdict.UNDECIDED, f"{shown}, but the interval crosses the threshold: more rows decide", figure
    )


def judge_all(
    gates: Sequence[Gate], figures: Mapping[str, Any], differences: Mapping[str, Any] | None
) -> tuple[Verdict, list[Result]]:
    """All gates; one failed fails the whole, else one undecided leaves it undecided. No gates decide nothing."""
    results = [judge(gate, figures, differences) for gate in gates]
    verdicts = {result.verdict for result in results}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED, results
    if Verdict.UNDECIDED in verdicts or not results:
        return Verdict.UNDECIDED, results
    return Verdict.PASSED, results
