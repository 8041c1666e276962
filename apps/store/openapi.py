"""A capability's OpenAPI 3.1 description: its calls at the gateway, with the exact tensors of one version.

Schemas are JSON Schema 2020-12, as OpenAPI 3.1 takes them: what a schema refuses, the gateway refuses. `x-unit`,
`x-labels` and `x-kind` say what no keyword of JSON Schema says. Pure but for the translation of sentences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.store import snippets
from atrium.oip.tensors import FLOATS, INTEGER_RANGES
from atrium.signature import columns_of

OPENAPI = "3.1.0"
_FORMATS = {"INT32": "int32", "INT64": "int64", "FP32": "float", "FP64": "double"}
_NOT_FINITE = {"enum": ["NaN", "Infinity", "-Infinity"]}

Schema = dict[str, Any]


@dataclass(frozen=True)
class About:
    """What is described besides the tensors."""

    slug: str
    name: str
    summary: str
    team: str
    version: str
    digest: str
    gateway_url: str
    deprecated: bool = False
    succeeded: bool = False
    """Whether another version takes its place, to which answers link."""


@dataclass(frozen=True)
class Operation:
    """One row of the readable view."""

    method: str
    path: str
    summary: str
    answers: list[tuple[str, str]]


def document(
    about: About, signature: Mapping[str, Any], cases: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The whole description of one version's calls; `cases` give the example."""
    description = _(
        "%(summary)s Open Inference Protocol v2: clients of KServe, Triton and MLServer work unmodified."
    )
    return {
        "openapi": OPENAPI,
        "info": {
            "title": about.name,
            "version": about.version,
            "description": (description % {"summary": about.summary}).strip(),
            "contact": {"name": about.team},
            "x-digest": about.digest,
        },
        "servers": [{"url": about.gateway_url}],
        "security": [{"key": []}],
        "paths": _paths(about),
        "components": _components(about, signature, cases),
    }


def operations(description: Mapping[str, Any]) -> list[Operation]:
    """The calls of a description, for people."""
    return [
        Operation(
            method.upper(),
            path,
            operation["summary"],
            [
                (status, _answer_words(answer, description))
                for status, answer in operation["responses"].items()
            ],
        )
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def _answer_words(answer: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    if "$ref" in answer:
        answer = description["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return str(answer["description"])


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


# Calls


def _paths(about: About) -> dict[str, Any]:
    place = f"/v2/models/{about.slug}"
    one = f"{place}/versions/{about.version}"
    return {
        f"{place}/infer": {"post": _infer("infer", _("Ask what is in production"), about)},
        f"{one}/infer": {"post": _infer("inferVersion", _("Ask this version"), about)},
        place: {"get": _read("describe", _("What it takes and gives"), "Metadata")},
        f"{place}/ready": {"get": _read("ready", _("Whether a copy is ready"), "Ready", not_ready=True)},
        "/v1/feedback": {"post": _feedback()},
    }


def _infer(name: str, summary: str, about: About) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "parameters": [_ref("parameters", each) for each in ("Timeout", "Caller")],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _ref("schemas", "InferRequest"),
                    "examples": {"case": _ref("examples", "call")},
                }
            },
        },
        "responses": {
            "200": {
                "description": _("The answer"),
                "headers": {
                    each: _ref("headers", each)
                    for each in ("X-Request-Id", "Atrium-Version", "RateLimit", "RateLimit-Policy")
                },
                "content": {"application/json": {"schema": _ref("schemas", "InferResponse")}},
            },
            **_refusals(400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504),
        },
    }
    if about.deprecated:
        operation["deprecated"] = True
        operation["responses"]["200"]["headers"] |= {
            each: _ref("headers", each)
            for each in ("Deprecation", "Sunset", *(("Link",) if about.succeeded else ()))
        }
    return operation


def _read(name: str, summary: str, schema: str, *, not_ready: bool = False) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref("schemas", schema)}}
    answers: dict[str, Any] = {"200": {"description": summary, "content": content}}
    refusals = _refusals(401, 403, 404, 503)
    if not_ready:
        refusals["503"] = {"description": _("No copy is ready"), "content": content}
    return {"operationId": name, "summary": summary, "responses": answers | refusals}


