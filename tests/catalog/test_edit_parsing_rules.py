"""Parsing rules: tried on real calls, written as revisions, named when they are wrong."""

import json

import pytest

from apps.catalog.models import ParsingRules, Version
from apps.catalog.selectors import rules_of
from apps.catalog.services import package_version, set_parsing_rules
from apps.compute import adapters
from apps.compute.engines.fake import FakeEngine
from apps.compute.models import Job
from apps.core import manifests
from apps.core.errors import Invalid, NotAllowed, StaleWrite
from apps.core.models import AuditEntry
from apps.gateway.models import Call
from tests.factories import (
    make_calls,
    make_capability,
    make_packaged_version,
    make_ready_deployment,
    make_version,
    put_files,
)

pytestmark = pytest.mark.django_db

P = "/catalog/digits/versions/1.0.0/parsing/"
CASE = {
    "name": "a seven",
    "inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [7]}],
    "expected": [{"name": "p", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.75]}],
}


@pytest.fixture
def version(radio, ada):
    version = make_packaged_version(make_capability(radio, ada, "digits"), ada, "1.0.0")
    shipped = {"cases.json": [CASE], "parsing.json": {"answer": "outputs[0].data"}}
    files = put_files({path: json.dumps(document).encode() for path, document in shipped.items()})
    manifest = version.manifest | manifests.build(files)
    Version.objects.update(manifest=manifest, digest=manifests.digest(manifest))
    version.refresh_from_db()
    return version


@pytest.fixture
def page(client, ada):
    client.force_login(ada)
    return client


def test_a_version_begins_with_the_rules_of_its_package(version):
    assert (rules_of(version).revision, rules_of(version).rules) == (0, {"answer": "outputs[0].data"})


def test_new_rules_are_a_revision_beside_the_package(version, ada):
    digest = version.digest

    set_parsing_rules(version, {"score": "max(outputs[0].data)"}, by=ada, note="for pulling")

    version.refresh_from_db()
    assert version.digest == digest
    assert (rules_of(version).revision, rules_of(version).rules) == (1, {"score": "max(outputs[0].data)"})
    assert AuditEntry.objects.filter(action="catalog.version.parsing_rules_set").count() == 1


def test_the_same_rules_make_no_revision(version, ada):
    assert set_parsing_rules(version, {"answer": "outputs[0].data"}, by=ada) is None


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"a": "outputs["}, "'a': the expression breaks off"),
        ({"a": "outputs[0]", "b": "fly(inputs)"}, "'b': there is no function 'fly'"),
        ({"a": "outputs ^ 1"}, "'a': column 9"),
        ({"a": 3}, "'a': the expression must be a text"),
        ({"no name!": "inputs"}, "'no name!': a name begins with a letter"),
        ([], "must be an object"),
        ({f"r{n}": "inputs" for n in range(41)}, "at most 40"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_named_and_nothing_is_kept(version, ada, rules, named):
    with pytest.raises(Invalid, match="cannot be taken") as refusal:
        set_parsing_rules(version, rules, by=ada)

    assert named in refusal.value.message
    assert not ParsingRules.objects.exists()


def test_the_slower_of_two_writers_is_told(version, ada):
    set_parsing_rules(version, {}, by=ada, seen=0)

    with pytest.raises(StaleWrite, match="meanwhile"):
        set_parsing_rules(version, {"b": "inputs"}, by=ada, seen=0)


def test_only_developers_of_the_team_write_them(version, bo):
    with pytest.raises(NotAllowed):
        set_parsing_rules(version, {}, by=bo)


def test_the_next_version_begins_with_the_rules_that_count_now(version, ada, monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    adapters.use(FakeEngine())
    set_parsing_rules(version, {"score": "max(outputs[0].data)"}, by=ada)

    job = package_version(make_version(version.capability, ada, "1.1.0"), by=ada)
    adapters.use(None)

    assert "inputs/source/parsing.json" in json.dumps(Job.objects.get(pk=job.pk).files)


def test_the_page_previews_rules_on_a_shipped_case_and_on_logged_calls(version, page, ada):
    make_calls(make_ready_deployment(version, ada, kind="test"), good=1, bad=0)
    body = {"inputs": [], "outputs": [{"name": "p", "data": [0.1, 0.9]}]}
    Call.objects.update(request=b"{}", response=json.dumps(body).encode())
    rules = {"name": ["top", "odd"], "expression": ["max(outputs[0].data)", "outputs["]}

    newest = page.post(f"{P}preview/", {**rules, "example": "0"}).content.decode()
    shipped = page.post(f"{P}preview/", {**rules, "example": "1"}).content.decode()

    assert ">0.9<" in newest
    assert ">0.75<" in shipped
    assert "2 of 2" in newest
    assert "breaks off at its end" in newest


def test_the_page_saves_and_a_name_that_stands_twice_is_refused(version, page):
    page.post(P, {"name": ["a", ""], "expression": ["outputs", ""], "seen": "0"})
    again = page.post(P, {"name": ["a", "a"], "expression": ["x", "y"], "seen": "1"})

    assert rules_of(version).rules == {"a": "outputs"}
    assert "stands twice" in again.content.decode()


def test_rest_writes_reads_and_tries_under_the_same_rules(version, page):
    address = f"/api/v1/versions/{version.pk}/parsing/"
    body = {"rules": {"score": "max(outputs[0].data)"}, "revision": 0}

    assert page.put(address, body, "application/json").json()["revision"] == 1
    assert page.put(address, body, "application/json").status_code == 409
    wrong = page.put(address, {"rules": {"score": "]"}}, "application/json")
    tried = page.post(
        f"{address}preview/", {"rules": {"score": "outputs[0].name"}}, "application/json"
    ).json()

    assert page.get(address).json()["rules"] == body["rules"]
    assert (wrong.status_code, "score" in wrong.json()["fields"]) == (422, True)
    assert (tried[0]["value"], tried[0]["error"]) == (None, "the score must be a number, got 'p'")
