"""The report of a real measurement, of each task: every figure leads to its rows, and the file stands alone."""

from io import BytesIO

import pytest
from django.test import Client
from pypdf import PdfReader

from apps.compute.models import Job
from apps.core import objects
from apps.evaluation import runs
from apps.evaluation.models import Run
from apps.evaluation.selectors import chosen_rows, content_of
from apps.evaluation.wording import checks_in_words, differences_in_words
from atrium.evaluation import load
from atrium.evaluation.run import Evaluation
from tests.evaluation.served import KINDS, serving, write_rows
from tests.factories import make_capability, make_deployment, make_packaged_version, make_suite

pytestmark = pytest.mark.django_db


@pytest.fixture
def report_of(radio, ada, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "CALLS", 20)
    monkeypatch.setattr(load.saturation, "__kwdefaults__", {"levels": (1, 2), "seconds": 0.1})

    def make(name, **params):
        kind = KINDS[name]()
        write_rows(tmp_path, kind.rows)
        with serving(candidate=kind.worse, production=kind.good) as address:
            sides = {
                s: {"address": address, "path": f"/{s}", "key": "k"} for s in ("candidate", "production")
            }
            given = {"signature": kind.signature, "target": "y", "cases": [], **sides, **params}
            measured = Evaluation(given, tmp_path).measure()
        digest, size = objects.put([(tmp_path / "outputs" / "rows.jsonl").read_bytes()])
        capability = make_capability(radio, ada, name.replace("_", "-"))
        version = make_packaged_version(capability, ada, "1.0.0")
        run = Run.objects.create(
            suite=make_suite(capability, ada),
            version=version,
            version_digest=version.digest,
            deployment=make_deployment(version, ada),
            status=Run.Status.MEASURING,
            started_by=ada,
        )
        outputs = {"rows.jsonl": {"sha256": digest, "size": size}}
        return runs.report_on(run, Job(status=Job.Status.SUCCEEDED, result=measured, outputs=outputs))

    return make


@pytest.fixture
def as_ada(ada):
    client = Client()
    client.force_login(ada)
    return client


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_report_of_each_task_shows_its_figures_and_rows(name, report_of, as_ada):
    slices = {"regression": ["group"], "text_spans": ["length"]}.get(name, [])
    report = report_of(name, slices=slices, groups=slices)

    page = as_ada.get(f"/reports/{report.pk}/").content.decode()
    rows = as_ada.get(f"/reports/{report.pk}/rows/?only=wrong").content.decode()
    file = as_ada.get(f"/reports/{report.pk}/report.html").content.decode()

    assert content_of(report)["measured"]["main"] in page
    assert "data-figure" in page
    assert rows.count("<tr>") > 2
    assert "Plotly.newPlot" in file
    printed = PdfReader(BytesIO(as_ada.get(f"/reports/{report.pk}/report.pdf").content))
    text = "\n".join(page.extract_text() for page in printed.pages)
    for told in (
        content_of(report)["measured"]["main"],
        content_of(report)["gates"][0]["words"],
        report.digest,
    ):
        assert told in text
    assert "src=" not in file.split("<script>", maxsplit=1)[0]
    assert report.digest in file


def test_the_files_have_the_sections_of_the_page(report_of, as_ada):
    report = report_of("regression", slices=["group"], groups=["group"])
    file = as_ada.get(f"/reports/{report.pk}/report.html").content.decode().split("<script>", maxsplit=1)[0]
    printed = PdfReader(BytesIO(as_ada.get(f"/reports/{report.pk}/report.pdf").content))
    text = " ".join(" ".join(page.extract_text() for page in printed.pages).split())
    measured = content_of(report)["measured"]
    apart = differences_in_words(measured["comparison"])

    assert measured["comparison"]["disagreements"]
    for told in (
        "Groups that must be served alike",
        "Where it differs from production",
        apart,
        "Wrong answers (",
    ):
        assert told in text
        assert told in file
    worst = measured["fairness"][0]["groups"][0]["group"]
    assert f"<td>{worst}</td>" in file
    assert apart in as_ada.get(f"/reports/{report.pk}/").content.decode()


def test_what_became_of_spoiled_inputs_is_told_in_the_readers_language(
    report_of, ada, as_ada, compiled_messages
):
    report = report_of("classification")
    ada.language = "zh-hans"
    ada.save(update_fields=["language"])

    page = as_ada.get(f"/reports/{report.pk}/").content.decode()

    checks = content_of(report)["measured"]["robustness"]
    assert {"not a number", "noise", "one row at a time"} <= {check["check"] for check in checks}
    for check in checks:
        assert f"<td>{check['check']}</td>" not in page
    for english in ("the same answers", "the main figure gets worse by"):
        assert any(english in check["told"] for check in checks)
        assert english not in page


def test_what_a_model_said_when_it_refused_stays_as_it_said_it():
    check = {"check": "infinity", "passed": True, "told": "send a finite number"}

    assert checks_in_words([check, check | {"check": "a later one"}]) == [
        check,
        check | {"check": "a later one"},
    ]


def test_programs_get_the_rows_behind_a_figure_and_the_files(report_of, as_ada):
    report = report_of("classification")
    address = f"/api/v1/reports/{report.pk}"
    wrong = chosen_rows(content_of(report), {"only": "wrong"}, size=1000)

    seen, after = [], ""
    while after is not None:
        page = as_ada.get(f"{address}/rows/?only=wrong&size=7&after={after}").json()
        seen += [row["row"] for row in page["results"]]
        after = page["next"]

    assert seen == [row["row"] for row in wrong]
    assert as_ada.get(f"{address}/rows/?size=501").status_code == 422
    assert as_ada.get(f"{address}/report.pdf/").content.startswith(b"%PDF")
    answer = as_ada.get(f"{address}/report.html/")
    assert answer.content == as_ada.get(f"/reports/{report.pk}/report.html").content
    assert report.digest[:12] in answer["Content-Disposition"]


def test_a_cell_of_the_confusion_matrix_opens_exactly_its_rows(report_of):
    content = content_of(report_of("classification"))
    labels, counts = content["measured"]["labels"], content["measured"]["confusion"]

    for truth, row in enumerate(counts):
        for answer, count in enumerate(row[:-1]):
            wanted = {"truth": labels[truth], "answer": labels[answer]}
            assert len(chosen_rows(content, wanted, size=1000)) == count


def test_a_slice_opens_exactly_its_rows(report_of):
    content = content_of(report_of("regression", slices=["group"]))

    for item in content["measured"]["slices"]:
        assert len(chosen_rows(content, {"slice": item["slice"]}, size=1000)) == item["n"]


def test_pages_of_rows_neither_repeat_nor_miss_one(report_of):
    content = content_of(report_of("text_spans"))
    seen, after = [], -1
    while page := chosen_rows(content, {}, after=after, size=33):
        seen += [row["row"] for row in page]
        after = seen[-1]

    assert seen == list(range(200))


def test_rows_are_the_teams_alone(report_of, cy):
    report = report_of("regression")
    client = Client()
    client.force_login(cy)

    for path in ("", "rows/", "report.html", "report.pdf", "report.json"):
        assert client.get(f"/reports/{report.pk}/{path}").status_code == 404
