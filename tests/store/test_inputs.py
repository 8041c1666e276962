"""The form of Try it and the answer in words, by numbers; no database."""

import json

import plotly.graph_objects as go
import pytest

from apps.store import figures, inputs, snippets
from apps.store.reading import expected_of, read_answer

TABLE = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {
            "name": "class",
            "datatype": "INT64",
            "shape": [-1],
            "kind": "class",
            "labels": ["malignant", "benign"],
        },
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"},
    ],
    "columns": [
        {"name": "radius", "unit": "mm", "minimum": 0, "maximum": 50, "example": 14.1},
        {"name": "texture", "example": 20},
    ],
}


def posted(signature, **values):
    groups = inputs.form_of(signature)
    return groups, inputs.read(groups, values)


def test_a_table_becomes_one_number_for_each_column():
    groups, tensors = posted(TABLE, **{"in-0-0": "14.5", "in-0-1": "−3"})
    assert tensors == [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [14.5, -3.0]}]
    assert groups[0].fields[0].range == "0 – 50 mm"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "missing"),
        ("abc", "abc"),
        ("51", "outside"),
        ("nan", "finite"),
        ("1e999", "finite"),
        ("-1", "outside"),
    ],
)
def test_a_wrong_number_is_marked_at_its_column(value, words):
    groups, tensors = posted(TABLE, **{"in-0-0": value, "in-0-1": "1"})
    assert tensors is None
    assert words in groups[0].fields[0].error
    assert not groups[0].fields[1].error


def test_the_example_fills_every_column():
    groups = inputs.form_of(TABLE)
    assert inputs.fill_from_signature(groups)
    assert [field.value for field in groups[0].fields] == ["14.1", "20"]


def test_a_case_with_several_items_fills_its_first():
    groups = inputs.form_of(TABLE)
    inputs.fill(groups, [{"name": "features", "data": [[1, 2], [3, 4]]}])
    assert [field.value for field in groups[0].fields] == ["1", "2"]


IMAGE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2], "kind": "image", "maximum": 16}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1]}],
}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "Draw"),
        ("[0,0,0,0]", "Draw"),
        ("[1,2]", "2 values"),
        ("{", "Draw"),
        ("[1,2,3,17]", "outside"),
        ('[1,2,3,"x"]', "x"),
    ],
)
def test_an_impossible_image_says_what_is_wrong(value, words):
    groups, tensors = posted(IMAGE, **{"in-0": value})
    assert tensors is None
    assert words in groups[0].fields[0].error


