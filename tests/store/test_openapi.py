"""The OpenAPI description of a capability: valid, and as strict as the gateway is."""

import json
from pathlib import Path

import drf_spectacular.validation
import pytest
from jsonschema import Draft202012Validator

from apps.catalog.models import Version
from apps.store.openapi import About, document, operations
from atrium.oip.messages import decode_request
from atrium.oip.tensors import InvalidTensor
from atrium.signature import check_inputs, parse_signature
from tests.store.test_pages import SIGNATURE, as_cy, live  # noqa: F401  fixtures

ABOUT = About("mix", "Mix", "Tells apart.", "Radio", "1.2.0", "ab" * 32, "https://gateway.example")
MIX = {
    "inputs": [
        {"name": "rows", "datatype": "FP32", "shape": [-1, 2], "title": "Rows"},
        {"name": "picture", "datatype": "UINT8", "shape": [-1, 2, 2], "kind": "image", "maximum": 16,
         "example": [[1, 2], [3, 4]]},
        {"name": "mode", "datatype": "BYTES", "shape": [-1], "choices": ["fast", "slow"]},
        {"name": "load", "datatype": "FP64", "shape": [-1], "allow_missing": True, "unit": "%"},
    ],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": ["a", "b"]}],
    "columns": [
        {"name": "depth", "unit": "m", "minimum": 0, "maximum": 9, "example": 2.5},
        {"name": "kind", "choices": [1, 2]},
    ],
}  # fmt: skip


def call(**changes: object) -> dict[str, object]:
    """A good call of MIX; `changes` are laid over its tensors."""
    tensors = {
        "rows": {"datatype": "FP32", "shape": [1, 2], "data": [[2.5, 1]]},
        "picture": {"datatype": "UINT8", "shape": [1, 2, 2], "data": [1, 2, 3, 4]},
        "mode": {"datatype": "BYTES", "shape": [1], "data": ["fast"]},
        "load": {"datatype": "FP64", "shape": [1], "data": [None]},
    }
    return {
        "inputs": [
            {"name": name, **tensor, **changes.get(name, {})}
            for name, tensor in tensors.items()
            if changes.get(name, {}) is not None
        ]
    }


def schema_of(described: dict[str, object], name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
    )


def gateway_takes(body: dict[str, object]) -> bool:
    """What the runner's own check says of a call."""
    try:
        check_inputs(parse_signature(MIX), decode_request(json.dumps(body).encode()).inputs)
    except InvalidTensor:
        return False
    return True


def assert_valid(described: dict[str, object]) -> None:
    """By the schema of OpenAPI 3.1 itself; every schema by JSON Schema 2020-12, every reference leads somewhere."""
    folder = Path(drf_spectacular.validation.__file__).parent
    rules = json.loads((folder / "openapi_3_1_schema.json").read_text())
    assert [error.message for error in Draft202012Validator(rules).iter_errors(described)] == []
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in references(described):
        place = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(part: object) -> list[str]:
    if isinstance(part, list):
        return [found for each in part for found in references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return own + [found for each in part.values() for found in references(each)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rows": {"data": [2.5, 1]}},
        {"rows": {"data": [[2.5, 3]]}},
        {"rows": {"data": [[9.5, 1]]}},
        {"rows": {"data": [[2.5]]}},
        {"rows": {"shape": [1, 3], "data": [[2.5, 1, 1]]}},
        {"rows": {"datatype": "FP64"}},
        {"picture": {"data": [[[1, 2], [3, 4]]]}},
        {"picture": {"data": [1, 2, 3, 17]}},
        {"picture": {"data": [1, 2, 3, -1]}},
        {"picture": {"data": [1, 2, 3]}},
        {"picture": {"data": [1, 2, 3, 1.5]}},
        {"mode": {"data": ["idle"]}},
        {"mode": None},
        {"load": {"data": ["NaN"]}},
        {"load": {"data": [True]}},
        {"load": {"data": ["much"]}},
    ],
)
def test_a_schema_refuses_what_the_gateway_refuses(changes):
    body = call(**changes)

    assert schema_of(document(ABOUT, MIX), "InferRequest").is_valid(body) is gateway_takes(body)


