"""The test page of a test deployment: inputs kept with their answers, run again, shipped with a new version."""

from __future__ import annotations

import json

import pytest
from django.utils import translation

from apps.catalog.models import Version
from apps.core import objects
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway.models import Grant
from apps.store import adapters, services
from apps.store.adapters import Answer
from apps.store.models import CaseResult, SavedCase
from apps.store.services.cases import difference
from atrium.oip.tensors import read_json
from tests.factories import make_packaged_version, make_ready_deployment
from tests.store.test_pages import as_ada, as_cy, live  # noqa: F401  fixtures

IMAGE = [3] * 64
INPUT = {"name": "image", "datatype": "FP32", "shape": [1, 8, 8], "data": IMAGE}
SEVEN = {"name": "class", "datatype": "INT64", "shape": [1], "data": [7]}


@pytest.fixture
def deployment(digits, live, ada):  # noqa: F811
    version = make_packaged_version(digits, ada, "2.0.0")
    sha256, size = objects.put(
        [json.dumps([{"name": "shipped", "inputs": [INPUT], "expected": [SEVEN]}]).encode()]
    )
    manifest = {**version.manifest, "cases.json": {"sha256": sha256, "size": size}}
    Version.objects.filter(pk=version.pk).update(signature=live.signature, manifest=manifest)
    version.refresh_from_db()
    return make_ready_deployment(version, ada, kind="test")


@pytest.fixture
def gateway(monkeypatch) -> list[str]:
    """The keys that asked; the answer is always a seven."""
    keys: list[str] = []

    def infer(capability, inputs, *, key, version=""):
        keys.append(key)
        return Answer(200, {"model_version": "2.0.0", "outputs": [SEVEN]}, request_id="r", took_ms=3.0)

    monkeypatch.setattr(adapters, "infer", infer)
    return keys


def page(client, deployment, what="", **fields):
    address = f"/operations/{deployment.pk}/test/{what}"
    asked = {"in-0": json.dumps(IMAGE), **fields}
    return (
        client.post(address, asked, headers={"HX-Request": "true"}) if fields or what else client.get(address)
    )


def test_an_answer_is_kept_with_the_input_and_asked_again(as_ada, deployment, gateway):  # noqa: F811
    shown = as_ada.post(
        f"/operations/{deployment.pk}/test/", {"in-0": json.dumps(IMAGE)}, headers={"HX-Request": "true"}
    )
    assert "data-answer>7<" in shown.text.replace("\n", "")
    saved = page(
        as_ada, deployment, "save/", case_name="slanted", expect="answer", outputs=json.dumps([SEVEN])
    )
    wrong = page(
        as_ada, deployment, "save/", case_name="a one", expect="label", label="1", outputs=json.dumps([SEVEN])
    )
    assert (saved.status_code, wrong.status_code) == (200, 200)

    ran = page(as_ada, deployment, "run/")

    assert "1 of 3 did not pass" in ran.text
    assert "class is 7; expected is 1." in ran.text
    assert [case.name for case in SavedCase.objects.order_by("pk")] == ["slanted", "a one"]
    assert SavedCase.objects.get(name="slanted").expected == [SEVEN]
    assert AuditEntry.objects.filter(action="store.case.saved").count() == 2


def test_results_are_there_for_whoever_comes_back(as_ada, deployment, digits, ada, ole, gateway, client):  # noqa: F811
    services.save_case(digits, name="an eight", inputs=[INPUT], expected=[{**SEVEN, "data": [8]}], by=ada)
    page(as_ada, deployment, "run/")
    services.save_case(digits, name="newer", inputs=[INPUT], expected=[SEVEN], by=ada)

    client.force_login(ole)
    seen = page(client, deployment).text
    assert "1 of 2 did not pass." in seen
    assert "class is 7; expected is 8." in seen
    assert "Last run by ada" in seen
    assert "some cases are newer" in seen
    told = client.get(f"/api/v1/saved-cases/results/?deployment={deployment.pk}").json()
    assert [(row["name"], row["status"], row["difference"], row["by"]) for row in told] == [
        ("an eight", "failed", 1.0, "ada"), ("shipped", "passed", 0.0, "ada"),
    ]  # fmt: skip


