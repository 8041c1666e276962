"""A version says what it was made from; each word is checked, and both ends show the other."""

import pytest

from apps.catalog.models import Version
from apps.compute import adapters
from apps.compute.engines.fake import FakeEngine
from apps.compute.models import Job
from apps.core.urns import urn
from apps.datasets.services import create_version as create_dataset_version
from tests.catalog.test_pages import zipped
from tests.factories import make_capability, make_dataset, make_team, make_user, put_files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    adapters.use(FakeEngine())
    yield
    adapters.use(None)


@pytest.fixture
def page(client, ada, radio):
    make_capability(radio, ada, "digits")
    client.force_login(ada)
    return client


@pytest.fixture
def pixels(radio, ada):
    files = put_files({"a.csv": b"a\n1\n"})
    return create_dataset_version(make_dataset(radio, ada, "pixels"), files, by=ada)


@pytest.fixture
def trained(radio, ada):
    return Job.objects.create(kind="script", title="Train", team=radio, created_by=ada)


def send(page, **said):
    return page.post(
        "/catalog/digits/upload/",
        {"number": "1.0.0", "files": zipped({"model.onnx": b"weights"}), **said},
        headers={"accept": "application/json"},
    )


def test_the_upload_form_keeps_data_code_job_and_parameters_and_both_pages_link(page, pixels, trained):
    words = {"dataset_version": "pixels/1", "code_digest": "ab12cd3", "training_job": str(trained.pk)}

    send(page, **words, parameters='{"trees": 50}')

    version = Version.objects.get()
    assert (version.dataset_version_urn, version.code_digest) == (urn(pixels), "ab12cd3")
    assert (version.training_job_urn, version.parameters) == (urn(trained), {"trees": 50})
    model = page.get("/catalog/digits/versions/1.0.0/").content.decode()
    assert '<a href="/datasets/pixels/versions/1/">pixels v1</a>' in model
    assert f'<a href="/jobs/{trained.pk}/">' in model
    data = page.get("/datasets/pixels/versions/1/").content.decode()
    assert '<a href="/catalog/digits/versions/1.0.0/">digits 1.0.0</a>' in data


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"dataset_version": "pixels"}, "Write it as <data set>/<number>"),
        ({"dataset_version": "pixels/7"}, "has no version 7"),
        ({"dataset_version": "secret/1"}, "no data set “secret” that you may see"),
        ({"code_digest": "main"}, "“main” is no code version"),
        ({"training_job": "soon"}, "“soon” is no job"),
        ({"training_job": "999999"}, "no job 999999 that you may see"),
        ({"parameters": "{trees: 50}"}, "The parameters are no JSON"),
        ({"parameters": "[50]"}, "must be a JSON object"),
        ({"parameters": '{"trees": "\\u0000"}'}, "no text can be kept with"),
    ],
)
def test_what_is_said_wrong_is_told_beside_its_field_and_nothing_is_kept(page, pixels, said, told):
    other = make_team()
    make_dataset(other, make_user(team=other), "secret")

    answer = send(page, **said)

    assert answer.status_code == 422
    assert told in answer.json()["fields"][next(iter(said))]
    assert not Version.objects.exists()


def test_who_may_not_see_the_data_set_reads_that_and_gets_no_link(page, pixels):
    send(page, dataset_version="pixels/1")
    pixels.dataset.team = make_team()
    pixels.dataset.save()

    text = page.get("/catalog/digits/versions/1.0.0/").content.decode()

    assert f"number {pixels.pk}, which you may not see" in text
    assert "pixels v1" not in text


def test_rest_takes_the_same_words(page, pixels, trained):
    files = put_files({"model.onnx": b"weights"})
    body = {"capability": "digits", "number": "1.0.0", "files": files, "training_job": trained.pk}

    wrong = page.post("/api/v1/versions/", {**body, "code_digest": "HEAD"}, "application/json")
    right = page.post("/api/v1/versions/", {**body, "dataset_version": "pixels/1"}, "application/json")

    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["code_digest"])
    assert right.json()["training_job_urn"] == urn(trained)


def test_the_upload_form_searches_data_set_versions_and_one_may_be_none(page, pixels):
    form = page.get("/catalog/digits/upload/").content.decode()
    assert 'hx-get="/jobs/data/?field=dataset_version&amp;single=1&amp;optional=1"' in form
    assert 'name="dataset_version" value="pixels/1">' in form
    assert 'name="dataset_version" value="" checked>' in form

    chosen = page.get(
        "/jobs/data/?field=dataset_version&single=1&optional=1&dataset_version=pixels/1&words=none"
    )
    assert 'value="pixels/1" checked>' in chosen.content.decode()
    assert 'value="" checked' not in chosen.content.decode()

    assert send(page, dataset_version="").status_code == 201
    assert Version.objects.get().dataset_version_urn == ""