def _feedback() -> dict[str, Any]:
    accepted = {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "integer"}}}
    return {
        "operationId": "feedback",
        "summary": _("Say whether an answer was right"),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("schemas", "Feedback")}},
        },
        "responses": {
            "202": {"description": _("Taken"), "content": {"application/json": {"schema": accepted}}},
            **_refusals(400, 401, 403, 413, 422, 429, 503),
        },
    }


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): _ref("responses", f"Refused{status}") for status in statuses}


def _refused() -> dict[str, str]:
    """{status: what it means and what to do}."""
    return {
        "400": _("The body cannot be read as it was sent"),
        "401": _("The key is missing, unknown, revoked or expired"),
        "403": _("The key is suspended, for another capability, or not for this address"),
        "404": _("There is no such capability or version"),
        "413": _("The body is too large; send fewer items"),
        "422": _("A tensor is not as described: the message names it, the place and the value"),
        "429": _("A limit of the plan is reached; Retry-After says when to come back"),
        "500": _("The model or the gateway failed on this call"),
        "502": _("The model broke off its answer"),
        "503": _("No copy is free or ready; Retry-After says when to come back"),
        "504": _("The model did not answer in time"),
    }


# Components


def _components(
    about: About, signature: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    columns, table = columns_of(dict(signature)), _table(signature)
    inputs = {
        f"Input{at + 1}": _tensor(spec, columns if spec is table else (), given=True)
        for at, spec in enumerate(signature.get("inputs") or [])
    }
    outputs = {
        f"Output{at + 1}": _tensor(spec, (), given=False)
        for at, spec in enumerate(signature.get("outputs") or [])
    }
    schemas = {
        "InferRequest": _request(inputs, outputs),
        "InferResponse": _response(about, outputs),
        **inputs,
        **outputs,
        **_fixed_schemas(),
    }
    return {
        "securitySchemes": {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "description": _("A key of your subscription, as it was shown when it was made."),
            }
        },
        "schemas": schemas,
        "responses": {f"Refused{status}": _refusal(status, words) for status, words in _refused().items()},
        "parameters": _parameters(),
        "headers": _headers(),
        "examples": {
            "call": {
                "summary": _("One item that ships with the version"),
                "value": {"inputs": snippets.inputs_of(signature, cases)},
            }
        },
    }


