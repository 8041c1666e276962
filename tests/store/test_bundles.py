"""A version that is taken to a device: who may, what is inside, and that it really runs there."""

import hashlib
import io
import json
import zipfile

import pytest
from django.test import Client

from apps.catalog.models import Version
from apps.core.models import AuditEntry
from apps.store import bundles, services
from apps.store.models import Subscription
from tests.factories import make_plan, make_user
from tests.store.test_pages import as_ada, as_cy, live  # noqa: F401  fixtures

PATH = "/store/digits/versions/{number}/bundle.zip"


@pytest.fixture(autouse=True)
def _small_runtime(monkeypatch):
    """The runtime's megabytes are looked at by the browser's test."""
    monkeypatch.setattr(bundles, "_runtime", lambda: b"window.bundleRuntime = {};\n")


@pytest.fixture
def taken(digits, live, ada, transport, cy) -> Subscription:  # noqa: F811
    return services.subscribe(make_plan(digits, ada, "mobile", device=True), transport, by=cy)


def names_of(response) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))


def test_whoever_builds_it_takes_a_folder_with_the_package_and_a_page(as_ada, live, ada):  # noqa: F811
    with names_of(as_ada.get(PATH.format(number=live.number))) as archive:
        assert archive.testzip() is None
        assert {"index.html", "model.onnx", "bundle.json", "page/run.js", "page/model.js"} <= set(
            archive.namelist()
        )
        told = json.loads(archive.read("bundle.json"))
        assert told["digest"] == live.digest
        assert hashlib.sha256(archive.read("model.onnx")).hexdigest() == told["model"]["sha256"]
        lines = "".join(f"{path}\0{sha256}\n" for path, sha256 in sorted(told["package"].items()))
        assert hashlib.sha256(lines.encode()).hexdigest() == live.digest
    entry = AuditEntry.objects.filter(action="store.bundle.taken").get()
    assert (entry.actor, entry.facts["digest"]) == (ada, live.digest)


def test_a_subscriber_takes_what_is_in_production_when_the_plan_allows_it(as_cy, live, taken):  # noqa: F811
    page = as_cy.get("/store/digits/versions/").text
    assert PATH.format(number=live.number) in page
    assert as_cy.get(PATH.format(number=live.number)).status_code == 200
    assert as_cy.get(f"/api/v1/store/digits/versions/{live.number}/bundle/").status_code == 200


def test_another_plan_does_not_allow_it(as_cy, live, digits, free, transport, cy):  # noqa: F811
    services.subscribe(free, transport, by=cy)
    answer = as_cy.get(PATH.format(number=live.number))
    assert answer.status_code == 403
    assert "whose plan allows it" in answer.text
    assert PATH.format(number=live.number) not in as_cy.get("/store/digits/versions/").text
    assert as_cy.get(f"/api/v1/store/digits/versions/{live.number}/bundle/").status_code == 403


def test_a_visitor_logs_in_first_and_a_stranger_is_refused(live, taken):  # noqa: F811
    assert Client().get(PATH.format(number=live.number)).status_code == 302
    stranger = Client()
    stranger.force_login(make_user("stranger"))
    assert stranger.get(PATH.format(number=live.number)).status_code == 403


def test_when_the_signature_falls_subscribers_get_no_more_of_it(as_cy, live, taken, signed):  # noqa: F811
    signed.clear()
    assert as_cy.get(PATH.format(number=live.number)).status_code == 403


def test_a_version_of_another_framework_is_refused_in_words(as_ada, live):  # noqa: F811
    Version.objects.filter(pk=live.pk).update(runtime="python")
    answer = as_ada.get(PATH.format(number=live.number))
    assert answer.status_code == 409
    assert "its own framework" in answer.text
    assert PATH.format(number=live.number) not in as_ada.get("/store/digits/versions/").text


def test_a_large_model_lies_beside_the_page_alone(as_ada, live, monkeypatch):  # noqa: F811
    monkeypatch.setattr(bundles, "LARGEST_IN_PAGE", 0)
    with names_of(as_ada.get(PATH.format(number=live.number))) as archive:
        assert "page/model.js" not in archive.namelist()
        assert b"page/model.js" not in archive.read("index.html")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 100])
def test_base64_in_parts_is_the_base64_of_the_whole(size):
    import base64

    parts = [bytes([n % 251]) * (n % 4) for n in range(size)]
    script = b"".join(bundles._script("x", parts)).decode()
    assert base64.b64decode(script.split('"')[1]) == b"".join(parts)