def test_the_last_result_of_a_case_replaces_the_one_before_and_goes_with_the_case(
    as_ada, deployment, digits, ada, gateway, monkeypatch, compiled_messages  # noqa: F811
):  # fmt: skip
    case = services.save_case(
        digits, name="an eight", inputs=[INPUT], expected=[{**SEVEN, "data": [8]}], by=ada
    )
    page(as_ada, deployment, "run/")
    with translation.override("zh-hans"):
        assert "预期" in CaseResult.objects.get(saved=case).why
    eight = {**SEVEN, "data": [8]}
    monkeypatch.setattr(adapters, "infer", lambda *args, **facts: Answer(200, {"outputs": [eight]}))
    page(as_ada, deployment, "run/")

    assert CaseResult.objects.count() == 2
    assert CaseResult.objects.get(saved=case).status == "passed"
    services.remove_case(case, by=ada)
    assert [row.key for row in CaseResult.objects.all()] == ["shipped-0"]


COST = {"name": "cost", "datatype": "FP64", "shape": [1], "data": [151.25]}
SERIES = {"name": "next", "datatype": "INT64", "shape": [1, 3], "data": [4, 5, 6]}


def test_another_number_is_expected_than_was_answered(as_ada, deployment, monkeypatch):  # noqa: F811
    signature = deployment.version.signature
    outputs = [
        {"name": "cost", "datatype": "FP64", "shape": [-1], "title": "Cost", "unit": "EUR"},
        {"name": "next", "datatype": "INT64", "shape": [-1, 3], "kind": "series"},
    ]
    Version.objects.filter(pk=deployment.version_id).update(signature={**signature, "outputs": outputs})
    answer = Answer(200, {"model_version": "2.0.0", "outputs": [COST, SERIES]}, request_id="r")
    monkeypatch.setattr(adapters, "infer", lambda *args, **facts: answer)
    shown = as_ada.post(
        f"/operations/{deployment.pk}/test/", {"in-0": json.dumps(IMAGE)}, headers={"HX-Request": "true"}
    ).text
    assert 'name="number-cost" value="151.25"' in shown
    assert 'name="number-next" value="4, 5, 6"' in shown

    given = {"case_name": "dear", "expect": "numbers", "outputs": json.dumps([COST, SERIES])}
    few = page(as_ada, deployment, "save/", **given, **{"number-cost": "160", "number-next": "4, 5"})
    broken = page(as_ada, deployment, "save/", **given, **{"number-cost": "nan", "number-next": "4 5 6"})
    saved = page(as_ada, deployment, "save/", **given, **{"number-cost": "160.5", "number-next": "4 5 7"})

    assert (few.status_code, broken.status_code, saved.status_code) == (422, 422, 200)
    assert "next: 2 numbers were given, 3 are needed." in few.text
    assert "Cost: Type numbers" in broken.text
    assert SavedCase.objects.get().expected == [{**COST, "data": [160.5]}, {**SERIES, "data": [4, 5, 7]}]


def test_nobody_waits_for_a_deployment_that_does_not_answer(as_ada, deployment, digits, ada, monkeypatch):  # noqa: F811
    asked: list[str] = []
    monkeypatch.setattr(
        adapters, "infer", lambda *args, **facts: asked.append("") or Answer(503, {"detail": "no copy"})
    )
    services.save_case(digits, name="first", inputs=[INPUT], expected=[SEVEN], by=ada)

    ran = page(as_ada, deployment, "run/")

    assert len(asked) == 1
    assert "no copy" in ran.text
    assert "Not asked: the one before it got no answer." in ran.text
    assert "2 of 2 did not pass" in ran.text


def test_one_key_of_the_person_asks_and_reaches_this_deployment_alone(as_ada, deployment, gateway):  # noqa: F811
    page(as_ada, deployment, "run/")
    page(as_ada, deployment, "run/")

    assert len(set(gateway)) == 1
    grant = Grant.objects.get(kind="test")
    assert grant.scope == f"deployment:{deployment.pk}"


def test_a_case_fills_the_form(as_ada, deployment):  # noqa: F811
    address, target = f"/operations/{deployment.pk}/test/", {"HX-Target": "try-fields"}
    empty, filled = (as_ada.get(address + query, headers=target) for query in ("", "?case=shipped-0"))
    assert "[3" not in empty.text
    assert "[3" in filled.text


def test_what_cannot_be_saved_says_why_and_keeps_the_table(as_ada, deployment):  # noqa: F811
    page(as_ada, deployment, "save/", case_name="twice", expect="nothing")
    again = page(as_ada, deployment, "save/", case_name="twice", expect="nothing")
    nameless = page(as_ada, deployment, "save/", case_name=" ", expect="nothing")

    assert (again.status_code, nameless.status_code) == (422, 422)
    assert "There is a case “twice” already." in again.text
    assert "shipped" in again.text
    assert "Give the case a name" in nameless.text


