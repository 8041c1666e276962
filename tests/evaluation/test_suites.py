"""A suite that nothing could satisfy is refused when it is saved, and the gate is named."""

import numpy as np
import pytest

from apps.catalog.models import Version
from apps.core import manifests
from apps.core.errors import Invalid, NotAllowed
from apps.datasets.services import create_version
from apps.evaluation import gates
from apps.evaluation.gates import Gate, judge
from apps.evaluation.models import Suite
from apps.evaluation.selectors import task_of
from apps.evaluation.services import create_suite
from atrium.evaluation import load, robustness
from atrium.evaluation.tasks import choose
from atrium.signature import parse_signature
from tests.evaluation.served import KINDS
from tests.factories import (
    make_capability,
    make_dataset,
    make_packaged_version,
    make_report,
    put_files,
    rows_of,
)

pytestmark = pytest.mark.django_db
SUITES = "/suites/digits/"


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def data(radio, ada):
    rows = "x,y,site,split\n" + "1,2,gd,train\n" * 50 + "1,2,gd,test\n" * 30 + "1,2,hn,test\n" * 5
    return create_version(
        make_dataset(radio, ada, "faults"), files=put_files({"rows.csv": rows.encode()}), by=ada
    )


def suite(capability, by, data, *gates, **fields):
    asked = {"name": "Acceptance", "dataset_version": data, "target": "y", "gates": list(gates)}
    return create_suite(capability, by=by, **(asked | fields))


@pytest.mark.parametrize(
    ("gate", "fields", "told"),
    [
        ({"metric": "accuracy", "threshold": 0.9, "at_least": 36}, {}, "asks for 36 rows, there are 35"),
        (
            {"metric": "accuracy", "threshold": 0.9, "slice": "site=hn", "at_least": 6},
            {"slices": ["site"]},
            "are 5",
        ),
        (
            {"metric": "accuracy", "threshold": 0.9, "slice": "site=js"},
            {"slices": ["site"]},
            "no row has site=js",
        ),
        ({"metric": "accuracy", "threshold": 0.9, "slice": "site=hn"}, {}, "does not slice by “site”"),
        ({"metric": "roc_auc", "threshold": 0.9}, {"task": "regression"}, "no metric “roc_auc”"),
        ({"metric": "memory_mb", "threshold": 500, "at_least": 2}, {}, "1 measurements at most"),
        ({"metric": "latency_p95_ms", "threshold": 50, "at_least": 301}, {}, "300 measurements at most"),
        (
            {"metric": "latency_p95_ms", "threshold": 50, "slice": "site=gd"},
            {"slices": ["site"]},
            "over everything; leave out the slice",
        ),
        (
            {"metric": "score:cost", "threshold": 1, "better": "lower", "slice": "site=gd"},
            {"slices": ["site"], "scorer": "def score(a, b, c): return {}"},
            "over everything; leave out the slice",
        ),
        ({"metric": "fairness_gap", "threshold": 0.1}, {"groups": ["site"]}, "name it as the slice"),
        (
            {"metric": "fairness_gap", "threshold": 0.1, "slice": "site"},
            {"slices": ["site"]},
            "not among the columns whose groups",
        ),
        (
            {"metric": "fairness_gap", "threshold": 0.1, "slice": "site", "at_least": 6},
            {"groups": ["site"]},
            "asks for 6 rows, there are 5",
        ),
        (
            {"metric": "accuracy", "threshold": 0.1, "slice": "site=js", "relative": True},
            {"slices": ["site"]},
            "no row has site=js",
        ),
        (
            {"metric": "memory_mb", "threshold": 100, "relative": True},
            {},
            "compared in figures of quality; compare memory_mb with a fixed threshold",
        ),
        ({"metric": "score:cost", "threshold": 1, "better": "lower"}, {}, "the suite has none"),
        ({"metric": "score:cost", "threshold": 1}, {"scorer": "def score(a, b, c): return {}"}, "which way"),
        ({"metric": "accuracy", "threshold": 0.9}, {"scorer": "def score(:"}, "no Python"),
        ({"metric": "accuracy", "threshold": 0.9}, {"scorer": "x = 1"}, "must define score"),
        ({"metric": "accuracy", "threshold": 0.9}, {"task": "guessing"}, "no task “guessing”"),
        ({"metric": "accuracy", "threshold": 0.9}, {"groups": ["age"]}, "no column “age”"),
    ],
)
def test_what_cannot_be_satisfied_is_refused_and_named(digits, bo, data, gate, fields, told):
    with pytest.raises(Invalid, match=told):
        suite(digits, bo, data, gate, **fields)


TABLE = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
TEXT = {"name": "x", "datatype": "BYTES", "shape": [-1, 1]}
CLASS = {"name": "y", "datatype": "BYTES", "shape": [-1, 1], "kind": "class", "labels": ["1", "2", "3"]}
VALUE = {"name": "y", "datatype": "FP64", "shape": [-1, 1], "kind": "value"}


