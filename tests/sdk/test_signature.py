"""A signature is read strictly and refuses calls with the place, the value and what to do."""

import json
import struct

import pytest

from atrium.oip import InvalidTensor, Tensor
from atrium.runner.ordinary import Reader
from atrium.signature import InvalidSignature, check_examples, check_inputs, columns_of, parse_signature
from atrium.told import tell

DIGITS = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8], "minimum": 0, "maximum": 16}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
}


def image(shape=(1, 8, 8), fill=1.0, **change):
    values = [fill] * (shape[0] * shape[1] * shape[2])
    return Tensor(**{"name": "image", "datatype": "FP32", "shape": shape, "values": values, **change})


def refusal(signature, *tensors):
    with pytest.raises(InvalidTensor) as refused:
        check_inputs(parse_signature(signature), tensors)
    return str(refused.value)


def test_a_fitting_call_passes():
    check_inputs(parse_signature(DIGITS), [image((3, 8, 8))])


def test_a_wrong_shape_says_how_many_numbers_to_send():
    assert refusal(DIGITS, image((1, 8, 7))) == (
        "input 'image': expected shape [-1,8,8], got [1,8,7]; send 64 numbers per item"
    )


def test_names_types_and_ranges_are_refused_by_name():
    assert refusal(DIGITS, image(name="picture")) == (
        "input 'image' is missing and 'picture' is unknown; this capability takes 'image'"
    )
    assert "unknown input 'mask'" in refusal(DIGITS, image(), image(name="mask"))
    assert "expected datatype FP32, got FP64" in refusal(DIGITS, image(datatype="FP64"))
    assert refusal(DIGITS, image(fill=17.0)) == (
        "input 'image', item 0, position [0,0]: 17.0 is above the largest allowed value 16"
    )
    assert "a number is missing (NaN or null)" in refusal(DIGITS, image(fill=float("nan")))
    assert "the first size is 0" in refusal(DIGITS, image((0, 8, 8)))


def test_a_column_out_of_range_is_named_with_its_unit():
    signature = {
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": DIGITS["outputs"],
        "columns": [{"name": "mean radius", "unit": "µm", "minimum": 0, "maximum": 50}, {"name": "b"}],
    }
    tensor = Tensor("features", "FP32", (2, 2), [1.0, 2.0, 99.0, 4.0])
    assert refusal(signature, tensor) == (
        "input 'features', row 1, column 'mean radius': 99.0 is above the largest allowed value 50 µm"
    )


def test_choices_are_enforced():
    signature = {
        "inputs": [{"name": "site", "datatype": "BYTES", "shape": [-1], "choices": ["north", "south"]}],
        "outputs": DIGITS["outputs"],
    }
    check_inputs(parse_signature(signature), [Tensor("site", "BYTES", (1,), [b"north"])])
    assert "'east' is not one of north, south" in refusal(signature, Tensor("site", "BYTES", (1,), [b"east"]))


def test_a_column_outside_its_choices_or_its_range_is_named_with_its_unit():
    columns = [
        {"name": "band", "choices": [1, 3]},
        {"name": "loss", "unit": "dB", "minimum": 0, "maximum": 60},
    ]
    table = {"name": "t", "datatype": "FP64", "shape": [-1, 2]}
    signature = {"inputs": [table], "outputs": DIGITS["outputs"], "columns": columns}
    check_inputs(parse_signature(signature), [Tensor("t", "FP64", (1, 2), [3.0, 12.0])])
    band = refusal(signature, Tensor("t", "FP64", (2, 2), [1.0, 12.0, 2.0, 12.0]))
    loss = refusal(signature, Tensor("t", "FP64", (1, 2), [1.0, 61.0]))
    assert "row 1, column 'band': 2.0 is not one of 1, 3" in band
    assert "row 0, column 'loss': 61.0 is above the largest allowed value 60 dB" in loss


def test_an_example_that_a_call_could_not_send_is_refused():
    wrong = {"name": "loss", "datatype": "FP64", "shape": [-1], "unit": "dB", "maximum": 60, "example": [70]}
    signature = parse_signature({"inputs": [wrong], "outputs": DIGITS["outputs"]})
    with pytest.raises(
        InvalidSignature, match="'loss': the example 70 is above the largest allowed value 60 dB"
    ):
        check_examples(signature)


def test_inputs_of_different_length_are_refused():
    signature = {
        "inputs": [{"name": name, "datatype": "INT64", "shape": [-1]} for name in "ab"],
        "outputs": DIGITS["outputs"],
    }
    tensors = [Tensor("a", "INT64", (1,), [1]), Tensor("b", "INT64", (2,), [1, 2])]
    assert "input 'b' has 2 items, but another input has 1" in refusal(signature, *tensors)


