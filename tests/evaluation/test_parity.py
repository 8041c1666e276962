"""The same fixture on both sides: what training computed, and what the served code computes."""

import json
import subprocess
import sys

import numpy as np
import pytest

import atrium
from apps.evaluation.evidence import _shown
from apps.evaluation.gates import read_gates
from apps.evaluation.wording import in_words
from atrium.evaluation import load
from atrium.evaluation.parity import agree, compare
from atrium.evaluation.run import Evaluation, Side
from portal.environment import ROOT
from tests.evaluation.served import KINDS, serving, write_rows

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
}


def predict(x):
    """The model as training has it: its one feature is the logarithm."""
    feature = np.log1p(x)
    atrium.log("log", feature)
    return {"y": 2 * feature}


def skewed(inputs):
    """The same written anew for serving, with another logarithm."""
    feature = np.log2(1 + inputs["x"])
    atrium.log("log", feature)
    return {"y": 2 * feature}


def silent(inputs):
    return {"y": inputs["x"]}


@pytest.fixture
def fixture(tmp_path):
    """What `save_model` wrote down of the training side."""
    given = {"name": "three", "inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [0, 1, 2]}]}
    atrium.save_model(predict, tmp_path / "model", signature=SIGNATURE, fixtures=[given])
    return json.loads((tmp_path / "model" / "features.json").read_text())[0]


def asked(fixture, model):
    with serving(candidate=model) as address:
        return compare(Side("candidate", address, "/candidate", "k").connect(), fixture)


def test_the_same_code_on_both_sides_agrees(fixture):
    assert fixture["features"]["log"] == pytest.approx([0, np.log(2), np.log(3)])
    assert asked(fixture, lambda inputs: predict(**inputs))["passed"]


def test_a_feature_that_serving_computes_otherwise_is_named_with_both_values(fixture):
    found = asked(fixture, skewed)

    assert not found["passed"]
    assert "“log” is [0.0, 0.69" in found["message"]
    assert "in serving" in found["message"]


def test_a_feature_that_serving_does_not_tell_is_no_agreement(fixture):
    assert asked(fixture, silent)["message"] == "serving logs no “log”"


@pytest.mark.parametrize(
    "broken", [{}, {"features": {}, "inputs": []}, {"features": {"a": 1}, "inputs": [{}]}]
)
def test_what_is_no_fixture_fails_and_ends_nothing(broken):
    assert not asked(broken, silent)["passed"]


@pytest.mark.parametrize(
    ("training", "serving_", "same"),
    [
        (1.0, 1.0000001, True),
        (1, 1.1, False),
        (float("nan"), float("nan"), True),
        ([1, [2]], [1, [2.0]], True),
        ([1], [1, 1], False),
        ({"a": 1}, {"b": 1}, False),
        (True, 1, False),
        ("a-9", "a-9", True),
    ],
)
def test_values_agree_entry_by_entry(training, serving_, same):
    assert agree(training, serving_, 1e-5) is same


def test_an_evaluation_counts_them_and_the_score_takes_them_for_proof(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "CALLS", 5)
    monkeypatch.setattr(load.saturation, "__kwdefaults__", {"levels": (1,), "seconds": 0.05})
    kind = KINDS["text_spans"]()
    text = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["GD-101 is noisy"]}
    fixtures = [
        {"name": name, "inputs": [text], "features": {"length": [n]}} for name, n in (("a", 15), ("b", 9))
    ]

    def logging(inputs):
        atrium.log("length", [len(str(one)) for one in inputs["text"].ravel()])
        return kind.good(inputs)

    write_rows(tmp_path, kind.rows[:40])
    with serving(candidate=logging) as address:
        side = {"address": address, "path": "/candidate", "key": "k"}
        params = {"signature": kind.signature, "target": "y", "candidate": side, "fixtures": fixtures}
        found = Evaluation(params, tmp_path).measure()

    assert found["figures"]["parity_failed"] == {"value": 1, "n": 2}
    assert [each["passed"] for each in found["parity"]] == [True, False]
    assert read_gates([{"metric": "parity_failed", "threshold": 0}])[1] == []
    assert "monitor.skew" not in dict(_shown(found, [], []))
    assert "monitor.skew" in dict(_shown(found | {"parity": found["parity"][:1]}, [], []))


def test_marked_stretches_and_series_are_told_in_words():
    assert in_words([{"start": 0, "end": 9, "label": "site"}]) == "site 0–9"
    assert (in_words([1.5, 2.0]), in_words([]), in_words("3"), in_words(None)) == ("1.5, 2", "–", "3", None)


def test_the_command_needs_no_numpy():
    code = "import sys, atrium.cli, atrium.saving; sys.exit('numpy' in sys.modules)"

    environment = {"PYTHONPATH": str(ROOT / "sdk")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