def test_a_drawn_image_becomes_a_tensor_of_one_item():
    _groups, tensors = posted(IMAGE, **{"in-0": "[0,16,3.5,0]"})
    assert tensors == [{"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [0, 16, 3.5, 0]}]


def test_text_choice_series_and_whole_numbers_are_read():
    signature = {
        "inputs": [
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
            {"name": "grade", "datatype": "BYTES", "shape": [-1], "choices": ["a", "b"]},
            {"name": "load", "datatype": "FP32", "shape": [-1, -1], "kind": "series"},
            {"name": "count", "datatype": "INT64", "shape": [-1], "minimum": 1},
        ],
        "outputs": [],
    }
    _groups, tensors = posted(signature, **{"in-0": "光缆 cut", "in-1": "b", "in-2": "1, 2;3", "in-3": "7"})
    assert [(t["shape"], t["data"]) for t in tensors] == [
        ([1], ["光缆 cut"]),
        ([1], ["b"]),
        ([1, 3], [1.0, 2.0, 3.0]),
        ([1], [7]),
    ]
    groups, none = posted(signature, **{"in-0": " ", "in-1": "c", "in-2": "1,x", "in-3": "1.5"})
    assert none is None
    assert all(group.fields[0].error for group in groups)


def test_a_series_stays_one_field_when_its_columns_are_named():
    series = {"name": "load", "datatype": "FP32", "shape": [-1, 2], "kind": "series"}
    groups = inputs.form_of({"inputs": [series], "columns": [{"name": "h1"}, {"name": "h2"}]})

    assert [(group.table, group.fields[0].kind) for group in groups] == [(False, "series")]


EVERY = {
    "inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [-1]},
        {"name": "grade", "datatype": "BYTES", "shape": [-1], "choices": ["a", "b"]},
        {"name": "load", "datatype": "FP32", "shape": [-1, -1], "kind": "series", "maximum": 9},
        {"name": "count", "datatype": "INT64", "shape": [-1], "minimum": 1},
        {"name": "cube", "datatype": "FP32", "shape": [-1, 1, 2, 2]},
    ],
    "outputs": [],
}
GOOD = {"in-0": "cut", "in-1": "b", "in-2": "1, 2", "in-3": "7", "in-4": "[1, 2, 3, 4]"}


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, " ", "Write something here, or take an example."),
        (0, "x" * 20_001, "This is longer than 20000 characters; shorten it."),
        (1, "c", "Choose one of the values: a, b."),
        (2, "1, x", "“x” is not a number."),
        (2, "1,, 2", "A number is missing here."),
        (2, "1, 10", "10 is outside of the allowed range ≤ 9."),
        (3, "1.5", "“1.5” is not a whole number."),
        (3, "0", "0 is outside of the allowed range ≥ 1."),
        (4, "1 2 3", "This is no JSON list of values, such as [1, 2, 3]."),
        (4, "[1, 2]", "There are 2 values where 4 are expected."),
        (4, '[1, 2, 3, "x"]', "“x” is not a number."),
        (4, "[1, 2, 3, true]", "“True” is not a number."),
        (4, "[1, 2, 3, Infinity]", "This is not a finite number."),
    ],
)
def test_each_wrong_value_is_told_at_its_own_field_alone(at, value, words):
    groups, tensors = posted(EVERY, **{**GOOD, f"in-{at}": value})

    assert tensors is None
    assert [group.fields[0].error for group in groups] == [words if n == at else "" for n in range(5)]
    assert groups[at].fields[0].value == value  # what was written stays there to be corrected


def test_an_answer_is_told_in_the_labels_of_the_signature():
    outputs = [
        {"name": "class", "shape": [1], "datatype": "INT64", "data": [1]},
        {"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [0.2, 0.8]},
    ]
    reading = read_answer(TABLE, outputs)
    assert reading.answer == "benign"
    assert reading.confidence == pytest.approx(0.8)
    assert reading.probabilities == [("malignant", 0.2), ("benign", 0.8)]


def test_what_was_right_is_kept_in_the_models_own_terms():
    assert expected_of(TABLE, "malignant") == {"class": 0}
    text = {
        "outputs": [
            {"name": "class", "datatype": "BYTES", "shape": [-1], "kind": "class", "labels": ["power"]}
        ]
    }
    assert expected_of(text, "power") == {"class": "power"}


def test_plotly_itself_accepts_the_figures():
    from datetime import UTC, datetime

    reading = read_answer(TABLE, [{"name": "probabilities", "shape": [1, 2], "data": [0.2, 0.8]}])
    now = [datetime.now(UTC)]
    for figure in (
        figures.probabilities_figure(reading),
        figures.calls_figure(now, [3], [1]),
        figures.errors_figure([("input", 3)]),
        figures.latency_figure(now, {"p50": [1.5], "p99": [None]}),
    ):
        assert json.loads(go.Figure(figure).to_json())["data"]


def test_the_curl_line_survives_quotes_in_the_example():
    tensors = [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["it's down"]}]
    assert "it'\\''s down" in snippets.curl("http://gateway", "tickets", tensors, "atk_x")


def test_the_snippets_inputs_come_from_the_shipped_case():
    cases = [
        {
            "name": "a",
            "inputs": [{"name": "features", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}],
        }
    ]
    assert snippets.inputs_of(TABLE, cases)[0]["data"] == [1, 2]
    assert snippets.inputs_of(TABLE, [])[0]["data"] == [14.1, 20]


SERIES = {"inputs": [{"name": "load", "datatype": "FP32", "shape": [-1, 4], "kind": "series", "maximum": 9}]}


