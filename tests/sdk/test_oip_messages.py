"""The codec: what is written is read back equal, and anything else is refused with a sentence."""

import contextlib
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrium import oip
from atrium.oip.arrays import from_array, to_array
from atrium.oip.tensors import INTEGER_RANGES, STRUCT_CODES

VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{datatype: st.integers(low, high) for datatype, (low, high) in INTEGER_RANGES.items()},
    "BOOL": st.booleans(),
    "BYTES": st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
    "FP16": st.floats(width=16),
    "FP32": st.floats(width=32),
    "FP64": st.floats(),
}
PARAMETERS = st.dictionaries(
    st.text(max_size=8).filter(
        lambda key: key not in ("binary_data_size", "content_type", "binary_data_output")
    ),
    st.text(max_size=8) | st.integers(-(2**53), 2**53) | st.booleans(),
    max_size=2,
)


@st.composite
def tensors(draw: st.DrawFn, name: str) -> oip.Tensor:
    datatype = draw(st.sampled_from(sorted(oip.DATATYPES)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = math.prod(shape)
    values = draw(st.lists(VALUES[datatype], min_size=count, max_size=count))
    return oip.Tensor(name, datatype, shape, values, parameters=draw(PARAMETERS))


@st.composite
def messages(draw: st.DrawFn) -> list[oip.Tensor]:
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True))
    return [draw(tensors(name)) for name in names]


def same(left: oip.Tensor, right: oip.Tensor) -> bool:
    heads = (left.name, left.datatype, left.shape, left.parameters)
    if heads != (right.name, right.datatype, right.shape, right.parameters):
        return False
    return len(left.flat()) == len(right.flat()) and all(
        a == b or (a != a and b != b) for a, b in zip(left.flat(), right.flat(), strict=True)
    )


@given(messages(), st.booleans(), st.none() | st.text(max_size=5), PARAMETERS)
def test_a_request_is_read_as_it_was_written(inputs, binary, request_id, parameters):
    request = oip.Request(inputs, request_id, parameters, [oip.OutputRequest("class", {"binary_data": True})])
    read = oip.decode_request(*oip.encode_request(request, binary=binary))
    assert (read.id, read.parameters, read.outputs) == (request.id, request.parameters, request.outputs)
    assert all(same(a, b) for a, b in zip(request.inputs, read.inputs, strict=True))


@given(messages(), st.data())
def test_a_response_is_read_as_it_was_written(outputs, data):
    binary = data.draw(st.sets(st.sampled_from([tensor.name for tensor in outputs])))
    response = oip.Response("digits", outputs, "1.0.0", "a", {"x": 1})
    read = oip.decode_response(*oip.encode_response(response, binary))
    assert (read.model_name, read.model_version, read.id) == ("digits", "1.0.0", "a")
    assert all(same(a, b) for a, b in zip(outputs, read.outputs, strict=True))


@given(tensors("x"), st.booleans())
def test_arrays_survive_both_ways(tensor, binary):
    if tensor.datatype == "BYTES":
        tensor.values = [b"ok" for _ in tensor.flat()]
    again = from_array("x", to_array(tensor), tensor.datatype)
    again.parameters = tensor.parameters
    assert same(tensor, again)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "name", "shape", "datatype", "data", "parameters", "binary_data_size", "outputs"]
            ),
            children,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=300)
@given(JSON, st.none() | st.integers(-5, 500), st.binary(max_size=40))
def test_no_json_document_breaks_the_decoder(document, length, tail):
    body = json.dumps(document).encode() + (tail if length is not None else b"")
    with pytest.raises(oip.InvalidTensor):
        oip.decode_request(body, length)


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": JSON,
            "shape": st.lists(st.integers(-2, 4) | JSON, max_size=3),
            "datatype": st.sampled_from(sorted(oip.DATATYPES)) | JSON,
            "data": JSON,
            "parameters": JSON,
        },
    )
)
def test_no_tensor_breaks_the_decoder(tensor):
    body = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", **tensor}]}).encode()
    with contextlib.suppress(oip.InvalidTensor):
        for read in oip.decode_request(body).inputs:
            assert to_array(read).shape == read.shape