@pytest.mark.parametrize(
    ("takes", "answers", "gate", "told"),
    [
        (TABLE, CLASS, {"metric": "mae", "threshold": 1}, "no metric “mae”"),
        (TABLE, VALUE, {"metric": "accuracy", "threshold": 0.9}, "no metric “accuracy”"),
        (TABLE, CLASS, {"metric": "roc_auc", "threshold": 0.9}, "there are 3 classes"),
        (TEXT, CLASS, {"metric": "robustness_noise_drop", "threshold": 0.1}, "1.0.0 takes texts"),
        (
            TABLE | {"shape": [-1, 1]},
            CLASS,
            {"metric": "robustness_permuted_drop", "threshold": 0.1},
            "takes one number",
        ),
        (TABLE, CLASS, {"metric": "parity_failed", "threshold": 0}, "package one with features.json"),
    ],
)
def test_what_the_versions_never_show_is_refused(digits, ada, bo, data, takes, answers, gate, told):
    version = make_packaged_version(digits, ada, "1.0.0")
    Version.objects.filter(pk=version.pk).update(signature={"inputs": [takes], "outputs": [answers]})

    with pytest.raises(Invalid, match=told):
        suite(digits, bo, data, gate)


def test_what_they_do_show_is_accepted(digits, ada, bo, data):
    version = make_packaged_version(digits, ada, "1.0.0")
    manifest = version.manifest | manifests.build(put_files({"model/features.json": b'[{"name": "a"}]'}))
    two = CLASS | {"labels": ["1", "2"]}
    Version.objects.filter(pk=version.pk).update(
        signature={"inputs": [TABLE], "outputs": [two]}, manifest=manifest
    )
    asked = ["roc_auc", "parity_failed", "robustness_permuted_drop", "memory_mb", "cold_start_s"]

    made = suite(digits, bo, data, *({"metric": metric, "threshold": 0.5} for metric in asked))

    assert [gate["metric"] for gate in made.gates] == asked


def test_before_there_is_a_version_nobody_knows_and_nothing_is_refused(digits, bo, data):
    assert suite(digits, bo, data, {"metric": "parity_failed", "threshold": 0}).number == 1


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_portal_takes_a_version_for_the_task_that_the_job_does(name, digits, ada):
    signature = KINDS[name]().signature
    version = make_packaged_version(digits, ada)
    Version.objects.filter(pk=version.pk).update(signature=signature)

    assert task_of(digits) == choose(parse_signature(signature)).name


def test_the_limits_of_gates_are_those_of_the_job():
    spoiled = len(robustness._SPOILED_NUMBERS)
    damaged = len(robustness._damages(np.ones((3, 2))))

    assert load.CALLS == gates.LATENCY_CALLS
    assert spoiled + damaged + 1 == gates.ROBUSTNESS_CHECKS  # and one row alone


def test_gates_are_rows_of_the_page(digits, bo, data, client):
    client.force_login(bo)
    asked = {"name": "Acceptance", "dataset_version": "faults/1", "target": "y", "slices": "site"}
    gates = [
        {"metric": "accuracy", "threshold": "0.9", "slice": "site=gd"},
        {"metric": "throughput", "threshold": "x"},
    ]

    refused = client.post(SUITES, asked | rows_of("gates", *gates))
    made = client.post(SUITES, asked | rows_of("gates", gates[0], gates[1] | {"DELETE": "on"}))

    assert refused.status_code == 422
    assert "Row 2, Threshold: Enter a number." in refused.content.decode()
    assert made.status_code == 302
    assert Suite.objects.get().gates == [{"metric": "accuracy", "threshold": 0.9, "slice": "site=gd"}]
    shown = client.get(SUITES).content.decode()
    assert 'value="site=gd"' in shown
    assert 'value="faults/1" checked' in shown


@pytest.mark.parametrize("name", ["", "theirs/1", "faults/2", "nothing"])
def test_a_data_set_version_that_cannot_be_chosen_is_told_at_its_field(
    digits, bo, data, transport, root, client, name
):
    create_version(make_dataset(transport, root, "theirs"), files=put_files({"r.csv": b"x,y\n"}), by=root)
    client.force_login(bo)
    asked = {"name": "Acceptance", "dataset_version": name, "target": "y"}

    refused = client.post(SUITES, asked | rows_of("gates", {"metric": "accuracy", "threshold": "0.9"}))

    assert refused.status_code == 422
    assert list(refused.context["form"].errors) == ["dataset_version"]
    assert not Suite.objects.exists()


def test_the_page_of_suites_lists_few_data_set_versions_however_many_there_are(digits, bo, ada, data, client):
    client.force_login(bo)
    for number in range(12):
        rows = put_files({"rows.csv": f"x,y\n1,{number}\n".encode()})
        create_version(data.dataset, files=rows, by=ada)

    shown = client.get(SUITES).content.decode()

    assert 0 < shown.count('name="dataset_version" value="faults/') < 13