@pytest.mark.parametrize("pasted", ["1,2,3,4,", "1, 2; 3 ;4", "1\n2\r\n3\n4\n", "1\t2\t3\t4", " 1 2 3 4 "])
def test_a_series_is_read_as_people_paste_it(pasted):
    groups = inputs.form_of(SERIES)
    assert inputs.read(groups, {"in-0": pasted})[0]["data"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("1\n2\n3", "3 values where 4"),
        ("1,x,3,4", "“x”"),
        ("1,,3,4", "missing"),
        ("1 2 3 10", "10 is outside"),
    ],
)
def test_a_series_that_does_not_fit_is_told_why(pasted, words):
    groups = inputs.form_of(SERIES)
    assert inputs.read(groups, {"in-0": pasted}) is None
    assert words in groups[0].fields[0].error


@pytest.mark.parametrize(
    ("shape", "kind", "layout"),
    [
        ([-1, 8, 8], "image", (8, 8, 1, False)),
        ([-1, 96, 64], "picture", (96, 64, 1, False)),
        ([-1, 32, 48, 3], "picture", (32, 48, 3, False)),
        ([-1, 3, 32, 48], "picture", (32, 48, 3, True)),
        ([-1, 28, 28, 1], "picture", (28, 28, 1, False)),
        ([32, 48, 4], "picture", (32, 48, 4, False)),
        ([1, 3, 32, 48], "picture", (32, 48, 3, True)),
        ([-1, -1, -1, 3], "json", None),
        ([-1, 5, 32, 48], "json", None),
        ([-1, 3, 2000, 2000], "json", None),
    ],
)
def test_an_image_is_drawn_or_taken_from_a_file_where_its_size_is_known(shape, kind, layout):
    [group] = inputs.form_of(
        {"inputs": [{"name": "image", "datatype": "FP32", "shape": shape, "kind": "image"}]}
    )
    field = group.fields[0]
    assert field.kind == kind
    found = field.picture
    assert (found and (found.rows, found.columns, found.channels, found.first)) == layout


@pytest.mark.parametrize(
    ("datatype", "bounds", "expected"),
    [
        ("FP32", {}, (0, 1, False)),
        ("UINT8", {}, (0, 255, True)),
        ("FP32", {"minimum": -1, "maximum": 1}, (-1, 1, False)),
    ],
)
def test_the_numbers_of_an_image_lie_between_the_signatures_bounds(datatype, bounds, expected):
    spec = {"name": "image", "datatype": datatype, "shape": [-1, 2, 2, 3], "kind": "image"} | bounds
    picture = inputs.form_of({"inputs": [spec]})[0].fields[0].picture
    assert (picture.minimum, picture.maximum, picture.integers) == expected


def test_an_image_file_becomes_a_tensor_of_one_item_and_a_black_one_too():
    groups = inputs.form_of(
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2, 3], "kind": "image"}]}
    )
    assert inputs.read(groups, {"in-0": ""}) is None
    assert groups[0].fields[0].error == "Choose an image first."
    groups = inputs.form_of(
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2, 3], "kind": "image"}]}
    )
    [tensor] = inputs.read(groups, {"in-0": str([0] * 12)})
    assert (tensor["shape"], tensor["data"]) == ([1, 2, 2, 3], [0] * 12)


def test_a_columns_own_type_decides_what_its_control_takes_and_an_optional_one_may_be_empty():
    signature = {
        "inputs": [{"name": "t", "datatype": "FP32", "shape": [-1, 3]}],
        "columns": [
            {"name": "load"},
            {"name": "cells", "datatype": "INT32", "optional": True},
            {"name": "roaming", "datatype": "BOOL", "example": 1.0},
        ],
    }
    groups = inputs.form_of(signature)
    inputs.fill_from_signature(groups)
    load, cells, roaming = groups[0].fields

    assert (load.step, cells.step, roaming.range, roaming.value) == ("any", "1", "0 – 1", "1")
    [tensor] = inputs.read(groups, {"in-0-0": "1.5", "in-0-1": "", "in-0-2": "1"})
    assert tensor["data"] == [1.5, None, 1]
    assert inputs.read(groups, {"in-0-0": "1.5", "in-0-1": "2.5", "in-0-2": "2"}) is None
    assert "whole number" in cells.error
    assert "outside" in roaming.error
