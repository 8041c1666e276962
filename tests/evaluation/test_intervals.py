"""The promise of every interval: in 95 of 100 samples the true figure lies inside. Simulated, fixed seeds."""

import json
from functools import cache

import numpy as np
import orjson
import pytest
from sklearn.metrics import roc_auc_score

from atrium.evaluation import resampling
from atrium.evaluation.resampling import estimate, means
from atrium.evaluation.tasks import TASKS
from atrium.evaluation.tasks.classification import auc
from atrium.signature import parse_signature

SAMPLES = 600
ROWS = 500


def output(kind, shape=(-1,), datatype="FP64", **more):
    return {
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 1]}],
        "outputs": [{"name": "y", "datatype": datatype, "shape": list(shape), "kind": kind, **more}],
    }


def classes(rng, rows):
    """A classifier that is sure of itself by a fixed amount too much."""
    truth = rng.integers(0, 2, rows)
    score = rng.normal(truth * 1.5, 1.0)
    p = 1 / (1 + np.exp(-(2.5 * score - 1.9)))
    signature = output("class", datatype="INT64", labels=["0", "1"])
    signature["outputs"].append({"name": "p", "datatype": "FP64", "shape": [-1, 2], "kind": "probabilities"})
    return signature, truth.astype(str), {"y": (p > 0.5).astype(int), "p": np.stack([1 - p, p], 1)}


def values(rng, rows):
    truth = rng.normal(50, 10, rows)
    return output("value"), truth.astype(str), {"y": truth + rng.normal(0.5, 3, rows)}


def series(rng, rows):
    truth = rng.normal(50, 10, (rows, 1)) + rng.normal(0, 2, (rows, 4))
    cells = [orjson.dumps(row).decode() for row in truth.tolist()]
    return output("series", (-1, 4)), cells, {"y": truth + rng.normal(0.5, 3, (rows, 4))}


def spans(rng, rows):
    there = np.arange(3) < rng.integers(1, 4, (rows, 1))
    said = np.column_stack([there & (rng.random((rows, 3)) < 0.8), rng.random(rows) < 0.3])
    truth = [cell(tuple(row)) for row in there.tolist()]
    given = [cell(tuple(row)) for row in said.tolist()]
    return output("spans", datatype="BYTES"), truth, {"y": np.array(given, dtype=object)}


@cache
def cell(present):
    """Those of four spans that are present; the last one stands where there is none in truth."""
    starts = [10 * number if number < 3 else 90 for number, there in enumerate(present) if there]
    return json.dumps([{"start": start, "end": start + 4, "label": "a"} for start in starts])


MAKERS = {"classification": classes, "regression": values, "forecasting": series, "text_spans": spans}


def measured(task_name, rng, rows):
    signature, truth, outputs = MAKERS[task_name](rng, rows)
    task = TASKS[task_name](parse_signature(signature), np.array(truth, dtype=object))
    return task.statistic(task.read([outputs]), np.arange(rows))


@pytest.mark.parametrize("task_name", sorted(MAKERS))
def test_each_metric_of_a_task_is_covered(task_name, monkeypatch):
    monkeypatch.setattr(resampling, "RESAMPLINGS", 300)
    rng = np.random.default_rng(20261122)
    big = 400_000 if task_name != "text_spans" else 60_000
    true = {name: v[0] for name, v in measured(task_name, rng, big)(np.ones((1, big))).items()}

    inside = dict.fromkeys(true, 0)
    for sample in range(SAMPLES):
        found = estimate(ROWS, measured(task_name, rng, ROWS), seed=sample)
        for name, figure in found.items():
            inside[name] += figure["low"] <= true[name] <= figure["high"]

    coverage = {name: count / SAMPLES for name, count in inside.items()}
    assert all(0.93 <= share <= 0.97 for share in coverage.values()), coverage


def test_a_scorers_means_are_covered(monkeypatch):
    monkeypatch.setattr(resampling, "RESAMPLINGS", 300)
    rng = np.random.default_rng(5)

    inside = 0
    for sample in range(SAMPLES):
        found = estimate(ROWS, means({"cost": rng.exponential(2.0, ROWS)}), seed=sample)["cost"]
        inside += found["low"] <= 2.0 <= found["high"]

    assert 0.93 <= inside / SAMPLES <= 0.97


def test_the_area_under_the_curve_is_scikit_learns():
    rng = np.random.default_rng(6)
    truth, score = rng.integers(0, 2, 300), rng.normal(size=300).round(1)  # ties
    weights = rng.multinomial(300, np.full(300, 1 / 300), size=5).astype(float)

    expected = [roc_auc_score(truth, score, sample_weight=row) for row in weights]
    assert auc(truth == 1, score, weights) == pytest.approx(expected)
