"""Responses written straight from arrays: a number is never a Python object on its way into JSON."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import orjson

from atrium.oip.arrays import DTYPES, Array, from_array
from atrium.oip.messages import Response, encode_response
from atrium.package import Package
from atrium.runner.batching import ModelFailed

FAST = frozenset(DTYPES) - {"BYTES", "FP16"}


def encode(
    package: Package,
    request_id: str | None,
    names: Sequence[str],
    answers: Mapping[str, Array],
    binary: AbstractSet[str],
) -> tuple[bytes, int | None, bool]:
    """The body of a response, the length of its JSON with binary outputs, and whether all numbers are what they
    should be: NaN and infinity are so only in outputs that allow missing values.
    """
    datatypes = {spec.name: spec.datatype for spec in package.signature.outputs}
    outputs: list[dict[str, Any]] = []
    for name in names:
        datatype = datatypes[name]
        array = answers[name]
        if binary or datatype not in FAST:
            return _encode_slowly(package, request_id, names, answers, binary)
        dtype = DTYPES[datatype]
        if array.dtype != dtype:
            array = _cast(name, array, dtype)
        flat = array.ravel()
        if dtype.kind == "f" and not math.isfinite(flat.sum()):
            return _encode_slowly(package, request_id, names, answers, binary)
        outputs.append({"name": name, "shape": array.shape, "datatype": datatype, "data": flat})
    document: dict[str, Any] = {"model_name": package.capability, "model_version": package.version}
    if request_id is not None:
        document["id"] = request_id
    document["outputs"] = outputs
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), None, True


def _cast(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    try:
        return np.asarray(array).astype(dtype)
    except (TypeError, ValueError) as error:
        raise ModelFailed(f"output '{name}' is no {dtype}: {error}") from error


def _encode_slowly(
    package: Package,
    request_id: str | None,
    names: Sequence[str],
    answers: Mapping[str, Array],
    binary: AbstractSet[str],
) -> tuple[bytes, int | None, bool]:
    specs = {spec.name: spec for spec in package.signature.outputs}
    datatypes = {name: spec.datatype for name, spec in specs.items()}
    complete = all(specs[name].allow_missing or _is_finite(answers[name]) for name in names)
    tensors = [from_array(name, answers[name], datatypes[name]) for name in names]
    response = Response(package.capability, tensors, package.version, request_id)
    return (*encode_response(response, binary), complete)


def _is_finite(array: Array) -> bool:
    array = np.asarray(array)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
