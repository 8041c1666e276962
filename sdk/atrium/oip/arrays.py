"""Tensors as NumPy arrays and back; the only module of the codec that needs NumPy.

BYTES becomes an array of `str` objects where the elements are UTF-8, else of `bytes`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrium.oip.tensors import InvalidTensor, Tensor

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{
        f"{sign}INT{bits}": np.dtype(f"{sign.lower()}int{bits}")
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.dtype(object),
}
DATATYPES = {dtype: name for name, dtype in DTYPES.items()}


def to_array(tensor: Tensor) -> Array:
    """The tensor as an array of its own datatype and shape."""
    if tensor.datatype == "BYTES":
        return _texts(tensor)
    dtype = DTYPES[tensor.datatype]
    if tensor.raw is not None:
        return np.frombuffer(tensor.raw, dtype=dtype.newbyteorder("<")).reshape(tensor.shape)
    return np.array(tensor.values, dtype=dtype).reshape(tensor.shape)


def _texts(tensor: Tensor) -> Array:
    array = np.empty(tensor.count, dtype=object)
    try:
        array[:] = [element.decode() for element in tensor.flat()]
    except UnicodeDecodeError:
        array[:] = tensor.flat()
    return array.reshape(tensor.shape)


def from_array(name: str, array: Any, datatype: str | None = None) -> Tensor:
    """An array as a tensor, cast to the datatype when one is given."""
    data = np.asarray(array)
    if datatype == "BYTES" or (datatype is None and data.dtype.kind in "OUS"):
        elements = [_element(value) for value in data.ravel().tolist()]
        return Tensor(name, "BYTES", data.shape, values=elements)
    if datatype is None:
        datatype = DATATYPES.get(data.dtype)
        if datatype is None:
            raise InvalidTensor(f"output '{name}': arrays of {data.dtype} have no datatype in the protocol")
    try:
        data = np.ascontiguousarray(data, dtype=DTYPES[datatype].newbyteorder("<")).reshape(data.shape)
    except (TypeError, ValueError) as error:
        raise InvalidTensor(f"output '{name}': cannot be given as {datatype} ({error})") from error
    return Tensor(name, datatype, data.shape, raw=data.tobytes())


def _element(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode()