@given(st.binary(max_size=300), st.none() | st.integers(0, 300))
def test_no_bytes_break_the_decoder(body, length):
    with pytest.raises(oip.InvalidTensor):
        oip.decode_request(body, length)


@pytest.mark.parametrize("data", [[[[1, 2], [3, 4]]], [1, 2, 3, 4], [[[1.0, 2.0], [3.0, 4.0]]]])
def test_data_may_be_nested_or_flat(data):
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 2, 2], "datatype": "FP32", "data": data}]})
    assert to_array(oip.decode_request(body.encode()).inputs[0]).tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": [1, 2]}, "tensor 'x': shape [3] needs 3 values, got 2"),
        ({"data": [1, "a", 3]}, "tensor 'x': FP32 needs numbers, but value 1 is 'a'"),
        ({"data": [1, True, 3]}, "tensor 'x': FP32 needs numbers, but value 1 is true; send a number"),
        ({"data": [1, 2, 1e300]}, "value 2 is 1e+300, which does not fit FP32"),
        ({"datatype": "UINT8", "data": [1, 2, 256]}, "value 2 is 256, but UINT8 holds 0 to 255"),
        ({"datatype": "INT64", "data": [1, 2, 1.5]}, "INT64 needs whole numbers, but value 2 is 1.5"),
        ({"datatype": "BOOL", "data": [1, 2, 0]}, "BOOL needs true or false"),
        ({"datatype": "BYTES", "data": ["a", 2, "c"]}, "BYTES needs strings, but value 1 is 2"),
        ({"datatype": "FP31"}, "tensor 'x': unknown datatype 'FP31'; use one of"),
        ({"shape": [-1]}, "-1 in 'shape' is not a size"),
        ({"shape": [10**12], "data": []}, "1000000000000 in 'shape' is not a size"),
        (
            {"shape": [2, 2], "data": [[1, 2], [3]]},
            "needs lists of 2 at nesting level 2, but one has 1 values",
        ),
        ({"data": [[1], [2], [3]]}, "'data' is nested deeper than its shape [3]"),
        ({"data": 5}, "'data' must be a list, got 5"),
        ({"name": 5}, "a tensor's 'name' must be a string, got 5"),
    ],
)
def test_a_wrong_tensor_is_refused_by_name_and_place(change, sentence):
    tensor = {"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2, 3], **change}
    with pytest.raises(oip.InvalidTensor) as refused:
        oip.decode_request(json.dumps({"inputs": [tensor]}).encode())
    assert sentence in str(refused.value)


def test_null_is_a_missing_number_and_is_written_as_nan():
    body = b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[null,"-Infinity"]}]}'
    request = oip.decode_request(body)
    assert np.isnan(to_array(request.inputs[0])[0])
    assert b'["NaN","-Infinity"]' in oip.encode_request(request)[0]


def test_tensors_of_triton_clients_are_read():
    data = struct.pack("<4f", 1, 2, 3, 4)
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"a", "光纤".encode()))
    head = json.dumps(
        {
            "inputs": [
                {"name": "a", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
                {
                    "name": "b",
                    "shape": [2],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": len(texts)},
                },
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    request = oip.decode_request(head + data + texts, len(head))
    assert to_array(request.inputs[0]).tolist() == [[1, 2], [3, 4]]
    assert to_array(request.inputs[1]).tolist() == ["a", "光纤"]
    assert request.binary_outputs(["class"]) == {"class"}


@pytest.mark.parametrize(("size", "tail"), [(15, b"x" * 16), (16, b"x" * 15), (16, b"x" * 17), (-1, b"")])
def test_sizes_that_do_not_add_up_are_refused(size, tail):
    tensor = {"name": "a", "shape": [4], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(oip.InvalidTensor):
        oip.decode_request(head + tail, len(head))


def test_every_number_type_has_an_array_type():
    for datatype in STRUCT_CODES:
        array = to_array(oip.Tensor("x", datatype, (1,), [1]))
        assert from_array("x", array).datatype == datatype
