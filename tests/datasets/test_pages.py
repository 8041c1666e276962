"""Data sets in the browser and over REST."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.datasets.models import DatasetVersion
from tests.factories import make_dataset

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


def test_rest_takes_a_file_and_gives_it_back(page, faults):
    made = page.post("/api/v1/datasets/faults/versions/", {"file": SimpleUploadedFile("a.csv", TABLE)})
    assert (made.status_code, made.json()["rows"]) == (201, 3)

    file = page.get("/api/v1/datasets/faults/versions/1/files/a.csv")

    assert b"".join(file.streaming_content) == TABLE
    assert "attachment" in file["Content-Disposition"]
