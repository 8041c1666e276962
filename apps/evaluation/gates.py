"""Gates: what the figures of an evaluation must reach. Pure computation on numbers; words are the reader's.

A figure is `{"value", "low", "high", "n", "unit"?}`: the estimate, its 95 % interval and the rows behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _


class Verdict(StrEnum):
    """What a gate, and a whole report, says."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


_HIGHER_BY_TASK = {
    "classification": frozenset(
        {"accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "roc_auc"}
    ),
    "regression": frozenset({"r2"}),
    "forecasting": frozenset[str](),
    "text_spans": frozenset({"span_f1", "span_precision", "span_recall", "rows_right"}),
}
_LOWER_BY_TASK = {
    "classification": frozenset({"log_loss", "brier", "calibration_error"}),
    "regression": frozenset({"mae", "rmse", "bias"}),
    "forecasting": frozenset({"mae", "rmse", "bias", "smape"}),
    "text_spans": frozenset[str](),
}
TASKS = tuple(_HIGHER_BY_TASK)
METRICS_BY_TASK = {task: _HIGHER_BY_TASK[task] | _LOWER_BY_TASK[task] for task in TASKS}
_SERVING_LOWER = frozenset(
    {"latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "memory_mb", "cpu_ms_per_call", "cold_start_s",
     "cases_failed", "robustness_noise_drop", "robustness_missing_drop", "robustness_permuted_drop",
     "robustness_typos_drop", "robustness_words_drop", "robustness_case_drop",
     "package_mb", "fairness_gap", "robustness_failed", "parity_failed"}
)  # fmt: skip
HIGHER_IS_BETTER = frozenset[str]().union(*_HIGHER_BY_TASK.values()) | {"throughput"}
LOWER_IS_BETTER = frozenset[str]().union(*_LOWER_BY_TASK.values()) | _SERVING_LOWER
METRICS = HIGHER_IS_BETTER | LOWER_IS_BETTER
_DROPS_OF_NUMBERS = frozenset(
    {"robustness_noise_drop", "robustness_missing_drop", "robustness_permuted_drop"}
)
_DROPS_OF_TEXTS = frozenset({"robustness_typos_drop", "robustness_words_drop", "robustness_case_drop"})
_DROPS = _DROPS_OF_NUMBERS | _DROPS_OF_TEXTS
_ONE_FIGURE = frozenset({"memory_mb", "package_mb", "cold_start_s"})
_QUALITY = frozenset[str]().union(*METRICS_BY_TASK.values())
OWN = "score:"
#: As many calls as the job times, and as many checks of spoiled inputs as it makes.
LATENCY_CALLS = 300
ROBUSTNESS_CHECKS = 7


@dataclass(frozen=True)
class Gate:
    """One condition: the figure `metric` (of `slice`, or overall) against `threshold`, in the metric's direction.

    `relative` compares the difference to the production version: the candidate may be worse by `threshold` at
    most. `certain` asks that the whole interval is on the good side, else the estimate decides. Fewer rows than
    `at_least` never pass. `better` says which way is better for `score:<name>`, a figure of the suite's own scorer.
    """

    metric: str
    threshold: float
    slice: str = ""
    relative: bool = False
    certain: bool = False
    at_least: int = 1
    better: str = ""

    @property
    def higher_is_better(self) -> bool:
        return self.better == "higher" if self.better else self.metric in HIGHER_IS_BETTER

    @property
    def absolute(self) -> bool:
        """A bias is bad in both directions: its size is what counts."""
        return self.metric == "bias" and not self.relative

    def words(self) -> str:
        """The condition as a reader would say it."""
        told = {"metric": self.metric, "slice": self.slice}
        subject = _("%(metric)s of %(slice)s") % told if self.slice else self.metric
        if self.relative:
            worse = {"subject": subject, "threshold": f"{self.threshold:g}"}
            return _("%(subject)s no more than %(threshold)s worse than in production") % worse
        return f"{subject} {'≥' if self.higher_is_better else '≤'} {self.threshold:g}"


@dataclass(frozen=True)
class Asked:
    """What a suite asks, as far as it is known; None: not yet.

    `counts` maps the columns that it slices and groups by to the rows of each value. `classes` are the right answers
    that there are. `version` is the number of the newest packaged one; `columns` are the numbers of its first numeric
    input, 0 where all inputs are texts; `fixtures` is what it ships to compare features with.
    """

    rows: int | None
    counts: Mapping[str, Mapping[str, int]]
    groups: Sequence[str] = ()
    classes: int | None = None
    version: str = ""
    columns: int | None = None
    fixtures: int | None = None


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


def read_gates(items: Any, task: str = "", *, own_scorer: bool = False) -> tuple[list[Gate], list[str]]:
    """Gates from JSON, with everything that is wrong with them, in words. `task` says which metrics there are."""
    if not isinstance(items, list):
        return [], [_("gates must be a list")]
    gates, problems = [], []
    for number, item in enumerate(items, 1):
        try:
            _check_types(item)
            gate = Gate(**item)
            gate = Gate(**asdict(gate) | {"threshold": float(gate.threshold), "at_least": int(gate.at_least)})
        except (TypeError, ValueError) as error:
            problems.append(_("gate %(number)d: %(why)s") % {"number": number, "why": error})
            continue
        gates.append(gate)
        problems += [
            _("gate %(number)d: %(why)s") % {"number": number, "why": problem}
            for problem in _impossible(gate, task, own_scorer)
        ]
    return gates, problems + _contradictions(gates) + ([] if task else _of_several_tasks(gates))


def _check_types(item: Any) -> None:
    """Gates are kept as they were sent, so a number that is written as a text would be one when it is judged, too."""
    if not isinstance(item, Mapping):
        raise TypeError(_("a gate is an object with metric and threshold"))
    kinds: dict[str, tuple[type, ...]] = {
        "metric": (str,), "slice": (str,), "better": (str,), "threshold": (int, float), "at_least": (int,),
        "relative": (bool,), "certain": (bool,),
    }  # fmt: skip
    for name, kind in kinds.items():
        value = item.get(name)
        flag = isinstance(value, bool) and bool not in kind
        if name in item and (flag or not isinstance(value, kind)):
            raise TypeError(_("%(name)s cannot be %(value)r") % {"name": name, "value": value})


def _of_several_tasks(gates: Sequence[Gate]) -> list[str]:
    """A version answers one task, so gates that no task has together cannot be met together."""
    fitting = set(TASKS)
    for gate in gates:
        its = {name for name in TASKS if gate.metric in METRICS_BY_TASK[name]} or set(TASKS)
        if not fitting & its:
            words = _("%(gate)s: is a figure of %(its)s, and the gates before it are of %(task)s")
            told = {"gate": gate.words(), "its": ", ".join(sorted(its)), "task": ", ".join(sorted(fitting))}
            return [words % told]
        fitting &= its
    return []


def _impossible(gate: Gate, task: str, own_scorer: bool) -> list[str]:
    if gate.at_least < 1:
        return [_("at_least must be 1 or more: no rows are no evidence")]
    if (problem := _never_measured(gate)) is not None:
        return [problem]
    if gate.metric.startswith(OWN):
        return _impossible_score(gate, own_scorer)
    if gate.better:
        words = _("%(metric)s has its direction; “better” is for figures of the suite's own scorer")
        return [words % {"metric": gate.metric}]
    if gate.metric == "robustness_words_drop" and task == "text_spans":
        words = _("%(metric)s is not measured of places in a text: a place that is left out cannot be found")
        return [words % {"metric": gate.metric}]
    known = METRICS - _QUALITY | METRICS_BY_TASK.get(task, METRICS)
    if gate.metric not in known:
        words = _("there is no metric “%(metric)s”; choose one of %(known)s")
        return [words % {"metric": gate.metric, "known": ", ".join(sorted(known))}]
    bounded = gate.metric in HIGHER_IS_BETTER - {"throughput"}
    if bounded and not gate.relative and gate.threshold > 1:
        words = _("%(metric)s never exceeds 1, so ≥ %(threshold)s cannot be met")
        return [words % {"metric": gate.metric, "threshold": f"{gate.threshold:g}"}]
    if gate.metric in LOWER_IS_BETTER - _DROPS and not gate.relative and gate.threshold < 0:
        words = _("%(metric)s is never negative, so ≤ %(threshold)s cannot be met")
        return [words % {"metric": gate.metric, "threshold": f"{gate.threshold:g}"}]
    return []


def _never_measured(gate: Gate) -> str | None:
    """Why no evaluation gives this figure, or never from so many rows; it would be undecided for ever."""
    told = {"metric": gate.metric}
    if gate.relative and gate.metric not in _QUALITY:
        words = _("production is compared in figures of quality; compare %(metric)s with a fixed threshold")
        return words % told
    if gate.metric == "fairness_gap":
        return None if gate.slice else _("fairness_gap is of a column with groups; name it as the slice")
    if gate.slice and gate.metric not in _QUALITY and (gate.metric in METRICS or gate.metric.startswith(OWN)):
        return _("%(metric)s is measured over everything; leave out the slice") % told
    most = {"robustness_failed": ROBUSTNESS_CHECKS} | dict.fromkeys(_ONE_FIGURE, 1)
    most |= {f"latency_p{percentile}_ms": LATENCY_CALLS for percentile in (50, 95, 99)}
    if gate.at_least > most.get(gate.metric, gate.at_least):
        words = _("%(metric)s has %(most)d measurements at most, so at_least cannot be more")
        return words % (told | {"most": most[gate.metric]})
    return None


def _impossible_score(gate: Gate, own_scorer: bool) -> list[str]:
    problems = []
    if not own_scorer:
        problems.append(_("%(metric)s needs a scorer, and the suite has none") % {"metric": gate.metric})
    if gate.better not in ("higher", "lower"):
        words = _("say which way is better for %(metric)s: better must be higher or lower")
        problems.append(words % {"metric": gate.metric})
    return problems


def unsatisfiable(gates: Sequence[Gate], asked: Asked) -> list[str]:
    """Gates that these rows, or the versions that there are, can never satisfy, with what would help."""
    problems = []
    for gate in gates:
        problem = _lacks_rows(gate, asked) or _lacks_a_version(gate, asked)
        if problem:
            problems.append(problem)
    return problems


def _lacks_rows(gate: Gate, asked: Asked) -> str:
    """Too few rows, or of the slice or the smallest group, or no such slice."""
    column, _equals, value = gate.slice.partition("=")
    told = {"gate": gate.words(), "column": column, "slice": gate.slice, "wanted": gate.at_least}
    there = asked.rows
    if gate.metric == "fairness_gap":
        if gate.slice not in asked.groups:
            return (
                _("%(gate)s: “%(slice)s” is not among the columns whose groups must be served alike") % told
            )
        there = min(asked.counts[gate.slice].values(), default=0) if asked.rows is not None else None
    elif gate.slice and column not in asked.counts:
        return _("%(gate)s: the suite does not slice by “%(column)s”") % told
    elif gate.slice:
        if value not in asked.counts[column]:
            known = {"known": ", ".join(sorted(asked.counts[column])[:12])}
            return _("%(gate)s: no row has %(slice)s; there are %(known)s") % (told | known)
        there = asked.counts[column][value]
    of_rows = gate.metric in _QUALITY | _DROPS | {"fairness_gap"} or gate.metric.startswith(OWN)
    if of_rows and there is not None and gate.at_least > there:
        return _("%(gate)s: asks for %(wanted)d rows, there are %(there)d") % (told | {"there": there})
    return ""


def _lacks_a_version(gate: Gate, asked: Asked) -> str:
    """A figure that what the versions take, ship and answer does not give."""
    told = {"gate": gate.words(), "version": asked.version, "n": asked.classes}
    if gate.metric == "roc_auc" and asked.classes is not None and asked.classes != 2:
        return (
            _("%(gate)s: there are %(n)d classes, and roc_auc is of two; take balanced_accuracy or log_loss")
            % told
        )
    if gate.metric in _DROPS_OF_NUMBERS and asked.columns == 0:
        return _("%(gate)s: version %(version)s takes texts, and only numbers are spoiled in this way") % told
    if gate.metric in _DROPS_OF_TEXTS and asked.columns:
        return _("%(gate)s: version %(version)s takes numbers, and only texts are spoiled in this way") % told
    if gate.metric == "robustness_permuted_drop" and asked.columns == 1:
        return _("%(gate)s: version %(version)s takes one number, so there is no other order") % told
    if gate.metric == "parity_failed" and asked.fixtures is not None and gate.at_least > asked.fixtures:
        return (
            _(
                "%(gate)s: version %(version)s ships too few fixtures of features; package one with features.json"
                " in its model folder first"
            )
            % told
        )
    return ""


def _contradictions(gates: Sequence[Gate]) -> list[str]:
    seen: set[tuple[str, str, bool]] = set()
    problems = []
    for gate in gates:
        key = (gate.metric, gate.slice, gate.relative)
        if key in seen:
            words = _("%(gate)s: there is another gate on the same figure; keep the stricter one")
            problems.append(words % {"gate": gate.words()})
        seen.add(key)
    return problems


def judge(
    gate: Gate, figures: Mapping[str, Any], differences: Mapping[str, Any] | None, unmeasured: str = ""
) -> Result:
    """Judge one gate. `figures` maps a metric, or `<slice>/<metric>`, to its figure; `differences` likewise.

    `differences` holds candidate minus production on the same rows; None when nothing is in production, and a
    relative gate then passes: there is nothing to be worse than. `unmeasured` is the number of a version that is in
    production and was not asked: then nobody knows.
    """
    name = f"{gate.slice}/{gate.metric}" if gate.slice else gate.metric
    if gate.relative and differences is None and unmeasured:
        words = _("%(number)s is in production and was not ready to be asked; evaluate again once it is")
        return Result(gate, Verdict.UNDECIDED, words % {"number": unmeasured})
    if gate.relative and differences is None:
        return Result(gate, Verdict.PASSED, _("nothing is in production to compare with"))
    found = (differences or {}) if gate.relative else figures
    figure = found.get(name)
    if figure is None or figure.get("value") is None:
        return Result(gate, Verdict.UNDECIDED, _("the evaluation gave no %(name)s") % {"name": name})
    rows = int(figure.get("n", 0))
    if rows < gate.at_least:
        reason = _("%(rows)d rows, at least %(least)d are needed") % {"rows": rows, "least": gate.at_least}
        return Result(gate, Verdict.UNDECIDED, reason, figure)
    return _decide(gate, figure)


def _decide(gate: Gate, figure: Mapping[str, Any]) -> Result:
    if gate.absolute:
        figure = _by_size(figure)
    sign = 1.0 if gate.higher_is_better else -1.0
    limit = -gate.threshold if gate.relative else sign * gate.threshold
    raw = float(figure["value"])
    value = sign * raw
    ends = [sign * float(raw if (end := figure.get(name)) is None else end) for name in ("low", "high")]
    shown = {"value": f"{float(figure['value']):.4g}"}
    if not gate.certain:
        if value >= limit:
            return Result(gate, Verdict.PASSED, _("%(value)s (meets the threshold)") % shown, figure)
        return Result(gate, Verdict.FAILED, _("%(value)s (misses the threshold)") % shown, figure)
    if min(ends) >= limit:
        words = _("%(value)s, and the whole interval meets the threshold")
        return Result(gate, Verdict.PASSED, words % shown, figure)
    if max(ends) < limit:
        words = _("%(value)s, and the whole interval misses the threshold")
        return Result(gate, Verdict.FAILED, words % shown, figure)
    words = _("%(value)s, but the interval crosses the threshold: more rows decide")
    return Result(gate, Verdict.UNDECIDED, words % shown, figure)


def _by_size(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A figure that is bad in both directions, by its distance from zero."""
    value, low, high = (float(figure.get(end) or 0) for end in ("value", "low", "high"))
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return {**figure, "value": abs(value), "low": nearest, "high": max(abs(low), abs(high))}


def judge_all(
    gates: Sequence[Gate],
    figures: Mapping[str, Any],
    differences: Mapping[str, Any] | None,
    unmeasured: str = "",
) -> tuple[Verdict, list[Result]]:
    """All gates; one failed fails the whole, else one undecided leaves it undecided. No gates decide nothing."""
    results = [judge(gate, figures, differences, unmeasured) for gate in gates]
    verdicts = {result.verdict for result in results}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED, results
    if Verdict.UNDECIDED in verdicts or not results:
        return Verdict.UNDECIDED, results
    return Verdict.PASSED, results


def in_words(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The gates of a report as a reader of today's language reads them; what they said stays what it was."""
    measured = content["measured"]
    facts = measured["figures"], measured.get("differences"), content.get("unmeasured") or ""
    told = []
    for item in content["gates"]:
        try:
            again = judge(Gate(**item["gate"]), *facts).as_dict()
        except (KeyError, TypeError):
            again = item
        told.append({**item, **({k: again[k] for k in ("words", "reason")} if _same(again, item) else {})})
    return told


def _same(again: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return bool(again["verdict"] == item["verdict"])