def test_who_builds_a_version_does_not_say_what_it_must_reach(digits, ada, data, client):
    gate = {"metric": "accuracy", "threshold": 0.1}
    with pytest.raises(NotAllowed, match="role QA"):
        suite(digits, ada, data, gate)

    client.force_login(ada)
    asked = {"name": "Lax", "dataset_version": data.pk, "target": "y"}
    page = client.post(SUITES, asked | {"dataset_version": "faults/1"} | rows_of("gates", gate))
    told = client.post(
        "/api/v1/suites/", asked | {"capability": "digits", "gates": [gate]}, "application/json"
    )

    assert (page.status_code, told.status_code) == (403, 403)
    assert "role QA" in client.get(SUITES).content.decode()
    assert not Suite.objects.exists()


def test_rest_lists_the_suites_runs_and_reports_of_one_capability(digits, bo, ada, data, client):
    other = make_capability(digits.team, ada, "other")
    mine, theirs = (
        suite(each, bo, data, {"metric": "accuracy", "threshold": 0.1}) for each in (digits, other)
    )
    report = make_report(make_packaged_version(digits, ada), ada)
    client.force_login(bo)

    def listed(path):
        return [row["id"] for row in client.get(f"/api/v1/{path}").json()["results"]]

    assert listed("suites/?capability=digits")[-1] == mine.pk
    assert theirs.pk not in listed("suites/?capability=digits")
    assert (
        listed("reports/?capability=digits")
        == listed(f"reports/?capability=digits&number={report.version.number}")
        == [report.pk]
    )
    assert listed("evaluations/?capability=digits") == [report.run_id]
    for path in ("reports", "evaluations"):
        assert listed(f"{path}/?capability=other") == listed(f"{path}/?capability=digits&number=2") == []


def test_a_data_set_of_another_team_cannot_be_asked(digits, bo, transport, root):
    rows = put_files({"rows.csv": b"x,y\n1,2\n"})
    theirs = create_version(make_dataset(transport, root, "theirs"), files=rows, by=root)

    with pytest.raises(NotAllowed, match="sees this data set"):
        suite(digits, bo, theirs, {"metric": "accuracy", "threshold": 0.9})


def test_gates_of_two_tasks_are_refused_also_where_no_task_is_named(digits, bo, data, client):
    client.force_login(bo)
    gates = [
        {"metric": "mae", "threshold": 3},
        {"metric": "smape", "threshold": 3},
        {"metric": "accuracy", "threshold": 0.9},
    ]
    asked = {"name": "Both", "dataset_version": data.pk, "target": "y"}

    told = client.post(
        "/api/v1/suites/", asked | {"capability": "digits", "gates": gates}, "application/json"
    )
    page = client.post(SUITES, asked | {"dataset_version": "faults/1"} | rows_of("gates", *gates))

    words = "accuracy ≥ 0.9: is a figure of classification, and the gates before it are of forecasting"
    assert (told.status_code, words in told.json()["detail"]) == (422, True)
    assert (page.status_code, words in page.content.decode()) == (422, True)
    assert suite(digits, bo, data, *gates[:2]).number == 1


def test_a_gate_on_the_gap_between_groups_is_accepted(digits, bo, data):
    gate = {"metric": "fairness_gap", "slice": "site", "threshold": 0.1, "at_least": 5}

    assert suite(digits, bo, data, gate, groups=["site"]).groups == ["site"]


@pytest.mark.parametrize(
    ("low", "value", "high", "verdict"), [(-3, -2, -1.5, "failed"), (-0.5, 0.2, 0.9, "passed")]
)
def test_a_bias_is_judged_by_its_size(low, value, high, verdict):
    figures = {"bias": {"low": low, "value": value, "high": high, "n": 9}}

    assert judge(Gate("bias", 1.0, certain=True), figures, None).verdict == verdict


def test_a_figure_of_an_own_scorer_is_judged_in_its_direction():
    figures = {"score:cost": {"value": 3.0, "low": 2.0, "high": 4.0, "n": 9}}

    assert judge(Gate("score:cost", 5, better="lower"), figures, None).verdict == "passed"
    assert judge(Gate("score:cost", 5, better="higher"), figures, None).verdict == "failed"


def test_noise_leaves_columns_of_whole_numbers_whole():
    values = np.array([[1.5, 0], [2.5, 100], [9.5, 300]])

    noisy = next(spoiled for key, _title, spoiled in robustness._damages(values, [1]) if "noise" in key)

    assert (noisy[:, 1] == np.round(noisy[:, 1])).all()
    assert (noisy[:, 0] != np.round(noisy[:, 0])).any()
    assert (noisy[:, 1] != values[:, 1]).any()
