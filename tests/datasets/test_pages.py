"""Data sets in the browser and over REST."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.core.models import AuditEntry
from apps.core.urns import urn
from apps.datasets.models import DatasetVersion
from apps.datasets.services import create_version
from tests.factories import make_dataset, make_user, put_files

pytestmark = pytest.mark.django_db

TABLE = b"age,label\n1,a\n2,b\n4,a\n"


@pytest.fixture
def page(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def faults(radio, ada):
    return make_dataset(radio, ada, "faults", name="Faults")


def test_an_uploaded_table_is_shown_with_schema_preview_and_chart(page, faults):
    answer = page.post(
        "/datasets/faults/upload/", {"files": SimpleUploadedFile("a.csv", TABLE), "note": "first"}
    )
    assert answer.url == "/datasets/faults/versions/1/"

    text = page.get(answer.url).content.decode()

    for shown in ("integer", "label", "data-chart", "a.csv", "first"):
        assert shown in text


def test_the_next_version_goes_on_from_the_newest(page, faults):
    for content in (TABLE, TABLE + b"9,b\n"):
        page.post("/datasets/faults/upload/", {"files": SimpleUploadedFile("a.csv", content)})

    second = DatasetVersion.objects.get(number=2)
    assert second.parent.number == 1
    assert "next version" in page.get("/datasets/faults/").content.decode()


def test_a_broken_line_is_named_and_nothing_stays(page, faults):
    sent = {"files": SimpleUploadedFile("a.csv", b"a,b\n1\n")}

    answer = page.post("/datasets/faults/upload/", sent, headers={"accept": "application/json"})

    assert answer.status_code == 422
    assert "a.csv, line 2" in answer.json()["message"]
    assert not DatasetVersion.objects.exists()


def test_what_is_said_about_it_changes_over_rest_as_far_as_it_is_sent(page, faults):
    as_json = {"content_type": "application/json"}
    changed = page.patch("/api/v1/datasets/faults/", {"visibility": "organisation"}, **as_json)
    assert (changed.status_code, changed.json()["name"]) == (200, "Faults")
    page.patch("/api/v1/datasets/faults/", {"name": " Faults of cells ", "description": "2026"}, **as_json)
    faults.refresh_from_db()
    assert (faults.name, faults.description, faults.visibility) == ("Faults of cells", "2026", "organisation")
    assert AuditEntry.objects.filter(action="datasets.dataset.edited").count() == 2

    for wrong in ({"slug": "other"}, {"visibility": "world"}, {"name": " "}):
        assert page.patch("/api/v1/datasets/faults/", wrong, **as_json).status_code == 422, wrong
    faults.refresh_from_db()
    assert (faults.slug, faults.name) == ("faults", "Faults of cells")


def test_the_first_rows_are_previewed_for_programs_and_long_cells_cut(page, faults):
    lines = b'{"n": 1, "ok": true, "x": NaN, "of": {"a": [1]}}\n{"n": 2, "text": "' + b"y" * 3000 + b'"}\n'
    page.post("/api/v1/datasets/faults/versions/", {"file": SimpleUploadedFile("a.jsonl", lines)})
    here = "/api/v1/datasets/faults/versions/1/preview/"

    found = page.get(here).json()

    assert found["columns"] == ["n", "ok", "x", "of", "text"]
    assert found["rows"][0] == [1, True, "nan", '{"a": [1]}', None]
    assert found["rows"][1] == [2, None, None, None, "y" * 1000 + "…"]
    assert len(page.get(f"{here}?rows=1").json()["rows"]) == 1
    for wrong in ("0", "101", "-1", "x", "9" * 30):
        assert page.get(f"{here}?rows={wrong}").status_code == 422


def test_the_lineage_leads_both_ways_and_hides_what_the_reader_may_not_open(page, faults, ada, transport):
    theirs = make_dataset(transport, make_user("zoe", team=transport, role="developer"), "theirs")
    hidden = create_version(theirs, put_files({"b.csv": TABLE}), by=theirs.created_by)
    first = create_version(faults, put_files({"a.csv": TABLE}), by=ada, sources=[urn(hidden)])
    create_version(faults, put_files({"a.csv": TABLE + b"9,b\n"}), by=ada, parent=first)

    found = page.get("/api/v1/datasets/faults/versions/1/lineage/").json()

    (came,), (led,) = found["upstream"], found["downstream"]
    assert (came["source"]["urn"], came["kind"], came["source"]["url"]) == (urn(hidden), "went into", "")
    assert "theirs" not in came["source"]["label"]
    assert (led["kind"], led["target"]["url"]) == ("next version", "/datasets/faults/versions/2/")


def test_rest_takes_a_file_and_gives_it_back(page, faults):
    made = page.post("/api/v1/datasets/faults/versions/", {"file": SimpleUploadedFile("a.csv", TABLE)})
    assert (made.status_code, made.json()["rows"]) == (201, 3)

    file = page.get("/api/v1/datasets/faults/versions/1/files/a.csv")

    assert b"".join(file.streaming_content) == TABLE
    assert "attachment" in file["Content-Disposition"]
