"""The workshop's pages, as the people of the team use them."""

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from apps.catalog import cards
from apps.catalog.models import Capability, Version
from apps.catalog.services import package_version, take_packaging_result
from apps.compute import adapters
from apps.compute.engines.fake import FakeEngine
from apps.compute.models import Attempt, Job
from tests.factories import make_capability, make_packaged_version, make_version, put_files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    adapters.use(FakeEngine())
    yield
    adapters.use(None)


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits", name="Digits", summary="Reads a digit")


@pytest.fixture
def page(client, ada):
    client.force_login(ada)
    return client


def zipped(files: dict[str, bytes]) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return SimpleUploadedFile("model.zip", buffer.getvalue())


def test_a_developer_describes_a_capability_and_comes_to_its_upload(page, radio):
    answer = page.post(
        "/catalog/new/",
        {"team": radio.pk, "slug": "digits", "name": "Digits", "tags": "image, 手写", "visibility": "team"},
    )

    assert answer.url == "/catalog/digits/upload/"
    assert Capability.objects.get().tags == ["image", "手写"]


def test_a_taken_short_name_is_told_beside_its_field(page, radio, digits):
    answer = page.post(
        "/catalog/new/", {"team": radio.pk, "slug": "digits", "name": "Other", "visibility": "team"}
    )

    assert answer.status_code == 200
    assert "is taken: choose another" in answer.content.decode()


def test_an_uploaded_zip_becomes_a_version_that_is_being_packaged(page, digits):
    answer = page.post(
        "/catalog/digits/upload/", {"number": "1.0.0", "files": zipped({"m/model.onnx": b"weights"})}
    )

    assert answer.url == "/catalog/digits/versions/1.0.0/"
    version = Version.objects.get()
    assert (version.status, list(version.source_manifest)) == ("packaging", ["model.onnx"])
    assert "every 1s" in page.get(answer.url).content.decode()


def test_a_folder_keeps_its_paths(page, digits):
    files = [
        SimpleUploadedFile("MLmodel", b"flavors: {onnx: {data: data/a.onnx}}"),
        SimpleUploadedFile("a.onnx", b"x"),
    ]

    answer = page.post(
        "/catalog/digits/upload/",
        {"number": "1.0.0", "files": files, "paths": ["m/MLmodel", "m/data/a.onnx"]},
        headers={"accept": "application/json"},
    )

    assert answer.json() == {"url": "/catalog/digits/versions/1.0.0/"}
    assert sorted(Version.objects.get().source_manifest) == ["MLmodel", "data/a.onnx"]


@pytest.mark.parametrize("files", [{"../evil.onnx": b"x"}, {"notes.txt": b"hello"}])
def test_what_is_refused_says_why_and_leaves_nothing(page, digits, files):
    sent = {"number": "1.0.0", "files": zipped(files)}

    answer = page.post("/catalog/digits/upload/", sent, headers={"accept": "application/json"})

    assert answer.status_code == 422
    assert next(iter(files)).split("/")[-1] in answer.json()["message"]
    assert not Version.objects.exists()
    assert not Job.objects.exists()


def test_the_failure_page_names_step_message_advice_and_log(page, digits, ada):
    version = make_version(digits, ada, "1.0.0")
    job = package_version(version, by=ada)
    failure = {"step": "load", "message": "No module named 'torch'", "advice": "Hand it in as ONNX."}
    Job.objects.filter(pk=job.pk).update(status="failed", result={"status": "failed", "failure": failure})
    log = put_files({"log": b"read: reading\nload: loading\nTraceback: no torch here\n"})["log"]
    Attempt.objects.create(job=job, number=job.attempt, workload_id="j1-1", log=log)
    take_packaging_result(job.pk)

    text = page.get("/catalog/digits/versions/1.0.0/").content.decode()

    assert "Traceback: no torch here" in text
    assert "read: reading" not in text, "what other steps wrote stays in the job's log"
    assert "“Load the model”" in text
    assert "No module named &#x27;torch&#x27;" in text
    assert "Hand it in as ONNX." in text
    assert "Package again" in text


def test_the_fragment_asks_for_itself_until_the_end(page, digits, ada):
    version = make_version(digits, ada, "1.0.0")
    package_version(version, by=ada)
    address = "/catalog/digits/versions/1.0.0/state/"
    assert "HX-Refresh" not in page.get(address)

    Version.objects.update(status="failed")

    assert page.get(address)["HX-Refresh"] == "true"


