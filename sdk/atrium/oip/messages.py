"""Requests and responses of the Open Inference Protocol v2, in JSON and by the binary tensor extension.

A body is JSON alone, or JSON followed by the tensors' bytes; then the HTTP header
`Inference-Header-Content-Length` carries the length of the JSON (`json_length` here).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from atrium import jsontext
from atrium.oip.nonfinite import without_json
from atrium.oip.tensors import (
    WIDTHS,
    InvalidTensor,
    Tensor,
    pack,
    read_json,
    refuse_datatype,
    show,
    unpack,
    write_json,
)

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
SIZE = "binary_data_size"


@dataclass(slots=True)
class OutputRequest:
    """An output that the caller asks for by name."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Request:
    """One inference request. No `outputs` means all of them."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    outputs: list[OutputRequest] = field(default_factory=list)

    def binary_outputs(self, names: Collection[str]) -> set[str]:
        """Which of the outputs the caller wants as bytes."""
        default = self.parameters.get("binary_data_output") is True
        if not default and not self.outputs:
            return set()
        wishes = {output.name: output.parameters.get("binary_data", default) for output in self.outputs}
        return {name for name in names if wishes.get(name, default) is True}


@dataclass(slots=True)
class Response:
    """One inference response."""

    model_name: str
    outputs: list[Tensor]
    model_version: str | None = None
    id: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def decode_request(
    body: bytes, json_length: int | None = None, datatypes: Mapping[str, str] | None = None
) -> Request:
    """The request in a body; raises InvalidTensor, and nothing else, for anything that is not one.

    `datatypes` are those that the signature gives its inputs: values that cannot be read are most often declared
    with another one, and then that is what is said.
    """
    document, rest = _split(body, json_length)
    inputs = _read_tensors(document, "inputs", rest, datatypes or {})
    if not inputs:
        raise InvalidTensor("'inputs' is empty; send at least one tensor")
    parameters = _read_object(document, "parameters")
    return Request(inputs, _read_text(document, "id"), parameters, _read_outputs(document))


def decode_response(body: bytes, json_length: int | None = None) -> Response:
    """The response in a body; raises InvalidTensor for anything that is not one."""
    document, rest = _split(body, json_length)
    name = _read_text(document, "model_name")
    if name is None:
        raise InvalidTensor("'model_name' is missing in the response")
    return Response(
        name,
        _read_tensors(document, "outputs", rest, {}),
        _read_text(document, "model_version"),
        _read_text(document, "id"),
        _read_object(document, "parameters"),
    )


def encode_request(request: Request, *, binary: bool = False) -> tuple[bytes, int | None]:
    """The body and, when tensors follow as bytes, the length of its JSON."""
    document: dict[str, Any] = {}
    if request.id is not None:
        document["id"] = request.id
    if request.parameters:
        document["parameters"] = request.parameters
    names = {tensor.name for tensor in request.inputs} if binary else set()
    document["inputs"], chunks = _write_tensors(request.inputs, names)
    if request.outputs:
        document["outputs"] = [_write_output(output) for output in request.outputs]
    return _join(document, chunks)


def encode_response(response: Response, binary: Collection[str] = ()) -> tuple[bytes, int | None]:
    """The body, with the named outputs as bytes, and then the length of its JSON."""
    document: dict[str, Any] = {"model_name": response.model_name}
    if response.model_version is not None:
        document["model_version"] = response.model_version
    if response.id is not None:
        document["id"] = response.id
    if response.parameters:
        document["parameters"] = response.parameters
    document["outputs"], chunks = _write_tensors(response.outputs, binary)
    return _join(document, chunks)


def _split(body: bytes, json_length: int | None) -> tuple[dict[str, Any], memoryview]:
    if json_length is not None and not 0 <= json_length <= len(body):
        raise InvalidTensor(
            f"{JSON_LENGTH_HEADER} is {show(json_length)}, but the body has {len(body)} bytes; "
            "it must be the length of the JSON part"
        )
    text = body if json_length is None else body[:json_length]
    try:
        document = jsontext.loads(text)
    except ValueError as error:
        told = without_json(text)
        if told:
            raise InvalidTensor(told) from error
        part = (
            "the body is"
            if json_length is None
            else f"the {json_length} bytes that {JSON_LENGTH_HEADER} gives are"
        )
        raise InvalidTensor(f"{part} not JSON: {error}; send an object with 'inputs'") from error
    if type(document) is not dict:
        raise InvalidTensor(f"the body must be a JSON object with 'inputs', got {show(document)}")
    return document, memoryview(body)[len(text) :]


def _read_tensors(
    document: dict[str, Any], key: str, rest: memoryview, datatypes: Mapping[str, str]
) -> list[Tensor]:
    if key not in document:
        raise InvalidTensor(f"'{key}' is missing; send a list of tensors as '{key}'")
    entries = document[key]
    if type(entries) is not list:
        raise InvalidTensor(f"'{key}' must be a list of tensors, got {show(entries)}")
    try:
        tensors = [read_json(entry) for entry in entries]
    except InvalidTensor:
        _refuse_other_datatypes(entries, datatypes)
        raise
    names = {tensor.name for tensor in tensors}
    if len(names) != len(tensors):
        raise InvalidTensor(f"'{key}' names a tensor twice; send each tensor once")
    at = 0
    for tensor in tensors:
        if SIZE in tensor.parameters:
            at = _take_raw(tensor, rest, at)
    if at != rest.nbytes:
        raise InvalidTensor(
            f"{rest.nbytes - at} bytes follow that no tensor's {SIZE} accounts for; "
            f"the sizes must add up to the bytes after the JSON"
        )
    return tensors


def _refuse_other_datatypes(entries: list[Any], datatypes: Mapping[str, str]) -> None:
    for entry in entries:
        name = entry.get("name") if type(entry) is dict else None
        if type(name) is str and name in datatypes and entry.get("datatype") != datatypes[name]:
            refuse_datatype(name, datatypes[name], entry.get("datatype"))


def _take_raw(tensor: Tensor, rest: memoryview, at: int) -> int:
    size = tensor.parameters[SIZE]
    if tensor.values is not None:
        raise InvalidTensor(f"tensor '{tensor.name}' has both 'data' and {SIZE}; send one of them")
    if type(size) is not int or size < 0 or at + size > rest.nbytes:
        raise InvalidTensor(
            f"tensor '{tensor.name}': {SIZE} is {show(size)}, but {rest.nbytes - at} bytes are left; "
            "it must be the number of bytes of this tensor"
        )
    tensor.raw = rest[at : at + size]
    tensor.parameters = {key: value for key, value in tensor.parameters.items() if key != SIZE}
    tensor.values = unpack(tensor) if tensor.datatype in ("BYTES", "BOOL") else None
    if tensor.values is not None:
        tensor.raw = None
    else:
        _check_size(tensor, size)
    return at + size


def _check_size(tensor: Tensor, size: int) -> None:
    width = WIDTHS[tensor.datatype]
    if size != tensor.count * width:
        raise InvalidTensor(
            f"tensor '{tensor.name}': shape {list(tensor.shape)} of {tensor.datatype} is "
            f"{tensor.count * width} bytes, but {SIZE} is {size}; send exactly {tensor.count * width} bytes"
        )


def _read_outputs(document: dict[str, Any]) -> list[OutputRequest]:
    entries = document.get("outputs")
    if entries is None:
        return []
    if type(entries) is not list:
        raise InvalidTensor(f"'outputs' must be a list, got {show(entries)}")
    return [_read_output(entry) for entry in entries]


def _read_output(entry: Any) -> OutputRequest:
    if type(entry) is not dict or type(entry.get("name")) is not str:
        raise InvalidTensor(f"each of 'outputs' must be an object with a 'name', got {show(entry)}")
    return OutputRequest(entry["name"], _read_object(entry, "parameters"))


def _read_object(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if type(value) is not dict:
        raise InvalidTensor(f"'{key}' must be an object, got {show(value)}")
    return value


def _read_text(document: dict[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is not None and type(value) is not str:
        raise InvalidTensor(f"'{key}' must be a string, got {show(value)}")
    return value


def _write_output(output: OutputRequest) -> dict[str, Any]:
    document: dict[str, Any] = {"name": output.name}
    if output.parameters:
        document["parameters"] = output.parameters
    return document


def _write_tensors(tensors: list[Tensor], binary: Collection[str]) -> tuple[list[Any], list[bytes]]:
    documents: list[Any] = []
    chunks: list[bytes] = []
    for tensor in tensors:
        if tensor.name not in binary:
            documents.append(write_json(tensor))
            continue
        chunks.append(pack(tensor))
        documents.append(
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "datatype": tensor.datatype,
                "parameters": {**tensor.parameters, SIZE: len(chunks[-1])},
            }
        )
    return documents, chunks


def _join(document: dict[str, Any], chunks: list[bytes]) -> tuple[bytes, int | None]:
    text = jsontext.dumps(document)
    if not chunks:
        return text, None
    return b"".join([text, *chunks]), len(text)
