"""A whole evaluation of each kind of task, over a real socket."""

import json

import numpy as np
import pytest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge

from apps.evaluation.evidence import _shown
from atrium.evaluation import load
from atrium.evaluation.endpoint import Refused
from atrium.evaluation.robustness import importance
from atrium.evaluation.run import Evaluation
from atrium.evaluation.scoring import ScorerFailed, score_rows
from atrium.evaluation.table import Table
from atrium.signature import parse_signature
from tests.evaluation.served import KINDS, serving, write_rows


@pytest.fixture(autouse=True)
def short_load(monkeypatch):
    monkeypatch.setattr(load, "CALLS", 20)
    monkeypatch.setattr(load.saturation, "__kwdefaults__", {"levels": (1, 2), "seconds": 0.1})


def evaluate(kind, folder, address, **params):
    write_rows(folder, kind.rows)
    given = {
        "signature": kind.signature,
        "target": kind.target,
        "cases": [],
        "candidate": {"address": address, "path": "/candidate", "key": "k"},
        "production": {"address": address, "path": "/production", "key": "k"},
    }
    return Evaluation(given | params, folder).measure()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_worse_version_is_found_worse_than_production(name, tmp_path):
    kind = KINDS[name]()
    with serving(candidate=kind.worse, production=kind.good) as address:
        found = evaluate(kind, tmp_path, address)

    main = found["differences"][found["main"]]
    assert (main["high"] < 0) if name in ("classification", "text_spans") else (main["low"] > 0)
    assert found["comparison"]["worse"] > found["comparison"]["better"]
    assert found["figures"]["throughput"]["value"] > 0
    assert all(check["passed"] for check in found["robustness"]), found["robustness"]
    json.dumps(found, allow_nan=False)
    rows = [json.loads(line) for line in (tmp_path / "outputs" / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == found["rows"] == len(kind.rows)
    assert sum(row["error"] > 0 for row in rows) == found["wrong"]


def test_each_declared_group_is_told_the_worst_first(tmp_path):
    kind = KINDS["regression"]()
    with serving(candidate=kind.good) as address:
        found = evaluate(kind, tmp_path, address, production=None, groups=["group"])

    told = found["fairness"][0]
    worst, best = told["groups"]
    assert worst["value"] > best["value"]  # the mean absolute error
    assert found["figures"]["group/fairness_gap"]["value"] == pytest.approx(worst["value"] - best["value"])
    assert found["figures"]["group/fairness_gap"]["n"] == min(worst["n"], best["n"])


def test_a_model_that_answers_nan_for_unknown_inputs_is_found_out(tmp_path):
    kind = KINDS["regression"]()
    with serving(
        candidate=lambda inputs: {"progression": inputs["features"].sum(1).astype(float)}
    ) as address:
        found = evaluate(kind, tmp_path, address, production=None)

    failed = {check["check"] for check in found["robustness"] if not check["passed"]}
    assert {"not a number", "infinity", "missing values"} <= failed
    assert found["figures"]["robustness_failed"]["value"] == len(failed)


def test_a_model_whose_answer_depends_on_its_neighbours_is_found_out(tmp_path):
    kind = KINDS["regression"]()
    with serving(
        candidate=lambda inputs: {"progression": inputs["features"][:, 0] - inputs["features"][:, 0].mean()}
    ) as at:
        found = evaluate(kind, tmp_path, at, production=None)

    assert "one row at a time" in {check["check"] for check in found["robustness"] if not check["passed"]}


def test_a_suites_own_scorer_counts_with_an_interval(tmp_path):
    source = "def score(truth, answer, inputs):\n    return {'cost': 0 if truth == answer else 5}\n"
    kind = KINDS["classification"]()
    with serving(candidate=kind.good) as address:
        found = evaluate(kind, tmp_path, address, production=None, scorer=source)

    cost, accuracy = found["figures"]["score:cost"], found["figures"]["accuracy"]
    assert cost["value"] == pytest.approx(5 * (1 - accuracy["value"]))
    assert cost["low"] < cost["value"] < cost["high"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def score(truth, answer, inputs):\n    return {'x': 1 / (answer - 1)}", "row 1.*ZeroDivisionError"),
        ("def nothing(): pass", "KeyError"),
        ("def score(truth, answer, inputs):\n    return {'x': 'much'}", "row 0.*ValueError"),
        ("x = 'a' * (1 << 31)", "MemoryError"),
        ("import os; os._exit(3)", "ended"),
    ],
)
def test_a_scorer_that_fails_is_told_with_its_row(source, told, tmp_path):
    rows = [{"truth": 1, "answer": number, "inputs": {}} for number in range(3)]

    with pytest.raises(ScorerFailed, match=f"(?s){told}"):
        score_rows(source, rows, tmp_path)


def test_a_scorer_sees_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRIUM_KEY_CANDIDATE", "atk_secret")
    source = "import os\ndef score(truth, answer, inputs):\n    return {'keys': sum('ATRIUM' in k for k in os.environ)}"

    assert score_rows(source, [{"truth": 1, "answer": 1, "inputs": {}}], tmp_path)["keys"].tolist() == [0]


def test_importance_over_the_endpoint_is_scikit_learns():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(600, 4))
    y = x @ np.array([3.0, 1.0, 0.3, 0.0])
    model = Ridge(alpha=1e-3).fit(x, y)
    signature = parse_signature(
        {
            "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 4]}],
            "columns": [{"name": c} for c in "abcd"],
            "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1], "kind": "value"}],
        }
    )
    table = Table({"x": x}, y.astype(object), {}, [str(i) for i in range(600)])

    def mae(changed):
        return float(np.abs(model.predict(changed["x"]) - y).mean())

    def gaps(changed):
        """A version that refuses what is changed in `a`, and answers no number to what is changed in `b`."""
        if (changed["x"][:, 0] != x[:, 0]).any():
            raise Refused(500, "no such combination")
        return float("nan") if (changed["x"][:, 1] != x[:, 1]).any() else mae(changed)

    some = importance(table, signature, gaps, lambda plain, changed: changed - plain, mae({"x": x}))
    assert [entry["input"] for entry in some["importance"]] == ["c", "d"]
    assert (some["importance_without"], some["importance_tried"]) == (["a", "b"], 4)
    assert "data.beneficial" not in dict(_shown(some, [], []))
    assert "data.beneficial" in dict(_shown({"importance": some["importance"]}, [], []))
    told = importance(table, signature, mae, lambda plain, changed: changed - plain, mae({"x": x}))
    ours = told["importance"]
    theirs = permutation_importance(
        model, x, y, scoring="neg_mean_absolute_error", n_repeats=10, random_state=0
    ).importances_mean

    assert [entry["input"] for entry in ours] == ["a", "b", "c", "d"]
    assert (told["importance_tried"], told["importance_chosen"]) == (4, 4)
    assert [entry["drop"] for entry in ours] == pytest.approx(theirs.tolist(), rel=0.15, abs=0.01)
