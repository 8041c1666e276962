"""A suite with several data set versions: the rows of each are asked, told apart and judged apart."""

import csv
import json

import pytest

from apps.compute.models import Job
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.lineage import upstream, urn
from apps.datasets.services import create_version
from apps.evaluation import runs
from apps.evaluation.charts import datasets as data_chart
from apps.evaluation.charts import slices as slice_chart
from apps.evaluation.gates import Gate, judge
from apps.evaluation.models import Run, Suite, SuiteData
from apps.evaluation.selectors import all_held_out, content_of
from apps.evaluation.services import create_suite
from apps.evaluation.shown import by_dataset
from apps.releases.content import content_of as signed_content
from apps.releases.content import digest_of
from apps.releases.policies import policy_for
from atrium.evaluation import load
from atrium.evaluation.run import Evaluation
from atrium.evaluation.table import UnusableTable
from tests.evaluation.served import KINDS, serving
from tests.factories import (
    make_capability,
    make_dataset,
    make_deployment,
    make_packaged_version,
    make_ready_deployment,
    make_report,
    put_files,
    rows_of,
)

SUITES = "/suites/digits/"


@pytest.fixture(autouse=True)
def short_load(monkeypatch):
    monkeypatch.setattr(load, "CALLS", 20)
    monkeypatch.setattr(load.saturation, "__kwdefaults__", {"levels": (1,), "seconds": 0.1})


def write(folder, *tables):
    for place, rows in enumerate(tables):
        target = folder / "inputs" / "data" / str(place) / "test.csv"
        target.parent.mkdir(parents=True)
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def evaluation(kind, folder, address, **params):
    sides = {
        side: {"address": address, "path": f"/{side}", "key": "k"} for side in ("candidate", "production")
    }
    asked = {"signature": kind.signature, "target": kind.target, "cases": [], "datasets": ["a@1", "b@2"]}
    return Evaluation(asked | sides | params, folder)


def mislabelled(rows):
    return [row | {"y": str((int(row["y"]) + 1) % 10)} for row in rows]


def test_the_rows_of_each_data_set_are_told_apart_and_compared_with_production_on_the_same_rows(tmp_path):
    kind = KINDS["classification"]()
    write(tmp_path, kind.rows[:100], mislabelled(kind.rows[100:160]))
    with serving(candidate=kind.good, production=kind.worse) as address:
        found = evaluation(kind, tmp_path, address).measure()

    figures, differences = found["figures"], found["differences"]
    of_a, of_b = figures["dataset=a@1/accuracy"], figures["dataset=b@2/accuracy"]
    assert (of_a["n"], of_b["n"], figures["accuracy"]["n"]) == (100, 60, 160)
    assert of_a["value"] > 0.8 > 0.2 > of_b["value"]
    assert figures["accuracy"]["value"] == pytest.approx((100 * of_a["value"] + 60 * of_b["value"]) / 160)
    assert differences["dataset=a@1/accuracy"]["low"] > 0
    assert differences["dataset=b@2/accuracy"]["n"] == 60
    apart = found["comparison"]["datasets"]
    assert apart["a@1"]["disagreeing"] + apart["b@2"]["disagreeing"] == found["comparison"]["disagreeing"]
    assert apart["a@1"]["mcnemar"]["only_candidate_right"] > apart["b@2"]["mcnemar"]["only_candidate_right"]
    rows = [json.loads(line) for line in (tmp_path / "outputs" / "rows.jsonl").read_text().splitlines()]
    assert [row["dataset"] for row in rows] == ["a@1"] * 100 + ["b@2"] * 60
    assert {row["slices"]["dataset"] for row in rows[100:]} == {"b@2"}
    json.dumps(found, allow_nan=False)


def test_a_gate_holds_for_one_data_set_and_against_production_there(tmp_path):
    kind = KINDS["classification"]()
    write(tmp_path, kind.rows[:100], mislabelled(kind.rows[100:160]))
    with serving(candidate=kind.worse, production=kind.good) as address:
        found = evaluation(kind, tmp_path, address).measure()

    def verdict(**gate):
        return str(judge(Gate(**gate), found["figures"], found["differences"]).verdict)

    assert verdict(metric="accuracy", threshold=0.9, slice="dataset=b@2") == "failed"
    assert verdict(metric="accuracy", threshold=0.05, slice="dataset=a@1", relative=True) == "failed"
    assert verdict(metric="accuracy", threshold=0.05, slice="dataset=b@2", relative=True) == "passed"
    assert verdict(metric="accuracy", threshold=0.1, slice="dataset=b@2", at_least=61) == "undecided"


