"""Gates know their direction, need enough rows, and cannot be impossible."""

import pytest
from django.utils import translation

from apps.evaluation.gates import Gate, Verdict, in_words, judge, judge_all, read_gates


def figure(value, low=None, high=None, n=100):
    return {"value": value, "low": low if low is not None else value, "high": high or value, "n": n}


@pytest.mark.parametrize(
    ("metric", "threshold", "value", "verdict"),
    [
        ("accuracy", 0.9, 0.95, "passed"),
        ("accuracy", 0.9, 0.85, "failed"),
        ("latency_p95_ms", 20, 15, "passed"),
        ("latency_p95_ms", 20, 25, "failed"),
    ],
)
def test_a_gate_knows_which_way_is_better(metric, threshold, value, verdict):
    assert judge(Gate(metric, threshold), {metric: figure(value)}, None).verdict == verdict


def test_too_few_rows_never_pass():
    found = judge(Gate("accuracy", 0.5, at_least=200), {"accuracy": figure(1.0, n=199)}, None)

    assert (found.verdict, "at least 200" in found.reason) == (Verdict.UNDECIDED, True)


def test_a_figure_that_is_missing_decides_nothing():
    assert (
        judge(Gate("accuracy", 0.5, slice="site=gd"), {"accuracy": figure(1.0)}, None).verdict == "undecided"
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.91, 0.97, "passed"), (0.85, 0.97, "undecided"), (0.7, 0.8, "failed")]
)
def test_a_certain_gate_asks_for_the_whole_interval(low, high, verdict):
    gate = Gate("accuracy", 0.9, certain=True)

    assert judge(gate, {"accuracy": figure((low + high) / 2, low, high)}, None).verdict == verdict


@pytest.mark.parametrize(("difference", "verdict"), [(0.02, "passed"), (-0.005, "passed"), (-0.02, "failed")])
def test_a_relative_gate_allows_a_little_worse(difference, verdict):
    gate = Gate("accuracy", 0.01, relative=True)

    assert judge(gate, {}, {"accuracy": figure(difference)}).verdict == verdict


def test_a_relative_gate_on_a_cost_allows_a_little_more():
    gate = Gate("latency_p95_ms", 2, relative=True)

    assert judge(gate, {}, {"latency_p95_ms": figure(1.5)}).verdict == "passed"
    assert judge(gate, {}, {"latency_p95_ms": figure(2.5)}).verdict == "failed"


def test_nothing_in_production_is_nothing_to_be_worse_than():
    assert judge(Gate("accuracy", 0.01, relative=True), {}, None).verdict == "passed"


def test_what_is_in_production_and_was_not_asked_leaves_it_open(compiled_messages):
    gates = [Gate("accuracy", 0.9), Gate("accuracy", 0.01, relative=True)]
    verdict, (absolute, relative) = judge_all(gates, {"accuracy": figure(0.95)}, None, "1.0.0")

    assert (verdict, absolute.verdict, relative.verdict) == ("undecided", "passed", "undecided")
    assert (
        relative.reason == "1.0.0 is in production and was not ready to be asked; evaluate again once it is"
    )
    content = {"gates": [relative.as_dict()], "measured": {"figures": {}}, "unmeasured": "1.0.0"}
    with translation.override("zh-hans"):
        assert in_words(content)[0]["reason"] == "1.0.0 在生产中，但未就绪，无法询问；待其就绪后请重新评估"


def test_the_worst_gate_decides_and_no_gate_decides_nothing():
    figures = {"accuracy": figure(0.95), "log_loss": figure(3.0)}

    assert judge_all([Gate("accuracy", 0.9), Gate("log_loss", 1)], figures, None)[0] == "failed"
    assert judge_all([Gate("accuracy", 0.9), Gate("f1_macro", 0.9)], figures, None)[0] == "undecided"
    assert judge_all([Gate("accuracy", 0.9)], figures, None)[0] == "passed"
    assert judge_all([], figures, None)[0] == "undecided"


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"metric": "acuracy", "threshold": 0.9}, "no metric"),
        ({"metric": "accuracy", "threshold": 1.2}, "never exceeds 1"),
        ({"metric": "latency_p95_ms", "threshold": -1}, "never negative"),
        ({"metric": "accuracy", "threshold": 0.9, "at_least": 0}, "no evidence"),
        ({"metric": "accuracy"}, "threshold"),
        ({"metric": "accuracy", "threshold": "high"}, "high"),
    ],
)
def test_a_gate_that_cannot_be_met_is_refused_and_named(item, problem):
    _gates, problems = read_gates([item])

    assert len(problems) == 1
    assert problem in problems[0]


def test_two_gates_on_one_figure_are_pointed_out():
    _gates, problems = read_gates([{"metric": "accuracy", "threshold": t} for t in (0.8, 0.9)])

    assert "another gate" in problems[0]


def test_a_gate_speaks_the_readers_language_and_keeps_what_it_said(compiled_messages):
    figures = {"accuracy": {"value": 0.9, "n": 50, "low": 0.8, "high": 0.95}}
    with translation.override("en"):
        kept = [judge(Gate("accuracy", 0.95, slice=""), figures, None).as_dict()]
    content = {"gates": kept, "measured": {"figures": figures}}

    with translation.override("zh-hans"):
        (told,) = in_words(content)
        assert (told["reason"], told["verdict"]) == ("0.9（未达到阈值）", "failed")
        assert read_gates([{"metric": "accuracy", "threshold": 2}])[1] == [
            "第 1 条门禁：accuracy 不会超过 1，因此 ≥ 2 无法满足"
        ]
    assert kept[0]["reason"] == "0.9 (misses the threshold)"


@pytest.mark.parametrize("spoilt", [{"gate": {"metric": "accuracy"}}, {"verdict": "passed"}])
def test_what_cannot_be_said_again_is_told_as_it_was(spoilt):
    figures = {"accuracy": {"value": 0.9, "n": 50}}
    kept = judge(Gate("accuracy", 0.95), figures, None).as_dict() | {"reason": "as it was"} | spoilt

    assert in_words({"gates": [kept], "measured": {"figures": figures}}) == [kept]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": "0.9"},
        {"threshold": None},
        {"at_least": "10"},
        {"at_least": True},
        {"metric": 5},
        {"relative": "yes"},
    ],
)
def test_gates_are_taken_in_their_own_types_alone(wrong):
    gates, problems = read_gates([{"metric": "accuracy", "threshold": 0.9, **wrong}], "classification")

    assert gates == []
    assert next(iter(wrong)) in problems[0]