def test_the_order_of_the_inputs_is_free_and_none_comes_twice():
    requests, body = schema_of(document(ABOUT, MIX), "InferRequest"), call()

    assert requests.is_valid({"inputs": body["inputs"][::-1]})
    assert not requests.is_valid({"inputs": [*body["inputs"][:3], body["inputs"][0]]})


@pytest.mark.parametrize("signature", [MIX, SIGNATURE])
def test_the_description_is_openapi_and_its_example_a_good_call(signature):
    described = document(ABOUT, signature)

    assert_valid(described)
    example = described["components"]["examples"]["call"]["value"]
    assert list(schema_of(described, "InferRequest").iter_errors(example)) == []


def test_units_ranges_and_examples_stand_in_the_schema():
    schemas = document(ABOUT, MIX)["components"]["schemas"]
    _flat, nested = schemas["Input1"]["properties"]["data"]["oneOf"]

    assert nested["items"]["prefixItems"][0] == {
        "title": "depth", "description": "Unit: m.", "x-unit": "m", "type": "number", "format": "float",
        "minimum": 0, "maximum": 9, "examples": [2.5],
    }  # fmt: skip
    assert schemas["Input2"]["properties"]["data"]["examples"] == [[[[1, 2], [3, 4]]]]
    assert schemas["Input4"]["x-unit"] == "%"
    assert schemas["Output1"]["x-labels"] == ["a", "b"]


def test_calls_need_the_key_and_each_refusal_is_a_problem_document():
    described = document(ABOUT, MIX)
    infer = described["paths"]["/v2/models/mix/infer"]["post"]

    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert described["security"] == [{"key": []}]
    assert {"401", "403", "422", "429", "503", "504"} <= infer["responses"].keys()
    assert "Retry-After" in described["components"]["responses"]["Refused429"]["headers"]
    first = operations(described)[0]
    assert (first.method, first.path) == ("POST", "/v2/models/mix/infer")
    assert dict(first.answers)["502"] == "The model broke off its answer"


def test_api_page_and_file_describe_the_version_that_answers(as_cy, live):  # noqa: F811
    described = as_cy.get("/api/v1/store/digits/openapi/").json()
    file = as_cy.get("/store/digits/openapi.json")

    assert_valid(described)
    assert described["info"]["version"] == live.number
    assert file.json() == described
    assert file["Content-Disposition"] == f'attachment; filename="digits-{live.number}-openapi.json"'
    assert f"/v2/models/digits/versions/{live.number}/infer" in as_cy.get("/store/digits/api/").text


def test_a_version_that_is_not_there_is_not_described(as_cy, live):  # noqa: F811
    Version.objects.filter(pk=live.pk).update(status="retired")

    assert as_cy.get("/api/v1/store/digits/openapi/?version=9.9.9").status_code == 404
    assert as_cy.get(f"/api/v1/store/digits/openapi/?version={live.number}").status_code == 404


@pytest.mark.parametrize(
    ("data", "good"),
    [
        ([[1.5, 3, 1]], True),
        ([[1.5, None, 0]], True),
        ([[1.5, 2.5, 0]], False),
        ([[1.5, 3, 2]], False),
        ([[None, 3, 1]], False),
    ],
)
def test_each_column_is_described_by_its_own_type(data, good):
    signature = {
        "inputs": [{"name": "t", "datatype": "FP64", "shape": [-1, 3]}],
        "outputs": MIX["outputs"],
        "columns": [
            {"name": "load", "examples": [12.5, 80]},
            {"name": "cells", "datatype": "INT32", "optional": True},
            {"name": "roaming", "datatype": "BOOL"},
        ],
    }
    described = document(ABOUT, signature, [])
    body = {"inputs": [{"name": "t", "datatype": "FP64", "shape": [1, 3], "data": data}]}

    assert_valid(described)
    assert schema_of(described, "InferRequest").is_valid(body) == good
    try:
        check_inputs(parse_signature(signature), decode_request(json.dumps(body).encode()).inputs)
        taken = True
    except InvalidTensor:
        taken = False
    assert taken == good
    cell = described["components"]["schemas"]["Input1"]["properties"]["data"]["oneOf"][1]["items"][
        "prefixItems"
    ][0]
    assert cell["examples"] == [12.5, 80]
