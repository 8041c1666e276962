"""Packaging: a job makes the package, its end moves the version on, whichever way it is told."""

import hashlib

import pytest
from django.utils import translation

from apps.catalog.models import Version
from apps.catalog.services import (
    materialise,
    package_version,
    reconcile_packaging,
    take_packaging_result,
)
from apps.compute.models import Job
from apps.core import lineage, manifests
from apps.core.errors import Conflict, IllegalMove, NotAllowed
from apps.core.telling import spoken
from atrium.signature import InvalidSignature, parse_signature
from atrium.told import patterns_of, tell
from tests.factories import make_capability, make_packaged_version, make_version, put_files

pytestmark = pytest.mark.django_db

PACKAGE = {"package.json": b"{}", "model/model.onnx": b"weights"}


@pytest.fixture(autouse=True)
def _strong_sandbox(monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)


@pytest.fixture
def version(radio, ada):
    return make_version(make_capability(radio, ada, "digits", card="# Digits"), ada, "1.0.0")


def end(job: Job, ended: str = "succeeded", *, digest: str = "", **result: object) -> None:
    """The job ends as compute would write it."""
    manifest = manifests.build(put_files(PACKAGE))
    told = {
        "status": "packaged",
        "digest": digest or manifests.digest(manifest),
        "framework": "onnx",
        "runtime": "onnx",
        "signature": {"inputs": [], "outputs": []},
        "cases": [{"name": "a", "passed": True}],
        "steps": [],
        **result,
    }
    outputs = {f"package/{path}": entry for path, entry in manifest.items()}
    Job.objects.filter(pk=job.pk).update(status=ended, result=told, outputs=outputs)


def test_the_job_gets_the_source_and_the_card(version, ada):
    job = package_version(version, by=ada)

    assert version.status == Version.Status.PACKAGING
    assert list(job.inputs) == ["source/model.onnx"]
    assert list(job.files) == ["inputs/source/card.md"]
    assert (job.params["capability"], job.params["version"]) == ("digits", "1.0.0")
    assert (job.environment, job.params["environment"]) == ("base", "base")


def test_a_good_end_makes_the_package(version, ada):
    job = package_version(version, by=ada)
    end(job)

    take_packaging_result(job.pk)

    version.refresh_from_db()
    assert version.status == Version.Status.PACKAGED
    assert set(version.manifest) == set(PACKAGE)
    assert version.digest == manifests.digest(version.manifest)
    assert lineage.urn(job) in {edge.source for edge in lineage.upstream(version)}


def test_the_event_may_come_twice_or_not_at_all(version, ada):
    job = package_version(version, by=ada)
    end(job)

    assert reconcile_packaging() == 1
    assert take_packaging_result(job.pk) is None
    assert reconcile_packaging() == 0


def test_a_failed_step_is_kept_with_what_to_do_and_can_be_repeated(version, ada):
    job = package_version(version, by=ada)
    failure = {"step": "load", "message": "no such class", "advice": "Save it again."}
    end(job, "failed", status="failed", failure=failure)

    take_packaging_result(job.pk)

    version.refresh_from_db()
    assert (version.status, version.failure) == ("failed", failure)
    again = package_version(version, by=ada)
    end(again)
    take_packaging_result(again.pk)
    version.refresh_from_db()
    assert version.status == "packaged"


def test_what_the_job_said_is_read_in_the_readers_language(version, ada, client, compiled_messages):
    job = package_version(version, by=ada)
    why = tell(
        "case '%(name)s': %(why)s",
        name="one",
        why=tell("output '%(name)s' is missing in the answer", name="y"),
    )
    failure = {"step": "cases", "message": why, "advice": tell("Correct signature.json.")}
    steps = [{"name": "cases", "status": "failed", "seconds": 1, "message": why}]
    end(job, "failed", status="failed", failure=failure, steps=steps, told=patterns_of(failure))
    take_packaging_result(job.pk)
    client.force_login(ada)
    address = "/catalog/digits/versions/1.0.0/"

    assert (
        "Case &#x27;one&#x27;: output &#x27;y&#x27; is missing in the answer"
        in client.get(address).content.decode()
    )
    ada.language = "zh-hans"
    ada.save()
    with translation.override("en"):  # what the request activates ends with it
        page = client.get(address).content.decode()
    assert page.count("用例“one”：回答中缺少输出“y”") == 2
    assert "请改正 signature.json。" in page


def test_what_is_wrong_with_a_signature_is_read_in_the_readers_language(compiled_messages):
    with pytest.raises(InvalidSignature) as refused:
        parse_signature({"inputs": [{"name": "x", "datatype": "FLOAT"}], "outputs": []})
    said = tell("the signature is wrong: %(error)s", error=str(refused.value))
    with translation.override("zh-hans"):
        assert "signature.inputs[0].datatype 为 'FLOAT'；请使用以下之一：BOOL" in spoken(said.parts())


def test_what_packaging_notes_is_read_on_the_page(version, ada, client):
    job = package_version(version, by=ada)
    end(job, cases=[], notes=["The output 'y' is nothing but NaN."])
    take_packaging_result(job.pk)
    client.force_login(ada)

    page = client.get("/catalog/digits/versions/1.0.0/").content.decode()

    assert "The output &#x27;y&#x27; is nothing but NaN." in page


def test_files_that_changed_on_the_way_are_noticed(version, ada):
    job = package_version(version, by=ada)
    end(job, digest="0" * 64)

    take_packaging_result(job.pk)

    version.refresh_from_db()
    assert version.status == "failed"
    assert "the job said" in version.failure["message"]


def test_a_vanished_job_fails_the_version(version, ada):
    package_version(version, by=ada)
    Version.objects.update(job_id=None)

    assert reconcile_packaging() == 1

    version.refresh_from_db()
    assert version.status == "failed"


def test_a_packaged_version_never_changes_again(version, ada):
    job = package_version(version, by=ada)
    end(job)
    take_packaging_result(job.pk)
    version.refresh_from_db()

    with pytest.raises(IllegalMove):
        package_version(version, by=ada)


def test_testers_and_outsiders_do_not_package(version, bo, cy):
    for person in (bo, cy):
        with pytest.raises(NotAllowed):
            package_version(version, by=person)


def test_the_package_becomes_a_read_only_directory_once(version, ada):
    job = package_version(version, by=ada)
    end(job)
    take_packaging_result(job.pk)
    version.refresh_from_db()

    folder = materialise(version)

    assert folder.name == version.digest
    assert (folder / "model/model.onnx").read_bytes() == b"weights"
    assert (folder / "model/model.onnx").stat().st_mode & 0o777 == 0o444
    assert materialise(version) == folder
    assert not list(folder.parent.glob(".making-*"))


def test_there_is_no_directory_without_a_package(version):
    with pytest.raises(Conflict):
        materialise(version)


def test_one_file_of_a_package_by_rest(client, radio, ada):
    made = make_packaged_version(make_capability(radio, ada, "digits", card="# Digits"), ada, "1.0.0")
    client.force_login(ada)
    of_version = f"/api/v1/versions/{made.pk}/"
    (path, *_others) = client.get(of_version).json()["manifest"]

    answer = client.get(f"{of_version}files/{path}/")

    content = b"".join(answer.streaming_content)
    assert hashlib.sha256(content).hexdigest() == made.manifest[path]["sha256"]
    assert "attachment" in answer["Content-Disposition"]
    assert client.get(f"{of_version}files/../settings.py/").status_code == 404
