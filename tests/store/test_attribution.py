"""What an answer rests on, by numbers: a model whose weights are known is explained by exactly these."""

import pytest

from apps.store.attribution import MOST_PARTS, question, takes_many, weigh

COLUMNS = [{"name": "age", "minimum": 0, "maximum": 100}, {"name": "size", "title": "Size"}]
TABLE = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"}],
    "columns": COLUMNS,
}


def answered(probabilities: list[list[float]]) -> list[dict]:
    flat = [value for row in probabilities for value in row]
    return [{"name": "probabilities", "shape": [len(probabilities), 2], "data": flat}]


def test_a_column_is_set_to_the_median_of_the_cases_or_the_middle_of_its_range():
    cases = [{"inputs": [{"name": "features", "data": [[10.0, 1.0], [30.0, 3.0], [20.0, 9.0]]}]}]
    asked = question(TABLE, [{"name": "features", "data": [80.0, 5.0]}], cases)
    assert asked.tensors[0]["shape"] == [3, 2]
    assert asked.tensors[0]["data"] == [80.0, 5.0, 20.0, 5.0, 80.0, 3.0]

    asked = question(TABLE, [{"name": "features", "data": [80.0, 5.0]}], [])
    assert asked.neutrals == ["50", "0"]


def test_an_input_that_would_fill_the_memory_is_refused():
    image = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1000, 1000]}], "outputs": []}
    with pytest.raises(ValueError, match="too many"):
        question(image, [{"name": "image", "data": [0.0] * 1_000_000}], [])


def test_weights_are_what_the_answer_loses():
    asked = question(TABLE, [{"name": "features", "data": [80.0, 5.0]}], [])
    unit, weights = weigh(asked, TABLE, answered([[0.1, 0.9], [0.6, 0.4], [0.05, 0.95]]))
    assert unit == "probability"
    assert [weight.part.label for weight in weights] == ["age", "Size"]
    assert [weight.weight for weight in weights] == pytest.approx([0.5, -0.05])


def test_a_text_is_taken_apart_into_words_and_chinese_into_pairs():
    signature = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}], "outputs": []}
    asked = question(signature, [{"name": "text", "data": ["line down 光缆中断"]}], [])
    assert [part.label for part in asked.parts] == ["line", "down", "光缆", "中断"]
    assert asked.tensors[0]["data"][1] == " down 光缆中断"
    assert asked.tensors[0]["shape"] == [5]


def test_an_image_is_made_blank_place_by_place():
    signature = {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2], "minimum": 0}],
        "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
    }
    asked = question(signature, [{"name": "image", "data": [1, 2, 3, 4]}], [])
    assert [part.label for part in asked.parts] == ["1/1", "1/2", "2/1", "2/2"]
    assert asked.tensors[0]["data"][4:8] == [0, 2, 3, 4]

    unit, weights = weigh(asked, signature, [{"name": "class", "shape": [5], "data": [7, 7, 1, 7, 7]}])
    assert unit == "answer"
    assert [weight.weight for weight in weights] == [0, 1, 0, 0]


def test_a_large_input_is_explained_by_few_parts():
    signature = {
        "inputs": [
            {"name": "image", "datatype": "FP32", "shape": [-1, 64, 64]},
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [],
    }
    inputs = [{"name": "image", "data": [1.0] * 4096}, {"name": "text", "data": ["word " * 900]}]
    asked = question(signature, inputs, [])
    assert len(asked.parts) == MOST_PARTS
    assert len({place for part in asked.parts if part.tensor == "image" for place in part.places}) == 4096


def test_a_model_that_takes_one_item_at_a_time_cannot_be_asked_all_at_once():
    assert takes_many(TABLE)
    assert not takes_many({"inputs": [{"name": "x", "datatype": "FP32", "shape": [8]}]})


def test_a_regression_is_explained_in_its_own_unit():
    signature = {
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
        "outputs": [{"name": "price", "datatype": "FP64", "shape": [-1]}],
    }
    asked = question(signature, [{"name": "x", "data": [3.0]}], [])
    unit, weights = weigh(asked, signature, [{"name": "price", "shape": [2], "data": [12.0, 2.0]}])
    assert (unit, weights[0].weight) == ("value", 10.0)
