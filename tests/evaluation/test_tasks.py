"""One contract for every task type: whoever adds one adds a kind in `served` and passes all of these."""

import json

import numpy as np
import pytest

from apps.evaluation.gates import METRICS_BY_TASK
from atrium.evaluation.resampling import difference, estimate
from atrium.evaluation.table import Table, UnusableTable
from atrium.evaluation.tasks import TASKS, choose
from atrium.signature import parse_signature
from tests.evaluation.served import KINDS


@pytest.fixture(scope="module", params=sorted(TASKS))
def kind(request):
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def task(kind):
    signature = parse_signature(kind.signature)
    return choose(signature)(signature, kind.truth)


def answers_of(kind, task, model, batch=50):
    inputs = _inputs(kind)
    size = len(kind.rows)
    parts = [{n: v[at : at + batch] for n, v in inputs.items()} for at in range(0, size, batch)]
    return task.read([model(part) for part in parts])


def _inputs(kind):
    spec = kind.signature["inputs"][0]
    if spec["datatype"] == "BYTES":
        return {spec["name"]: np.array([row["text"] for row in kind.rows], dtype=object)}
    names = [key for key in kind.rows[0] if key not in {"y", "group"}]
    flat = np.array([[row[name] for name in names] for row in kind.rows])
    return {spec["name"]: flat.reshape((len(flat), *spec["shape"][1:]))}


@pytest.fixture(scope="module")
def good(kind, task):
    return answers_of(kind, task, kind.good)


@pytest.fixture(scope="module")
def worse(kind, task):
    return answers_of(kind, task, kind.worse)


@pytest.fixture(scope="module")
def rows(kind):
    return np.arange(len(kind.rows))


def test_the_signature_alone_says_which_task_it_is(kind, task):
    assert task.name == kind.task


def test_every_figure_has_an_interval_around_it(task, good, rows):
    for name, figure in estimate(len(rows), task.statistic(good, rows)).items():
        assert figure["n"] == len(rows)
        assert figure["low"] <= figure["value"] + 0.02 * abs(figure["value"]) + 1e-9, name
        assert figure["high"] >= figure["value"] - 0.02 * abs(figure["value"]) - 1e-9, name


def test_every_figure_is_known_to_the_gates(task, good, rows):
    found = set(task.statistic(good, rows)(np.ones((1, len(rows)))))

    assert found <= METRICS_BY_TASK[task.name]
    assert task.main in found


def test_the_worse_model_is_worse_by_the_main_figure_and_row_by_row(task, good, worse, rows):
    statistic = difference(task.statistic(worse, rows), task.statistic(good, rows))
    gap = estimate(len(rows), statistic)[task.main]

    assert (gap["high"] < 0) if task.higher_is_better else (gap["low"] > 0)
    assert task.errors(worse).mean() > task.errors(good).mean()
    assert task.gain(0.9, 0.8) == pytest.approx(0.1 if task.higher_is_better else -0.1)


def test_the_answers_do_not_depend_on_the_batches(kind, task, good):
    assert task.same(good, answers_of(kind, task, kind.good, batch=len(kind.rows))).all()


def test_the_right_answers_have_no_error(kind, task):
    signature = parse_signature(kind.signature)
    truth_given = {
        "classification": lambda: {"class": np.array([int(v) for v in kind.truth]), "probabilities": None},
        "regression": lambda: {"progression": kind.truth.astype(float)},
        "forecasting": lambda: {"next": np.array([json.loads(v) for v in kind.truth])},
        "text_spans": lambda: {"spans": kind.truth},
    }[kind.task]()
    perfect = choose(signature)(signature, kind.truth).read(
        [{k: v for k, v in truth_given.items() if v is not None}]
    )

    assert task.errors(perfect).max() == 0


def test_wrong_rows_come_worst_first_and_are_told_in_json(task, worse):
    order = task.wrong(worse)
    errors = task.errors(worse)[order]
    told = [task.row(worse, int(row)) for row in order[:5]]

    assert (np.diff(errors) <= 0).all()
    assert errors[0] > 0
    assert all(
        {"truth", "answer", "error"} <= set(row) for row in json.loads(json.dumps(told, allow_nan=False))
    )


def test_a_slice_is_the_figure_of_its_rows_alone(task, good, rows):
    some = rows[::3]
    alone = task.statistic(good.take(some), some)(np.ones((1, len(some))))
    weights = np.zeros((1, len(rows)))
    weights[0, some] = 1
    among = task.statistic(good, rows)(weights)

    for name in alone:
        assert alone[name][0] == pytest.approx(among[name][0], nan_ok=True), name


def test_the_charts_are_drawn_from_json(task, good):
    json.dumps(task.detail(good), allow_nan=False)


@pytest.mark.parametrize(
    ("task_name", "cell"), [("regression", "nan"), ("forecasting", "7"), ("text_spans", "GD")]
)
def test_a_right_answer_that_cannot_be_read_is_named(task_name, cell):
    signature = parse_signature(KINDS[task_name]().signature)

    with pytest.raises(UnusableTable, match=r"row 0|number"):
        TASKS[task_name](signature, np.array([cell], dtype=object))


def test_a_table_knows_its_length():
    assert len(Table({}, np.array(["a"], dtype=object), {}, ["0"])) == 1