def test_columns_taken_by_their_place_are_the_first_data_sets(tmp_path):
    kind = KINDS["classification"]()
    turned = [dict(reversed(row.items())) for row in kind.rows[100:200]]
    write(tmp_path, kind.rows[:100], turned)
    with serving(candidate=kind.good) as address:
        found = evaluation(kind, tmp_path, address, production=None).measure()

    assert found["figures"]["dataset=b@2/accuracy"]["value"] > 0.8


def test_a_column_that_only_the_first_has_is_named_with_the_data_set(tmp_path):
    kind = KINDS["classification"]()
    less = [{name: value for name, value in row.items() if name != "p7"} for row in kind.rows[:9]]
    write(tmp_path, kind.rows[:9], [row | {"other": 1} for row in less])

    with pytest.raises(UnusableTable, match=r"b@2: .*no column “p7”, which the first data set has"):
        evaluation(kind, tmp_path, "http://127.0.0.1:9")


def test_what_the_page_tells_of_each_data_set(tmp_path):
    kind = KINDS["regression"]()
    write(tmp_path, kind.rows[:100], kind.rows[100:])
    with serving(candidate=kind.good, production=kind.worse) as address:
        found = evaluation(kind, tmp_path, address, slices=["group"]).measure()

    told = by_dataset(found)
    assert [(column["name"], column["n"]) for column in told["columns"]] == [
        ("a@1", 100), ("b@2", 102), ("", 202),
    ]  # fmt: skip
    mae = next(row for row in told["rows"] if row["name"] == "mae")
    assert mae["cells"][1]["difference"] == found["differences"]["dataset=b@2/mae"]
    assert set(data_chart(found)["data"][0]["x"]) == {"dataset=a@1", "dataset=b@2"}
    assert set(slice_chart(found)["data"][0]["x"]) == {"group=f", "group=m"}


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


def data_of(team, by, slug, rows):
    content = "x,y,site,split\n" + "".join(f"1,{y},{site},test\n" for y, site in rows)
    return create_version(
        make_dataset(team, by, slug), files=put_files({"rows.csv": content.encode()}), by=by
    )


@pytest.fixture
def north(radio, ada):
    return data_of(radio, ada, "north", [("1", "gd"), ("2", "hn")] * 10)


@pytest.fixture
def south(radio, ada):
    return data_of(radio, ada, "south", [("1", "gd"), ("2", "gd")] * 5)


def suite(capability, by, first, *further, gates=None, **fields):
    gates = gates or [{"metric": "accuracy", "threshold": 0.9}]
    asked = {"name": "Acceptance", "dataset_version": first, "further_data": further, "target": "y"}
    return create_suite(capability, by=by, gates=gates, **(asked | fields))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("gate", "fields", "told"),
    [
        ({"slice": "dataset=south@1", "at_least": 11}, {}, "asks for 11 rows, there are 10"),
        ({"slice": "dataset=south@2"}, {}, "no row has dataset=south@2; there are north@1, south@1"),
        ({"at_least": 31}, {}, "asks for 31 rows, there are 30"),
        ({"slice": "site=gd", "at_least": 21}, {"slices": ["site"]}, "asks for 21 rows, there are 20"),
        ({}, {"slices": ["dataset"]}, "tells the rows of several data sets apart"),
        ({}, {"target": "dataset"}, "tells the rows of several data sets apart"),
        ({}, {"slices": ["age"]}, "the data set south@1 has no column “age”"),
    ],
)
def test_a_gate_that_its_data_sets_cannot_satisfy_is_refused(digits, bo, north, south, gate, fields, told):
    with pytest.raises(Invalid, match=told):
        suite(digits, bo, north, south, gates=[{"metric": "accuracy", "threshold": 0.9} | gate], **fields)


@pytest.mark.django_db
def test_the_same_version_twice_and_too_many_are_refused(digits, bo, north, south, radio, ada):
    with pytest.raises(Invalid, match="stands in a suite once"):
        suite(digits, bo, north, south, north)
    many = [data_of(radio, ada, f"more-{n}", [("1", "gd")]) for n in range(10)]
    with pytest.raises(Invalid, match="11 data set versions are too many"):
        suite(digits, bo, north, *many)