def test_a_signature_is_written_as_it_was_read():
    assert parse_signature(DIGITS).to_json() == DIGITS


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"inputs": []}, "signature.inputs is empty"),
        ({"inputs": [{"name": "x"}]}, "signature.inputs[0].datatype is None"),
        ({"inputs": [{**DIGITS["inputs"][0], "shape": [8, "x"]}]}, "shape must be a list of sizes"),
        ({"inputs": [{**DIGITS["inputs"][0], "minimum": 20}]}, "minimum 20 is above maximum 16"),
        ({"inputs": [{**DIGITS["inputs"][0], "colour": "red"}]}, "unknown fields: colour"),
        ({"inputs": [{**DIGITS["inputs"][0], "unit": 5}]}, "signature.inputs[0].unit must be a text, got 5"),
        ({"inputs": DIGITS["inputs"] * 2}, "uses a name twice"),
        ({"columns": [{"name": "a"}]}, "no input has 1 as its last size"),
        ({"outputs": "class"}, "signature.outputs must be a list"),
    ],
)
def test_a_wrong_signature_is_refused_by_place(change, sentence):
    with pytest.raises(InvalidSignature) as refused:
        parse_signature({**DIGITS, **change})
    assert sentence in str(refused.value)
    said = tell("the signature is wrong: %(error)s", error=str(refused.value))  # as packaging says it
    assert said.parts()["values"]["error"] == refused.value.why.parts()


TYPED = {
    "inputs": [{"name": "t", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": DIGITS["outputs"],
    "columns": [
        {"name": "load", "unit": "%", "examples": [12.5, 80]},
        {"name": "cells", "datatype": "INT32", "optional": True, "minimum": 0, "example": 3},
        {"name": "roaming", "datatype": "BOOL"},
    ],
}


def row(*values):
    return Tensor("t", "FP32", (1, 3), list(values))


def test_columns_have_type_and_shape_and_may_be_optional():
    signature = parse_signature(TYPED)

    assert [(each.datatype, each.shape, each.optional) for each in signature.columns] == [
        ("FP32", (-1,), False),
        ("INT32", (-1,), True),
        ("BOOL", (-1,), False),
    ]
    assert signature.columns[0].example == 12.5
    assert parse_signature(signature.to_json()) == signature
    check_inputs(signature, [row(1.5, 3.0, 1.0)])
    check_inputs(signature, [row(1.5, float("nan"), 0.0)])
    assert "column 'cells': 2.5 is no whole number" in refusal(TYPED, row(1.5, 2.5, 0.0))
    assert "column 'cells': -1.0 is below the smallest allowed value 0" in refusal(TYPED, row(1.5, -1.0, 0.0))
    assert "column 'roaming': 2.0 is above the largest allowed value 1" in refusal(TYPED, row(1.5, 1.0, 2.0))
    assert "position [0]: a number is missing" in refusal(TYPED, row(float("nan"), 1.0, 0.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"datatype": "WIDE"}, "columns\\[1\\].datatype is 'WIDE'"),
        ({"datatype": "BYTES"}, "'BYTES', which the input 't' of FP32 cannot hold"),
        ({"shape": [-1, 2]}, "one value per row"),
        ({"optional": "yes"}, "optional must be true or false"),
        ({"examples": []}, "examples must be a list of at least one"),
    ],
)
def test_a_column_that_its_table_cannot_hold_is_refused(change, words):
    first, second, third = TYPED["columns"]
    with pytest.raises(InvalidSignature, match=words):
        parse_signature({**TYPED, "columns": [first, {**second, **change}, third]})


def test_whole_numbers_know_no_missing_value():
    table = {"name": "t", "datatype": "INT32", "shape": [-1, 1]}
    with pytest.raises(InvalidSignature, match="knows no missing value"):
        parse_signature({**TYPED, "inputs": [table], "columns": [{"name": "cells", "optional": True}]})


def test_every_example_must_be_a_value_that_a_call_may_have():
    first, second, third = TYPED["columns"]
    check_examples(parse_signature(TYPED))
    with pytest.raises(InvalidSignature, match="no whole number"):
        check_examples(
            parse_signature({**TYPED, "columns": [first, {**second, "examples": [3, 3.5]}, third]})
        )


def test_older_documents_show_the_tables_type_for_columns_that_name_none():
    table = {"name": "t", "datatype": "FP64", "shape": [-1, 1]}

    (column,) = columns_of({"inputs": [table], "columns": [{"name": "load"}]})

    assert column == {"datatype": "FP64", "shape": [-1], "name": "load"}


@pytest.mark.parametrize(
    ("data", "taken"),
    [([1.5, 3, 1], True), ([1.5, 2.5, 1], False), ([1.5, 3, 2], False), ([1.5, 2**40, 1], False)],
)
def test_the_fast_reader_takes_only_what_the_columns_allow(data, taken):
    entry = {"name": "t", "datatype": "FP32", "shape": [1, 3], "data": data}
    body = json.dumps({"inputs": [entry]}).encode()
    packed = Tensor("t", "FP32", (1, 3), raw=struct.pack("<3f", *data))
    reader = Reader(parse_signature(TYPED))

    assert (reader.read(body) is not None) == taken
    assert (reader.take([packed]) is not None) == taken


def test_the_fast_reader_leaves_columns_with_choices_to_the_one_that_checks_them():
    columns = [{"name": "band", "choices": [1, 3]}, {"name": "b"}, {"name": "c"}]
    entry = {"name": "t", "datatype": "FP32", "shape": [1, 3], "data": [2, 0, 0]}

    assert (
        Reader(parse_signature({**TYPED, "columns": columns})).read(json.dumps({"inputs": [entry]}).encode())
        is None
    )
