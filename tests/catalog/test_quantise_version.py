"""An int8 version is made of the same upload, where packaging offers it, and its page shows the figures."""

import pytest

from apps.catalog.models import Version
from apps.catalog.services import create_int8_version, package_version
from apps.catalog.views.versions import log_of_step
from apps.core import lineage
from apps.core.errors import Conflict, NotAllowed
from apps.datasets.services import create_version as create_dataset_version
from tests.factories import make_capability, make_dataset, make_packaged_version, make_version, put_files

pytestmark = pytest.mark.django_db

OFFERED = {
    "conversion": {
        "converted": True,
        "reason": "answers agree",
        "outputs": {"probabilities": {"difference": 1.25e-7, "allowed": 1e-4, "same": 1.0}},
    },
    "quantisation": {
        "offered": True,
        "chosen": False,
        "reason": "int8 holds on 2 cases; offered",
        "outputs": {"probabilities": {"difference": 0.0034, "allowed": 0.02, "same": 1.0}},
        "size": 7_000,
        "latency": {"p50_ms": 0.021, "p99_ms": 0.04},
    },
    "latency": {"before": {"p50_ms": 0.3, "p99_ms": 0.5}, "after": {"p50_ms": 0.011, "p99_ms": 0.02}},
    "size": {"before": 22_000, "after": 21_000},
}


@pytest.fixture(autouse=True)
def _strong_sandbox(monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


@pytest.fixture
def version(radio, ada):
    version = make_packaged_version(make_capability(radio, ada, "digits"), ada, "1.0.0")
    Version.objects.filter(pk=version.pk).update(report=OFFERED)
    version.refresh_from_db()
    return version


def test_the_page_shows_the_offer_with_its_figures(client, ada, version):
    client.force_login(ada)

    text = client.get("/catalog/digits/versions/1.0.0/").content.decode()

    assert "1.25e-07" in text
    assert "0.0034" in text
    assert "Make an int8 version" in text
    assert 'value="1.0.1"' in text


def test_the_int8_version_has_the_same_upload_and_tells_where_it_comes_from(client, ada, version):
    client.force_login(ada)

    answer = client.post("/catalog/digits/versions/1.0.0/int8/", {"number": ""})

    made = Version.objects.get(number="1.0.1")
    assert answer.url == "/catalog/digits/versions/1.0.1/"
    assert made.source_digest == version.source_digest
    assert made.status == Version.Status.PACKAGING
    assert made.parameters["packaging"] == {"quantise": True}
    assert lineage.urn(version) in {edge.source for edge in lineage.upstream(made)}


def test_the_api_does_the_same(client, ada, version):
    client.force_login(ada)

    answer = client.post(
        f"/api/v1/versions/{version.pk}/int8/", {"number": "2.0.0"}, content_type="application/json"
    )

    assert (answer.status_code, answer.json()["number"]) == (201, "2.0.0")
    assert answer.json()["status"] == "packaging"


def test_what_is_not_offered_cannot_be_made(version, ada, bo):
    with pytest.raises(NotAllowed):
        create_int8_version(version, "1.0.1", by=bo)
    version.report = {"quantisation": {"offered": False, "reason": "int8 changes the answers"}}
    with pytest.raises(Conflict, match="int8 changes the answers"):
        create_int8_version(version, "1.0.1", by=ada)


def test_the_rows_of_the_named_data_set_go_into_the_job(radio, ada):
    table = b"a,b\n1,2\n"
    files = put_files({"rows.csv": table, "notes.txt": b"hello"})
    data = create_dataset_version(make_dataset(radio, ada, "faults"), files, by=ada)
    version = make_version(make_capability(radio, ada, "digits"), ada, "1.0.0", dataset_version=data)

    job = package_version(version, by=ada)

    assert sorted(job.inputs) == ["golden/rows.csv", "source/model.onnx"]


def test_the_failed_step_shows_its_own_log():
    log = b"read: looking\nread: found\nload: loading\nTraceback: no xgboost\nload failed: sorry\n"

    assert log_of_step(log, "load") == b"load: loading\nTraceback: no xgboost\nload failed: sorry\n"
    assert log_of_step(log, "convert") == log
