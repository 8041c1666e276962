"""Code that calls a capability, ready to be copied and run. Each snippet is executed by a test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from apps.core.package import install_line
from apps.store.inputs import flatten

KEY_HINT = "paste your key here"
_NUMPY = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64", "UINT8": "uint8",
    "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "FP16": "float16", "FP32": "float32",
    "FP64": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Snippet:
    """A piece of code in one language."""

    name: str
    title: str
    code: str
    note: str = ""


def inputs_of(signature: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One call's inputs: the first item of the first shipped case, else of the signature's examples, else zeros."""
    given = {tensor["name"]: tensor for tensor in (cases[0]["inputs"] if cases else [])}
    return [_first_item(spec, given.get(spec["name"]), signature) for spec in signature.get("inputs") or []]


def _first_item(
    spec: Mapping[str, Any], tensor: Mapping[str, Any] | None, signature: Mapping[str, Any]
) -> dict[str, Any]:
    shape = [1 if size == -1 else size for size in spec["shape"]]
    if tensor is not None:
        shape = [1 if at == 0 and spec["shape"][0] == -1 else size for at, size in enumerate(tensor["shape"])]
    size = 1
    for each in shape:
        size *= each
    data = list(flatten(tensor["data"]))[:size] if tensor is not None else _example(spec, signature, size)
    plain = [int(value) if isinstance(value, float) and value.is_integer() else value for value in data]
    return {"name": spec["name"], "datatype": spec["datatype"], "shape": shape, "data": plain}


def _example(spec: Mapping[str, Any], signature: Mapping[str, Any], size: int) -> list[Any]:
    columns = signature.get("columns") or []
    if spec.get("example") is not None:
        return list(flatten(spec["example"]))[:size]
    if len(columns) == size and columns:
        return [_allowed(column, spec["datatype"]) for column in columns]
    return [_allowed(spec, spec["datatype"])] * size


def _allowed(spec: Mapping[str, Any], datatype: str) -> Any:
    """The example of a tensor or a column, else a value that it takes: a choice, or what lies next to zero."""
    if spec.get("example") is not None:
        return spec["example"]
    if spec.get("choices"):
        return spec["choices"][0]
    if datatype == "BYTES":
        return ""
    low, high = spec.get("minimum"), spec.get("maximum")
    return max(low or 0, 0) if high is None else min(max(low or 0, 0), high)


def snippets(
    gateway_url: str, capability: str, inputs: Sequence[Mapping[str, Any]], key: str
) -> list[Snippet]:
    """The call in curl, Python with the standard client, Python with ours, and JavaScript."""
    return [
        Snippet("curl", "curl", curl(gateway_url, capability, inputs, key)),
        Snippet(
            "tritonclient",
            "Python, tritonclient",
            _triton(gateway_url, capability, inputs, key),
            note="pip install 'tritonclient[http]'",
        ),
        Snippet(
            "atrium", "Python, atrium", _atrium(gateway_url, capability, inputs, key), note=install_line()
        ),
        Snippet("javascript", "JavaScript", _javascript(gateway_url, capability, inputs, key)),
    ]


def curl(gateway_url: str, capability: str, inputs: Sequence[Mapping[str, Any]], key: str) -> str:
    """One line of shell."""
    body = json.dumps({"inputs": list(inputs)}, ensure_ascii=False).replace("'", "'\\''")
    return (
        f"curl -sS {gateway_url}/v2/models/{capability}/infer \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )


def _array(tensor: Mapping[str, Any]) -> str:
    if tensor["datatype"] == "BYTES":
        texts = ", ".join(
            repr(str(text).encode()) if str(text).isascii() else f"{text!r}.encode()"
            for text in tensor["data"]
        )
        return f"np.array([{texts}], dtype=np.object_)"
    return f"np.array({json.dumps(tensor['data'])}, dtype=np.{_NUMPY.get(tensor['datatype'], 'float32')})"


def _triton(gateway_url: str, capability: str, inputs: Sequence[Mapping[str, Any]], key: str) -> str:
    url = urlsplit(gateway_url)
    secure = ", ssl=True" if url.scheme == "https" else ""
    lines = [
        "import numpy as np",
        "import tritonclient.http as triton",
        "",
        f'client = triton.InferenceServerClient("{url.netloc}"{secure})',
        "inputs = []",
    ]
    for tensor in inputs:
        lines += [
            f"array = {_array(tensor)}.reshape({tensor['shape']})",
            f'tensor = triton.InferInput("{tensor["name"]}", {tensor["shape"]}, "{tensor["datatype"]}")',
            "tensor.set_data_from_numpy(array)",
            "inputs.append(tensor)",
        ]
    lines += [
        f'headers = {{"Authorization": "Bearer {key}"}}',
        f'answer = client.infer("{capability}", inputs, headers=headers)',
        'for output in answer.get_response()["outputs"]:',
        '    print(output["name"], answer.as_numpy(output["name"]))',
    ]
    return "\n".join(lines)


def _nested(data: Sequence[Any], shape: Sequence[int]) -> Any:
    """Flat data as nested lists of a shape."""
    if len(shape) <= 1:
        return list(data)
    width = len(data) // shape[0] if shape[0] else 0
    return [_nested(data[at * width : (at + 1) * width], shape[1:]) for at in range(shape[0])]


def _atrium(gateway_url: str, capability: str, inputs: Sequence[Mapping[str, Any]], key: str) -> str:
    given = "\n".join(
        f'    "{tensor["name"]}": {_nested(tensor["data"], tensor["shape"])!r},' for tensor in inputs
    )
    return (
        "from atrium.client import Client\n\n"
        f'client = Client("{capability}", url="{gateway_url}", key="{key}")\n'
        f"answer = client.infer({{\n{given}\n}})\n"
        "print(answer.version, dict(answer))"
    )


def _javascript(gateway_url: str, capability: str, inputs: Sequence[Mapping[str, Any]], key: str) -> str:
    body = json.dumps({"inputs": list(inputs)}, ensure_ascii=False)
    return (
        f'const response = await fetch("{gateway_url}/v2/models/{capability}/infer", {{\n'
        '  method: "POST",\n'
        f'  headers: {{ "Authorization": "Bearer {key}", "Content-Type": "application/json" }},\n'
        f"  body: JSON.stringify({body}),\n"
        "});\n"
        "const answer = await response.json();\n"
        "if (!response.ok) throw new Error(answer.error);\n"
        "for (const { name, data } of answer.outputs) console.log(name, data);"
    )
