"""The ordinary request, read straight into arrays: JSON numbers for every input, or the numbers' bytes.

No number becomes a Python object on its way from bytes to the model. Whatever else comes, wrong requests too, is left
to the general reader, which knows how to say what is wrong.
"""

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle
from operator import le
from typing import Any

import numpy as np

from atrium import jsontext
from atrium.oip.arrays import DTYPES, Array
from atrium.oip.messages import Request
from atrium.oip.tensors import FLOATS, STRUCT_CODES, Tensor, flatten
from atrium.signature import Column, Signature, TensorSpec

KEYS = {"inputs", "id"}
ENTRY = 4
"""An input has name, shape, datatype and data."""


class Reader:
    """Reads ordinary requests for one signature."""

    def __init__(self, signature: Signature) -> None:
        table = signature.table()
        self.datatypes = {spec.name: spec.datatype for spec in signature.inputs}
        self._fields: dict[str, _Field] | None = {}
        for spec in signature.inputs:
            if spec.datatype in ("BYTES", "BOOL") or spec.choices is not None:
                self._fields = None
                return
            columns = signature.columns if spec is table else []
            if any(column.choices is not None for column in columns):
                self._fields = None
                return
            self._fields[spec.name] = _Field(spec, columns)

    def read(self, body: bytes) -> tuple[Request, dict[str, Array]] | None:
        """The request, without its tensors, and their arrays; None when it is not ordinary."""
        fields = self._fields
        if fields is None or b"true" in body or b"false" in body:  # they would pass for 1 and 0
            return None
        try:
            document = jsontext.loads(body)
            inputs, id_ = document["inputs"], document.get("id")
            if document.keys() - KEYS or len(inputs) != len(fields):
                return None
            arrays = {entry["name"]: fields[entry["name"]].array(entry) for entry in inputs}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error):
            return None
        if len(arrays) != len(fields) or not (id_ is None or type(id_) is str):
            return None
        return (Request([], id_), arrays) if _same_items(fields, arrays) else None

    def take(self, tensors: Sequence[Tensor]) -> dict[str, Array] | None:
        """The arrays of tensors that came as bytes; None when one did not, or may not be taken."""
        fields = self._fields
        if fields is None or {tensor.name for tensor in tensors} != fields.keys():
            return None
        arrays: dict[str, Array] = {}
        for tensor in tensors:
            array = fields[tensor.name].taken(tensor)
            if array is None:
                return None
            arrays[tensor.name] = array
        return arrays if _same_items(fields, arrays) else None


def _same_items(fields: "dict[str, _Field]", arrays: dict[str, Array]) -> bool:
    items = {len(arrays[name]) for name, field in fields.items() if field.batched}
    return len(items) <= 1 and 0 not in items


class _Field:
    """One input: its arrays, and what is allowed in them."""

    def __init__(self, spec: TensorSpec, columns: Sequence[Column]) -> None:
        self.batched = spec.batched
        self._name, self._datatype = spec.name, spec.datatype
        self._shape, self._accepts = spec.shape, spec.accepts
        self._code = STRUCT_CODES[spec.datatype]
        self._dtype = DTYPES[spec.datatype].newbyteorder("<")
        self._finite = spec.datatype in FLOATS
        self._complete = self._finite and not spec.allow_missing
        self._low = -math.inf if spec.minimum is None else spec.minimum
        self._high = math.inf if spec.maximum is None else spec.maximum
        self._bounded = (spec.minimum, spec.maximum) != (None, None)
        narrow = [column.datatype != spec.datatype for column in columns]
        limits = [
            column.limits if inner else (column.minimum, column.maximum)
            for column, inner in zip(columns, narrow, strict=True)
        ]
        self._whole = [at for at, column in enumerate(columns) if column.whole and narrow[at]]
        self._lows = [-math.inf if low is None else low for low, _ in limits]
        self._highs = [math.inf if high is None else high for _, high in limits]
        self._columns = any(limit != (None, None) for limit in limits)

    def array(self, entry: dict[str, Any]) -> Array:
        """The entry's numbers; raises ValueError, TypeError, OverflowError or struct.error for all else."""
        shape, data = entry["shape"], entry["data"]
        if len(entry) != ENTRY or entry["datatype"] != self._datatype or len(shape) != len(self._shape):
            raise ValueError
        for want, got in zip(self._shape, shape, strict=True):
            if want not in (-1, got) or got < 0:
                raise ValueError
        if type(data) is not list or (data and type(data[0]) is list):
            data = flatten(Tensor(self._name, self._datatype, tuple(shape)), data)
        raw = _packer(math.prod(shape), self._code).pack(*data)
        if self._finite and not math.isfinite(sum(data)):
            raise ValueError
        if self._bounded and not (min(data) >= self._low and max(data) <= self._high):
            raise ValueError
        if self._columns and not (
            all(map(le, cycle(self._lows), data)) and all(map(le, data, cycle(self._highs)))
        ):
            raise ValueError
        found: Array = np.frombuffer(raw, self._dtype).reshape(shape)
        if not self._is_whole(found):
            raise ValueError
        return found

    def _is_whole(self, found: Array) -> bool:
        """Whether the columns of whole numbers, in a table of floats, hold nothing else."""
        if not self._whole:
            return True
        values = found.reshape(-1, len(self._lows))[:, self._whole]
        return bool((values == np.floor(values)).all())

    def taken(self, tensor: Tensor) -> Array | None:
        """The numbers that came as bytes, when they are all allowed."""
        if tensor.raw is None or tensor.datatype != self._datatype or not self._accepts(tensor.shape):
            return None
        found: Array = np.frombuffer(tensor.raw, self._dtype).reshape(tensor.shape)
        if found.size == 0 or (self._complete and not np.isfinite(found).all()):
            return None
        # As Python's numbers: NumPy would round the limit to the numbers' own precision.
        if self._bounded and not (found.min().item() >= self._low and found.max().item() <= self._high):
            return None
        if self._columns:
            rows = found.reshape(-1, len(self._lows))
            lows, highs = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
            if not (all(map(le, self._lows, lows)) and all(map(le, highs, self._highs))):
                return None
        return found if self._is_whole(found) else None


@lru_cache(maxsize=256)
def _packer(count: int, code: str) -> struct.Struct:
    return struct.Struct(f"<{count}{code}")
