"""Tensors of the Open Inference Protocol v2, without NumPy.

A tensor keeps its numbers either as a flat row-major list (it came as JSON) or as little-endian bytes
(it came by the binary tensor extension). BYTES elements are `bytes`; in JSON they are strings, and
base64 with `parameters.content_type = "base64"` (MLServer's convention) when one of them is not UTF-8.
JSON has no NaN or infinity: FP tensors write them as the strings "NaN", "Infinity" and "-Infinity"
(protobuf's JSON mapping) and read `null` as NaN.
"""

import base64
import binascii
import json
import math
import re
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

STRUCT_CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
WIDTHS = {datatype: struct.calcsize(f"<{code}") for datatype, code in STRUCT_CODES.items()}
DATATYPES = frozenset(STRUCT_CODES) | {"BYTES"}
FLOATS = frozenset({"FP16", "FP32", "FP64"})
INTEGER_RANGES = {
    f"{sign}INT{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}
LARGEST = sys.float_info.max
FLOAT_LIMITS = {"FP16": 65504.0, "FP32": 3.4028234663852886e38, "FP64": math.inf}
MAX_DIMENSIONS = 32
MAX_DIMENSION = 2**31 - 1
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class InvalidTensor(ValueError):
    """A message that breaks the protocol or a signature; the text says what, where and what to do."""


@dataclass(slots=True)
class Tensor:
    """One named tensor: `values` is flat and row-major, or None when `raw` holds the bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any] | None = None
    raw: bytes | memoryview | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many elements the shape stands for."""
        return math.prod(self.shape)

    def flat(self) -> Sequence[Any]:
        """The elements in row-major order, unpacked when they came as bytes."""
        if self.values is None:
            self.values = unpack(self)
        return self.values


def unpack(tensor: Tensor) -> list[Any]:
    """The elements of a tensor that came as little-endian bytes."""
    raw = memoryview(tensor.raw or b"")
    if tensor.datatype == "BYTES":
        return _unpack_bytes(tensor, raw)
    code = STRUCT_CODES[tensor.datatype]
    expected = tensor.count * WIDTHS[tensor.datatype]
    if raw.nbytes != expected:
        raise InvalidTensor(
            f"tensor '{tensor.name}': shape {show_shape(tensor.shape)} of {tensor.datatype} is {expected} "
            f"bytes, but binary_data_size is {raw.nbytes}; send exactly {expected} bytes"
        )
    return list(struct.unpack(f"<{tensor.count}{code}", raw))


def _unpack_bytes(tensor: Tensor, raw: memoryview) -> list[bytes]:
    elements: list[bytes] = []
    at = 0
    while at < raw.nbytes:
        end = at + 4
        length = struct.unpack_from("<I", raw, at)[0] if end <= raw.nbytes else -1
        if length < 0 or end + length > raw.nbytes:
            raise InvalidTensor(
                f"tensor '{tensor.name}': element {len(elements)} of the BYTES data ends after the tensor; "
                "prefix each element with its length as a little-endian uint32"
            )
        elements.append(bytes(raw[end : end + length]))
        at = end + length
    check_count(tensor, len(elements))
    return elements


def pack(tensor: Tensor) -> bytes:
    """The tensor's elements as little-endian bytes, as the binary tensor extension sends them."""
    if tensor.raw is not None:
        return bytes(tensor.raw)
    values = tensor.values or []
    if tensor.datatype == "BYTES":
        return b"".join(struct.pack("<I", len(element)) + element for element in values)
    try:
        return struct.pack(f"<{len(values)}{STRUCT_CODES[tensor.datatype]}", *values)
    except (struct.error, OverflowError) as error:
        raise InvalidTensor(
            f"tensor '{tensor.name}': a value does not fit {tensor.datatype} ({error})"
        ) from error


def show_shape(shape: Sequence[int]) -> str:
    return "[" + ",".join(str(size) for size in shape) + "]"


def check_count(tensor: Tensor, got: int) -> None:
    """Refuse a number of elements that the shape does not stand for."""
    if got != tensor.count:
        raise InvalidTensor(
            f"tensor '{tensor.name}': shape {show_shape(tensor.shape)} needs {tensor.count} values, "
            f"got {got}; send the data row by row, nested or flat"
        )


def read_json(document: Any) -> Tensor:
    """One entry of `inputs` or `outputs` as a tensor; data that follows as bytes stays empty for now."""
    tensor = read_head(document)
    if "data" not in document:
        if "binary_data_size" in tensor.parameters:
            return tensor
        raise InvalidTensor(f"tensor '{tensor.name}': 'data' is missing; send the values as a list")
    values = flatten(tensor, document["data"])
    tensor.values = _convert(tensor, values)
    return tensor


def read_head(document: Any) -> Tensor:
    """Name, datatype, shape and parameters of a tensor's JSON."""
    if type(document) is not dict:
        raise InvalidTensor(f"a tensor must be a JSON object, got {show(document)}")
    name = document.get("name")
    if type(name) is not str or not name:
        raise InvalidTensor(f"a tensor's 'name' must be a string, got {show(name)}")
    datatype = document.get("datatype")
    if type(datatype) is not str or datatype not in DATATYPES:
        raise InvalidTensor(
            f"tensor '{name}': unknown datatype {show(datatype)}; use one of {', '.join(sorted(DATATYPES))}"
        )
    parameters = document.get("parameters")
    if parameters is None:
        parameters = {}
    elif type(parameters) is not dict:
        raise InvalidTensor(f"tensor '{name}': 'parameters' must be an object, got {show(parameters)}")
    return Tensor(name, datatype, _read_shape(name, document.get("shape")), parameters=parameters)


def _read_shape(name: str, shape: Any) -> tuple[int, ...]:
    if type(shape) is not list or len(shape) > MAX_DIMENSIONS:
        raise InvalidTensor(
            f"tensor '{name}': 'shape' must be a list of at most {MAX_DIMENSIONS} sizes, got {show(shape)}"
        )
    for size in shape:
        if type(size) is not int or not 0 <= size <= MAX_DIMENSION:
            raise InvalidTensor(
                f"tensor '{name}': {show(size)} in 'shape' is not a size; write whole numbers from 0"
            )
    return tuple(shape)


def flatten(tensor: Tensor, data: Any) -> list[Any]:
    """Data as a flat list: it may come flat, or nested exactly as the shape says."""
    if type(data) is not list:
        raise InvalidTensor(f"tensor '{tensor.name}': 'data' must be a list, got {show(data)}")
    shape = tensor.shape
    flat = data
    depth = 0
    while flat and type(flat[0]) is list:
        depth += 1
        if depth >= max(len(shape), 1):
            raise InvalidTensor(
                f"tensor '{tensor.name}': 'data' is nested deeper than its shape {show_shape(shape)}"
            )
        if len(data) != shape[0]:
            raise InvalidTensor(
                f"tensor '{tensor.name}': shape {show_shape(shape)} says {shape[0]} items, "
                f"but 'data' has {len(data)}"
            )
        size = shape[depth]
        for row in flat:
            if type(row) is not list or len(row) != size:
                got = f"{len(row)} values" if type(row) is list else show(row)
                raise InvalidTensor(
                    f"tensor '{tensor.name}': shape {show_shape(shape)} needs lists of {size} "
                    f"at nesting level {depth + 1}, but one has {got}"
                )
        flat = [value for row in flat for value in row]
    check_count(tensor, len(flat))
    return flat


def _convert(tensor: Tensor, values: list[Any]) -> list[Any]:
    if tensor.datatype == "BYTES":
        return _convert_bytes(tensor, values)
    kinds = set(map(type, values))
    if tensor.datatype in FLOATS:
        return _convert_floats(tensor, values, kinds)
    if tensor.datatype == "BOOL":
        return _convert_booleans(tensor, values, kinds)
    if kinds - {int}:
        _refuse_kind(tensor, values, (int,), "whole numbers")
    low, high = INTEGER_RANGES[tensor.datatype]
    if values and (min(values) < low or max(values) > high):
        at, value = next((at, value) for at, value in enumerate(values) if not low <= value <= high)
        raise InvalidTensor(
            f"tensor '{tensor.name}': value {at} is {show(value)}, but {tensor.datatype} holds {low} to {high}; "
            "send a number in that range"
        )
    return values


def _convert_floats(tensor: Tensor, values: list[Any], kinds: set[type]) -> list[Any]:
    if kinds - {float, int}:
        values = [NON_FINITE.get(value, value) if type(value) is str else value for value in values]
        values = [math.nan if value is None else value for value in values]
        if set(map(type, values)) - {float, int}:
            _refuse_kind(tensor, values, (float, int), "numbers")
    limit = FLOAT_LIMITS[tensor.datatype]
    if not values or (min(values) >= -limit and max(values) <= limit and int not in kinds):
        return values
    return [_fit(tensor, at, value, limit) for at, value in enumerate(values)]


def _fit(tensor: Tensor, at: int, value: float, limit: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if abs(number) > limit and (type(value) is int or math.isfinite(number)):
        raise InvalidTensor(
            f"tensor '{tensor.name}': value {at} is {show(value)}, which does not fit {tensor.datatype}; "
            f"send a number of at most {limit if math.isfinite(limit) else LARGEST:.4g}"
        )
    return number


def _convert_booleans(tensor: Tensor, values: list[Any], kinds: set[type]) -> list[Any]:
    if kinds == {bool} or not kinds:
        return values
    if kinds - {bool, int} or not set(values) <= {0, 1}:
        _refuse_kind(tensor, values, (bool,), "true or false")
    return [bool(value) for value in values]


def _convert_bytes(tensor: Tensor, values: list[Any]) -> list[bytes]:
    if set(map(type, values)) - {str}:
        _refuse_kind(tensor, values, (str,), "strings")
    encoded = tensor.parameters.get("content_type") == "base64"
    if encoded:
        tensor.parameters = {key: value for key, value in tensor.parameters.items() if key != "content_type"}
    try:
        if encoded:
            return [base64.b64decode(value, validate=True) for value in values]
        return [value.encode() for value in values]
    except (binascii.Error, ValueError) as error:
        wanted = "base64" if encoded else "text in UTF-8"
        raise InvalidTensor(f"tensor '{tensor.name}': a value is not {wanted} ({error})") from error


def _refuse_kind(tensor: Tensor, values: list[Any], wanted: tuple[type, ...], words: str) -> None:
    for at, value in enumerate(values):
        if type(value) not in wanted:
            raise InvalidTensor(
                f"tensor '{tensor.name}': {tensor.datatype} needs {words}, but value {at} is {_in_json(value)}; "
                f"{_instead(value, wanted)}"
            )
    raise InvalidTensor(f"tensor '{tensor.name}': {tensor.datatype} needs {words}")


def _in_json(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else show(value)


def _instead(value: Any, wanted: tuple[type, ...]) -> str:
    """What to send in place of a value of another kind."""
    if str in wanted:
        return "write it in double quotes"
    if bool in wanted:
        return "write true or false without quotes"
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+(\.\d*)?([eE][-+]?\d+)?\s*", value):
        return f"write it without quotes: {value.strip()[:40]}"
    if isinstance(value, float) and value.is_integer():
        return f"write it without a decimal point: {value:.0f}"
    return "send a whole number" if float not in wanted else "send a number"


def refuse_datatype(name: str, expected: str, got: Any) -> NoReturn:
    """Refuse a tensor that is declared with another datatype than the signature's."""
    values = "strings" if expected == "BYTES" else "true or false" if expected == "BOOL" else "numbers"
    other = f" and its values as {values}" if "BYTES" in (expected, got) or "BOOL" in (expected, got) else ""
    shown = got if isinstance(got, str) and got in DATATYPES else _in_json(got)
    raise InvalidTensor(
        f'input \'{name}\': expected datatype {expected}, got {shown}; send "datatype": "{expected}"{other}'
    )


def write_json(tensor: Tensor) -> dict[str, Any]:
    """The tensor as it stands in a JSON message, data flat."""
    document: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "datatype": tensor.datatype,
    }
    data: list[Any] = list(tensor.flat())
    parameters = tensor.parameters
    if tensor.datatype in FLOATS and not _all_finite(data):
        data = [value if math.isfinite(value) else _spell(value) for value in data]
    elif tensor.datatype == "BYTES":
        try:
            data = [element.decode() for element in data]
        except UnicodeDecodeError:
            data = [base64.b64encode(element).decode() for element in data]
            parameters = {**parameters, "content_type": "base64"}
    if parameters:
        document["parameters"] = parameters
    document["data"] = data
    return document


def _all_finite(values: Sequence[float]) -> bool:
    # A sum of doubles that overflows only costs the slow way; one NaN or infinity always shows in it.
    return math.isfinite(sum(values))


def _spell(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def show(value: Any) -> str:
    """A value as it may stand in an error message: short, whatever was sent."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a very large number"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