def _table(signature: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The input whose last axis the columns describe, as `atrium.signature` finds it."""
    width = len(signature.get("columns") or [])
    wide = [spec for spec in signature.get("inputs") or [] if width and list(spec["shape"])[-1:] == [width]]
    return wide[0] if wide else None


def _request(inputs: Mapping[str, Schema], outputs: Mapping[str, Schema]) -> Schema:
    names = [schema["properties"]["name"]["const"] for schema in outputs.values()]
    wanted = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": names}, "parameters": {"type": "object"}},
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "description": _("Comes back in the answer.")},
            "parameters": {"type": "object"},
            "inputs": _tensors(inputs, all_of_them=True),
            "outputs": {
                "type": "array",
                "description": _("Which outputs to send; all of them when left out."),
                "items": wanted,
            },
        },
    }


def _response(about: About, outputs: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"const": about.slug},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": _tensors(outputs, all_of_them=False),
        },
    }


def _tensors(named: Mapping[str, Schema], *, all_of_them: bool) -> Schema:
    """A list of tensors in any order, each of its own schema."""
    refs = [_ref("schemas", name) for name in named]
    found: Schema = {"type": "array", "items": {"oneOf": refs}}
    if all_of_them:
        found |= {"minItems": len(refs), "maxItems": len(refs)}
        if len(refs) > 1:
            found["allOf"] = [{"contains": ref} for ref in refs]
    return found


def _tensor(spec: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], *, given: bool) -> Schema:
    shape = list(spec["shape"])
    found: Schema = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec["name"]},
            "datatype": {"const": spec["datatype"]},
            "shape": _shape(shape),
            "data": _data(spec, shape, columns, given=given),
            "parameters": {"type": "object"},
        },
    }
    if spec.get("title"):
        found["title"] = spec["title"]
    found |= _marks(spec)
    if spec.get("kind"):
        found["x-kind"] = spec["kind"]
    if spec.get("labels"):
        found["x-labels"] = list(spec["labels"])
    return found


def _marks(spec: Mapping[str, Any]) -> Schema:
    """What people read of a tensor or a column, with its unit."""
    words = [spec.get("description") or ""]
    if spec.get("unit"):
        words.append(_("Unit: %(unit)s.") % {"unit": spec["unit"]})
    found: Schema = {"description": text} if (text := " ".join(filter(None, words))) else {}
    return found | ({"x-unit": spec["unit"]} if spec.get("unit") else {})


def _shape(shape: Sequence[int]) -> Schema:
    sizes = [{"const": size} if size >= 0 else {"type": "integer", "minimum": 1} for size in shape]
    if not sizes:
        return {"type": "array", "maxItems": 0}
    return {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}


def _data(
    spec: Mapping[str, Any], shape: Sequence[int], columns: Sequence[Mapping[str, Any]], *, given: bool
) -> Schema:
    """The values of a tensor: flat and row by row, or nested as its shape says."""
    missing = spec.get("allow_missing") or any(column.get("optional") for column in columns)
    value = _value({**spec, "allow_missing": missing}, given=given)
    flat = _list_of(value, -1 if -1 in shape else math.prod(shape))
    flat["minItems"] = math.prod(size for size in shape if size >= 0)
    if len(shape) < 2:
        return flat | _shown(spec, len(shape))
    nested = _list_of(value, shape[-1])
    if columns:
        cells = [_cell(spec, column, given=given) for column in columns]
        titled = [
            {"title": column.get("title") or column["name"]} | _marks(column) | cell | _shown(column, 0)
            for column, cell in zip(columns, cells, strict=True)
        ]
        nested = {"type": "array", "prefixItems": titled, "minItems": len(cells), "maxItems": len(cells)}
    for size in reversed(shape[:-1]):
        nested = _list_of(nested, size)
    return {"oneOf": [flat, nested]} | _shown(spec, len(shape))


def _cell(spec: Mapping[str, Any], column: Mapping[str, Any], *, given: bool) -> Schema:
    """One value of a column: of its own datatype, in a table that may hold wider numbers; null where it is optional."""
    datatype = column.get("datatype") or spec["datatype"]
    if datatype == "BOOL" and spec["datatype"] != "BOOL":
        cell: Schema = {"enum": [0, 1]}
    else:
        cell = _value({**column, "datatype": datatype}, given=given)
    return {"anyOf": [cell, {"type": "null"}, {"const": "NaN"}]} if column.get("optional") else cell


def _list_of(items: Schema, size: int) -> Schema:
    return {"type": "array", "items": items} | (
        {"minItems": size, "maxItems": size} if size >= 0 else {"minItems": 1}
    )


def _shown(spec: Mapping[str, Any], dimensions: int) -> Schema:
    """The signature's example as whole data; the signature may leave out the axis of the items."""
    examples = spec.get("examples") or [spec.get("example")]
    return (
        {"examples": shown}
        if (shown := [_nested(each, dimensions) for each in examples if each is not None])
        else {}
    )


def _nested(example: Any, dimensions: int) -> Any:
    while _depth(example) < dimensions:
        example = [example]
    return example


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else int(isinstance(value, list))


def _value(spec: Mapping[str, Any], *, given: bool) -> Schema:
    """One value. Ranges and choices bind what is sent; what the model answers is only typed."""
    datatype = spec["datatype"]
    if given and spec.get("choices"):
        choices = [str(choice) if datatype == "BYTES" else choice for choice in spec["choices"]]
        return {"enum": choices}
    if datatype == "BYTES":
        return {"type": "string"}
    if datatype == "BOOL":
        return {"type": "boolean"}
    found: Schema = {"type": "number" if datatype in FLOATS else "integer"}
    if datatype in _FORMATS:
        found["format"] = _FORMATS[datatype]
    low, high = INTEGER_RANGES.get(datatype, (None, None))
    if given:
        low = spec["minimum"] if spec.get("minimum") is not None else low
        high = spec["maximum"] if spec.get("maximum") is not None else high
    found |= {key: bound for key, bound in (("minimum", low), ("maximum", high)) if bound is not None}
    if datatype not in FLOATS:
        return found
    if not given:
        return {"anyOf": [found, _NOT_FINITE]}
    return {"anyOf": [found, {"type": "null"}, {"const": "NaN"}]} if spec.get("allow_missing") else found


def _fixed_schemas() -> dict[str, Schema]:
    text = {"type": "string"}
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": text,
            "datatype": text,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
        },
    }
    return {
        "Metadata": {
            "type": "object",
            "required": ["name", "versions", "platform", "inputs", "outputs"],
            "properties": {
                "name": text,
                "versions": {"type": "array", "items": text},
                "platform": text,
                "inputs": {"type": "array", "items": tensor},
                "outputs": {"type": "array", "items": tensor},
            },
        },
        "Ready": {
            "type": "object",
            "required": ["name", "ready"],
            "properties": {"name": text, "ready": {"type": "boolean"}},
        },
        "Feedback": {
            "type": "object",
            "required": ["request_id"],
            "additionalProperties": False,
            "properties": {
                "request_id": {
                    "type": "string",
                    "format": "uuid",
                    "description": _("The answer's X-Request-Id."),
                },
                "correct": {"type": ["boolean", "null"]},
                "expected": {"description": _("What would have been right: {output: value}.")},
                "comment": {"type": "string", "maxLength": 10_000},
            },
            "anyOf": [{"required": [name]} for name in ("correct", "expected", "comment")],
        },
        "Problem": {
            "type": "object",
            "description": _("RFC 9457; `error` is what clients of the inference protocol read."),
            "required": ["type", "title", "status", "detail", "error"],
            "properties": {
                "type": {"type": "string", "format": "uri"},
                "title": text,
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": _("What is wrong, which value, and what to do.")},
                "instance": {"type": "string", "format": "uri"},
                "error": text,
            },
        },
    }