@pytest.mark.django_db
def test_further_data_that_its_author_may_not_read_is_refused(digits, bo, north, transport, root):
    theirs = data_of(transport, root, "theirs", [("1", "gd")])

    with pytest.raises(NotAllowed, match="sees this data set"):
        suite(digits, bo, north, theirs)


@pytest.mark.django_db
def test_gates_for_each_data_set_and_for_all_are_accepted(digits, bo, north, south):
    gates = [
        {"metric": "accuracy", "threshold": 0.9, "at_least": 30},
        {"metric": "accuracy", "threshold": 0.8, "slice": "dataset=south@1", "at_least": 10},
        {"metric": "accuracy", "threshold": 0.01, "slice": "dataset=north@1", "relative": True},
    ]

    made = suite(digits, bo, north, south, gates=gates)

    assert [str(each) for each in made.data] == ["north v1", "south v1"]
    assert made.gates == gates


@pytest.mark.django_db
def test_an_evaluation_reads_all_its_data_and_the_report_names_each(digits, ada, bo, north, south):
    version = make_packaged_version(digits, ada)
    made = suite(digits, bo, north, south)
    run = Run.objects.create(
        suite=made, version=version, version_digest=version.digest,
        deployment=make_deployment(version, ada), started_by=ada,
    )  # fmt: skip

    runs._measure(run)

    assert set(run.job.inputs) == {"data/0/rows.csv", "data/1/rows.csv"}
    assert run.job.params["datasets"] == ["north@1", "south@1"]
    assert {edge.source for edge in upstream(run)} >= {urn(north), urn(south)}
    report = make_report(make_packaged_version(digits, ada, "1.1.0"), ada, suite=made)
    assert content_of(report)["suite"]["datasets"] == [
        {"name": "north@1", "dataset": urn(north), "digest": north.digest},
        {"name": "south@1", "dataset": urn(south), "digest": south.digest},
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("edit", ["added", "taken"])
def test_data_that_is_not_what_the_suite_was_made_with_is_not_evaluated(digits, ada, bo, north, south, edit):
    version = make_packaged_version(digits, ada)
    made = suite(digits, bo, north, *([] if edit == "added" else [south]))
    run = Run.objects.create(
        suite=made, version=version, version_digest=version.digest,
        deployment=make_ready_deployment(version, ada, kind="test"), started_by=ada,
    )  # fmt: skip
    if edit == "added":
        SuiteData.objects.create(suite=made, dataset_version=south)
    else:
        made.further_data.all().delete()

    runs.proceed(run)

    run.refresh_from_db()
    assert (run.status, run.job) == (Run.Status.FAILED, None)
    assert "is not what it was made with" in run.reason
    with pytest.raises(Conflict, match="is not what it was made with"):  # nor told of what was measured
        runs.report_on(run, Job(result={"figures": {}}))


@pytest.mark.django_db
def test_a_column_called_dataset_is_one_like_others_where_a_suite_has_one_data_set(digits, ada, bo, radio):
    content = b"x,y,dataset,split\n1,1,a,test\n1,2,a,test\n1,2,b,test\n"
    data = create_version(make_dataset(radio, ada, "named"), files=put_files({"rows.csv": content}), by=ada)

    assert all_held_out([data], ["dataset"]) == (3, {"dataset": {"a": 2, "b": 1}})
    with pytest.raises(Invalid, match="no row has dataset=named@1; there are a, b"):
        suite(
            digits, bo, data, slices=["dataset"],
            gates=[{"metric": "accuracy", "threshold": 0.9, "slice": "dataset=named@1"}],
        )  # fmt: skip


@pytest.mark.django_db
def test_the_store_tells_the_digest_of_each_data_set(digits, ada, bo, north, south, client):
    make_report(make_packaged_version(digits, ada), ada, suite=suite(digits, bo, north, south))
    client.force_login(ada)

    page = client.get("/store/digits/quality/").content.decode()
    for name, each in (("north@1", north), ("south@1", south)):
        assert f'<dt>{name}</dt><dd><code title="{each.digest}">' in page


@pytest.mark.django_db
def test_a_suite_of_one_asks_and_reports_as_before(digits, ada, bo, north):
    version = make_packaged_version(digits, ada)
    made = suite(digits, bo, north)
    run = Run.objects.create(
        suite=made, version=version, version_digest=version.digest,
        deployment=make_deployment(version, ada), started_by=ada,
    )  # fmt: skip

    runs._measure(run)

    assert set(run.job.inputs) == {"data/rows.csv"}
    assert "datasets" not in run.job.params
    report = make_report(make_packaged_version(digits, ada, "1.1.0"), ada, suite=made)
    assert "datasets" not in content_of(report)["suite"]


@pytest.mark.django_db
def test_a_signature_covers_all_data_in_its_order(digits, ada, bo, north, south):
    version = make_packaged_version(digits, ada)

    def signed(*data):
        content = signed_content(
            make_report(version, ada, suite=suite(digits, bo, *data)), policy_for(digits)
        )
        return {"suite": content["suite"] | {"number": 0}}

    digests = {digest_of(signed(*data)) for data in ([north], [south], [north, south], [south, north])}
    assert len(digests) == 4
    assert signed(north)["suite"]["data"] == north.digest


@pytest.mark.django_db
def test_further_data_is_chosen_on_the_page_and_by_rest(digits, bo, north, south, client):
    client.force_login(bo)
    gate = {"metric": "accuracy", "threshold": "0.9", "slice": "dataset=south@1"}
    asked = {"name": "Both", "dataset_version": north.pk, "target": "y"}

    names = {"dataset_version": "north/1", "further_data": ["south/1"]}
    page = client.post(SUITES, asked | names | rows_of("gates", gate))
    rest = client.post(
        "/api/v1/suites/",
        asked | {"capability": "digits", "gates": [gate | {"threshold": 0.9}], "further_data": [south.pk]},
        "application/json",
    )

    assert (page.status_code, rest.status_code) == (302, 201)
    assert rest.json()["further_data"] == [south.pk]
    assert [[str(each) for each in made.data] for made in Suite.objects.all()] == [
        ["north v1", "south v1"]
    ] * 2
    shown = client.get(SUITES).content.decode()
    assert "north v1, south v1" in shown
    assert 'value="north/1" checked' in shown
    assert 'value="south/1" checked' in shown


@pytest.mark.django_db
def test_the_report_shows_each_data_set_on_its_page_and_in_its_files(digits, ada, bo, north, south, client):
    def figure(value):
        return {"accuracy": {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 20}}

    slices = [("dataset=north@1", 0.91), ("dataset=south@1", 0.72)]
    measured = {
        "rows": 30, "main": "accuracy", "datasets": ["north@1", "south@1"],
        "figures": figure(0.85) | {f"{name}/accuracy": figure(value)["accuracy"] for name, value in slices},
        "slices": [{"slice": name, "n": 15, "figures": figure(value)} for name, value in slices],
        "differences": {"dataset=south@1/accuracy": {"value": -0.031, "low": -0.06, "high": 0.01, "n": 15}},
        "comparison": {
            "disagreements": [
                {"row": 20, "id": "5", "dataset": "south@1", "truth": "1", "answer": "2", "production": "1"}
            ],
            "disagreeing": 1, "better": 0, "worse": 1,
            "datasets": {"north@1": {"disagreeing": 0}, "south@1": {"disagreeing": 1}},
        },
    }  # fmt: skip
    version = make_packaged_version(digits, ada)
    run = Run.objects.create(
        suite=suite(digits, bo, north, south), version=version, version_digest=version.digest,
        deployment=make_deployment(version, ada), started_by=ada, status=Run.Status.MEASURING,
    )  # fmt: skip
    kept = put_files({"rows.jsonl": b"{}\n"})["rows.jsonl"]
    report = runs.report_on(
        run, Job(status="succeeded", result=measured, outputs={"rows.jsonl": {"sha256": kept}})
    )
    client.force_login(bo)

    page = client.get(f"/reports/{report.pk}/").content.decode()
    file = client.get(f"/reports/{report.pk}/report.html").content.decode()
    printed = client.get(f"/reports/{report.pk}/report.pdf")

    for told in (page, file):
        assert "-0.0310 [-0.0600, 0.0100]" in told
        assert "south@1 · 5" in told
        assert south.digest in told
    assert f'href="/reports/{report.pk}/rows/?slice=dataset%3Dsouth%401"' in page
    assert printed.status_code == 200