def test_what_is_sensitive_is_not_kept(deployment, digits, ada):
    signature = deployment.version.signature
    secret = {**signature, "inputs": [{**signature["inputs"][0], "sensitive": True}]}
    Version.objects.filter(pk=deployment.version_id).update(signature=secret)

    with pytest.raises(Invalid, match="image is sensitive"):
        services.save_case(digits, name="x", inputs=[INPUT], expected=[SEVEN], by=ada)

    assert not SavedCase.objects.exists()


def test_saved_cases_ship_with_a_new_version_of_the_same_model(as_ada, deployment, ada, digits, monkeypatch):  # noqa: F811
    monkeypatch.setattr("apps.catalog.services.package_version", lambda version, by: None)
    with pytest.raises(Conflict, match="no saved case"):
        services.ship_cases(deployment.version, by=ada)
    services.save_case(digits, name="slanted", inputs=[INPUT], expected=[SEVEN], by=ada)

    made = services.ship_cases(deployment.version, by=ada)

    with objects.open_object(made.source_manifest["cases.json"]["sha256"]) as stream:
        assert [case["name"] for case in json.loads(stream.read())] == ["shipped", "slanted"]
    assert made.number == "2.0.1"
    assert made.source_manifest.keys() - {"cases.json"} == deployment.version.source_manifest.keys() - {
        "cases.json"
    }


def test_who_does_not_build_it_sees_and_changes_nothing(as_cy, deployment, digits, cy):  # noqa: F811
    assert page(as_cy, deployment).status_code in {403, 404}
    with pytest.raises(NotAllowed):
        services.save_case(digits, name="x", inputs=[INPUT], expected=[], by=cy)


def test_rest_saves_runs_and_removes(as_ada, deployment, gateway):  # noqa: F811
    body = {"capability": "digits", "name": "by rest", "inputs": [INPUT], "expected": [SEVEN]}
    made = as_ada.post("/api/v1/saved-cases/", body, content_type="application/json")
    bad = as_ada.post(
        "/api/v1/saved-cases/",
        {**body, "name": "b", "inputs": [{**INPUT, "data": [1]}]},
        content_type="application/json",
    )
    ran = as_ada.post(
        "/api/v1/saved-cases/run/", {"deployment": deployment.pk}, content_type="application/json"
    )
    gone = as_ada.delete(f"/api/v1/saved-cases/{made.json()['id']}/")

    assert (made.status_code, bad.status_code, ran.status_code, gone.status_code) == (201, 422, 200, 204)
    assert [(one["name"], one["status"]) for one in ran.json()] == [
        ("by rest", "passed"),
        ("shipped", "passed"),
    ]
    assert not SavedCase.objects.exists()


@pytest.mark.parametrize(
    ("left", "right", "apart"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1, 2], [1, 2], 0.0),
        (["a"], ["b"], float("inf")),
    ],
)
def test_how_far_two_answers_lie_apart(left, right, apart):
    kind = "BYTES" if isinstance(left[0], str) else "FP64"
    one, other = (
        {"name": "y", "datatype": kind, "shape": [len(left)], "data": data} for data in (left, right)
    )
    assert difference(read_json(one), read_json(other)) == apart


@pytest.mark.parametrize("outputs", ["", "{", "[1]", '{"name": 1}', '[{"name": []}]', '[{"data": [7]}]'])
@pytest.mark.parametrize("expect", ["answer", "label"])
def test_an_answer_that_nobody_gave_is_not_kept(as_ada, deployment, outputs, expect):  # noqa: F811
    saved = page(as_ada, deployment, "save/", case_name="x", expect=expect, label="1", outputs=outputs)
    assert saved.status_code == 422
    assert not SavedCase.objects.exists()


@pytest.mark.parametrize("wrong", [{"data": [1]}, {"data": None}, {"shape": "x"}, {"datatype": "FP1"}])
def test_tensors_that_cannot_be_are_refused(digits, ada, db, wrong):
    with pytest.raises(Invalid, match="image"):
        services.save_case(digits, name="x", inputs=[{**INPUT, **wrong}], expected=[], by=ada)


def test_values_that_would_follow_as_bytes_are_refused(digits, ada, db):
    binary = {"name": "image", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    with pytest.raises(Invalid, match="has no data"):
        services.save_case(digits, name="x", inputs=[binary], expected=[], by=ada)


def test_an_answer_that_cannot_be_read_fails_the_case(as_ada, deployment, monkeypatch):  # noqa: F811
    broken = {"outputs": [{**SEVEN, "shape": [2]}]}
    monkeypatch.setattr(adapters, "infer", lambda *args, **facts: Answer(200, broken))
    assert "shape [2]" in page(as_ada, deployment, "run/").text