def _refusal(status: str, words: str) -> dict[str, Any]:
    headers = ["X-Request-Id"] + (["Retry-After"] if status in {"429", "503"} else [])
    return {
        "description": words,
        "headers": {name: _ref("headers", name) for name in headers},
        "content": {"application/problem+json": {"schema": _ref("schemas", "Problem")}},
    }


def _parameters() -> dict[str, Any]:
    return {
        "Timeout": {
            "name": "X-Atrium-Timeout-Ms",
            "in": "header",
            "description": _(
                "How long you wait, in milliseconds; what would come too late is refused at once."
            ),
            "schema": {"type": "integer", "minimum": 1},
        },
        "Caller": {
            "name": "Atrium-Caller",
            "in": "header",
            "description": _("Tells the end users of one key apart, so that each keeps to one version."),
            "schema": {"type": "string"},
        },
    }


def _headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "X-Request-Id": {
            "description": _("Names the call, in feedback and in its log."),
            "schema": {"type": "string", "format": "uuid"},
        },
        "Atrium-Version": {"description": _("The version that answered."), "schema": text},
        "RateLimit": {"description": _("What is left of each limit."), "schema": text},
        "RateLimit-Policy": {"description": _("The limits of the plan."), "schema": text},
        "Retry-After": {"description": _("Seconds to wait."), "schema": {"type": "integer", "minimum": 1}},
        "Deprecation": {"description": _("Since when it is deprecated (RFC 9745)."), "schema": text},
        "Sunset": {"description": _("When it ends (RFC 8594)."), "schema": text},
        "Link": {"description": _("The version in its place (RFC 8288, successor-version)."), "schema": text},
    }