def test_packaging_can_be_stopped_from_its_page_and_one_comes_back_to_it(page, digits, ada):
    job = package_version(make_version(digits, ada, "1.0.0"), by=ada)
    Job.objects.filter(pk=job.pk).update(status="running", started_at=timezone.now() - timedelta(minutes=2))
    address = "/catalog/digits/versions/1.0.0/"
    text = page.get(address).content.decode()
    assert "ended after 15 minutes" in text
    assert f'name="next" value="{address}"' in text

    Job.objects.filter(pk=job.pk).update(status="queued")
    stopped = page.post(f"/jobs/{job.pk}/cancel/", {"next": address})
    elsewhere = page.post(
        f"/jobs/{package_version(make_version(digits, ada, '1.0.1'), by=ada).pk}/cancel/",
        {"next": "https://example.com/"},
    )
    take_packaging_result(job.pk)

    assert (stopped.status_code, stopped["Location"]) == (302, address)
    assert elsewhere["Location"].startswith("/jobs/")
    text = page.get(address).content.decode()
    assert "Package the version again when you want it." in text
    assert "Stop packaging" not in text


def test_columns_that_say_nothing_but_their_name_are_shown(page, digits, ada):
    version = make_packaged_version(digits, ada, "1.0.0")
    rows = [{"name": "alcohol"}, {"name": "hue", "title": "Hue of the wine"}]
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
    Version.objects.filter(pk=version.pk).update(
        signature={"inputs": [tensor], "outputs": [tensor], "columns": rows}
    )

    text = page.get("/catalog/digits/versions/1.0.0/").content.decode()

    assert "alcohol" in text
    assert "Hue of the wine" in text
    assert text.count("FP32 · -1</span>") == 2


def test_a_columns_type_examples_and_whether_it_may_be_missing_are_shown(page, digits, ada):
    version = make_packaged_version(digits, ada, "1.0.0")
    rows = [{"name": "cells", "datatype": "INT32", "shape": [-1], "optional": True, "examples": [3, 12]}]
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 1]}
    Version.objects.filter(pk=version.pk).update(
        signature={"inputs": [tensor], "outputs": [tensor], "columns": rows}
    )

    text = page.get("/catalog/digits/versions/1.0.0/").content.decode()

    assert "INT32 · -1</span>" in text
    assert "optional</span>" in text
    assert "3, 12" in text


def test_the_list_costs_a_constant_number_of_queries(page, radio, ada, django_assert_max_num_queries):
    for _ in range(8):
        make_packaged_version(make_capability(radio, ada), ada)

    with django_assert_max_num_queries(12):
        text = page.get("/catalog/").content.decode()

    assert text.count("/catalog/capability-") >= 8


def test_a_card_runs_nothing():
    html = cards.render(
        "---\nlicense: mit\n---\n# Title\n<script>alert(1)</script>\n[x](javascript:alert(1)) ![i](http://x/y.png)\n\n|a|b|\n|-|-|\n|1|2|\n"
    )

    assert "<h2>Title</h2>" in html
    assert '<table class="table table-sm"><thead>' in html.replace("\n", "")
    for bad in ("<script", 'href="javascript', "<img", "<h1", "license"):
        assert bad not in html


def test_the_preview_shows_the_card(page):
    assert (
        "<strong>bold</strong>" in page.post("/catalog/card-preview/", {"card": "**bold**"}).content.decode()
    )


def test_global_search_finds_it_for_the_team_alone(page, client, digits, cy):
    assert "Digits" in page.get("/search/?q=digit").content.decode()
    client.force_login(cy)
    assert "/catalog/digits/" not in client.get("/search/?q=digit").content.decode()


def test_rest_pushes_files_by_digest_and_repeats_harmlessly(page, digits):
    body = b"weights"
    sha256 = "2a8ba9a6a2c3ea5e8a9d2c1d0c0c2d64".ljust(64, "0")
    wrong = page.put(f"/api/v1/objects/{sha256}/", body, "application/octet-stream")
    assert wrong.status_code == 422
    import hashlib

    sha256 = hashlib.sha256(body).hexdigest()
    page.put(f"/api/v1/objects/{sha256}/", body, "application/octet-stream")
    assert page.get(f"/api/v1/objects/{sha256}/").json()["size"] == len(body)
    document = json.dumps({"capability": "digits", "number": "1.0.0", "files": {"model.onnx": sha256}})

    first = page.post("/api/v1/versions/", document, "application/json", headers={"idempotency-key": "k"})
    again = page.post("/api/v1/versions/", document, "application/json", headers={"idempotency-key": "k"})

    assert (first.status_code, first.json()["status"]) == (201, "packaging")
    assert again.json()["id"] == first.json()["id"]
    assert Version.objects.count() == 1
