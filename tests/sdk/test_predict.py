"""The batch job: a file that fits is answered row by row; one that does not is refused with the row."""

import csv
import itertools
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from atrium.answers import CsvAnswers
from atrium.evaluation.endpoint import Answer, Refused
from atrium.oip.arrays import to_array
from atrium.pace import Pace
from atrium.predict import Prediction, Unusable, item, sources_of
from atrium.rows import open_table
from tests.sdk.conftest import ROOT

TABLE = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": ["no", "yes"]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"},
    ],
    "columns": [{"name": "age", "minimum": 0, "maximum": 120}, {"name": "size"}],
}
TEXT = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "class", "datatype": "BYTES", "shape": [-1], "kind": "class"}],
}
IMAGE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1]}],
}


class Model:
    """Answers 1 for every row, and refuses from its `calls`-th call on."""

    def __init__(self, calls: int = 1000, status: int = 429, seconds: float = 0.1) -> None:
        self.left, self.status, self.seconds, self.asked = calls, status, seconds, []

    def infer(self, tensors):
        if not self.left:
            raise Refused(self.status, "The quota of the day is used up.")
        self.left -= 1
        self.asked.append(tensors)
        rows = tensors[0].shape[0]
        outputs = {"class": np.ones(rows, dtype=np.int64), "probabilities": np.array([[0.25, 0.75]] * rows)}
        return Answer(outputs, self.seconds, "1.0", "r")

    def close(self):
        pass


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRIUM_WORK", str(tmp_path))

    def go(
        signature: dict, content: bytes | str, model: Model | None = None, at_once: int = 1
    ) -> tuple[dict, list[dict]]:
        source, out = tmp_path / "rows.csv", tmp_path / "answers.csv"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        told = {"signature": signature, "at_once": at_once}
        asked = model or Model()
        prediction = Prediction(told, source, lambda: asked)
        result = prediction.ask(prediction.check(), tmp_path)
        with out.open(encoding="utf-8", newline="") as file:
            return result, list(csv.DictReader(file))

    return go


def test_answers_come_back_as_columns_beside_the_own_ones(run):
    result, rows = run(TABLE, "id,size,age\nx,1.5,30\ny,2,40\n")
    assert result == {"rows": 2, "answered": 2, "failed": 0, "stopped": ""}
    assert rows[0] == {
        "id": "x", "size": "1.5", "age": "30", "answer": "yes", "confidence": "0.75", "p_no": "0.25",
        "p_yes": "0.75", "error": "",
    }  # fmt: skip


def test_columns_are_found_by_name_in_any_order_with_bom_and_semicolons(run):
    model = Model()
    run(TABLE, "\ufeffsize;age\n1;2\n", model)
    assert to_array(model.asked[0][0]).tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize(
    ("signature", "content", "facts"),
    [
        (TABLE, "age,weight\n1,2\n", {"code": "columns", "missing": ["size"], "count": 1, "found": ["age", "weight"]}),
        (TABLE, "age,size\n1,2\n3,x\n", {"code": "value", "row": 3, "column": "size", "value": "x",
          "wanted": "number"}),
        (TABLE, "age,size\n1,\n", {"code": "value", "row": 2, "column": "size", "value": "", "wanted": "number"}),
        (TABLE, "age,size\n1,nan\n", {"code": "value", "row": 2, "column": "size", "value": "nan", "wanted": "number"}),
        (TABLE, "age,size\n1,2\n130,2\n",
         {"code": "range", "row": 3, "column": "age", "value": "130", "low": 0, "high": 120}),
        (TABLE, "age,size\n1,2,3\n", {"code": "cells", "row": 2, "got": 3, "wanted": 2}),
        (TABLE, "age,size\n", {"code": "empty"}),
        (TABLE, "", {"code": "empty"}),
        (TABLE, "age,age,size\n1,2,3\n", {"code": "twice", "column": "age"}),
        (TEXT, b"text\ngut\n" + "schön\n".encode("latin-1"), {"code": "encoding", "row": 3}),
        (TABLE, b"PK\x03\x04....", {"code": "spreadsheet"}),
        (TABLE, "age,size\n1,2\n".encode("utf-16"), {"code": "encoding", "row": 1}),
        (TABLE, b"\0\1,size\n1,2\n", {"code": "columns", "missing": ["age"], "count": 1, "found": ["\0\1", "size"]}),
        (IMAGE, 'image\n"[1,2,3]"\n', {"code": "length", "row": 2, "column": "image", "got": 3, "wanted": 4}),
        (IMAGE, "image\nround\n", {"code": "list", "row": 2, "column": "image", "value": "round"}),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused_with_the_place(run, signature, content, facts):
    with pytest.raises(Unusable) as caught:
        run(signature, content)
    assert caught.value.facts == facts


def test_nothing_is_asked_before_every_row_was_checked(run):
    model = Model()
    with pytest.raises(Unusable):
        run(TABLE, "age,size\n" + "1,2\n" * 300 + "1,x\n", model)
    assert model.asked == []


def test_the_end_of_the_quota_keeps_what_was_answered(run):
    result, rows = run(TABLE, "age,size\n" + "1,2\n" * 3000, Model(calls=2))
    assert (result["rows"], result["answered"]) == (3000, 128 + 512)
    assert "quota" in result["stopped"]
    assert len(rows) == 128 + 512


def test_what_a_later_call_answered_with_the_last_of_the_quota_is_kept(run):
    """Two calls are under way, and the earlier one is refused."""

    class Overtaken(Model):
        def __init__(self):
            super().__init__()
            self.begun, self.third = itertools.count(1), threading.Event()

        def infer(self, tensors):
            number = next(self.begun)
            if number == 2:
                assert self.third.wait(10)
            if number == 3:
                self.third.set()
            if number not in (1, 3):
                raise Refused(429, "The quota of the day is used up.")
            return super().infer(tensors)

    model = Overtaken()
    result, rows = run(TABLE, "age,size\n" + "1,2\n" * 30_000, model, at_once=2)
    first, third = (tensors[0].shape[0] for tensors in model.asked)
    assert result["answered"] == first + third
    assert result["failed"] == len(rows) - first - third  # those between have no gap, and say why
    told = ["quota" in row["error"] for row in rows]
    assert told == [False] * first + [True] * result["failed"] + [False] * third
    assert "quota" in result["stopped"]


def test_a_failed_call_is_told_beside_its_rows(run):
    result, rows = run(TABLE, "age,size\n1,2\n", Model(calls=0, status=500))
    assert result["failed"] == 1
    assert "500" in rows[0]["error"]


def test_a_first_call_that_fails_does_not_cost_the_columns_of_the_others(run):
    class Waking(Model):
        def infer(self, tensors):
            if not self.asked:
                self.asked.append(tensors)
                raise Refused(503, "not ready")
            return super().infer(tensors)

    result, rows = run(TABLE, "age,size\n" + "1,2\n" * 200, Waking())

    assert (result["answered"], result["failed"], len(rows)) == (72, 128, 200)
    assert ("503" in rows[0]["error"], rows[0]["answer"], rows[-1]["answer"]) == (True, "", "yes")


def test_calls_grow_while_the_model_is_quick_and_a_bad_row_costs_only_its_neighbours(run):
    class Picky(Model):
        def infer(self, tensors):
            if 13.0 in to_array(tensors[0])[:, 1]:
                raise Refused(500, "the model failed")
            return super().infer(tensors)

    model = Picky()
    result, rows = run(TABLE, "age,size\n" + "1,2\n" * 1000 + "1,13\n" + "1,2\n" * 999, model)

    assert [each[0].shape[0] for each in model.asked[:3]] == [128, 512, 128]
    assert (result["answered"], result["failed"]) == (2000 - 128, 128)
    assert [bool(row["error"]) for row in rows].count(True) == 128
    assert rows[1000]["error"]


def test_a_quick_model_gets_large_calls_soon(run):
    model = Model(seconds=0.002)
    result, rows = run(TABLE, "age,size\n" + "1,2\n" * 10_000, model, at_once=2)

    assert sorted(each[0].shape[0] for each in model.asked) == [128, 1680, 4096, 4096]
    assert (result["answered"], len(rows)) == (10_000, 10_000)


def test_the_size_of_a_call_follows_from_the_largest_that_was_quick_and_from_one_that_was_slow():
    pace = Pace(2)
    pace.took(128, 0.1)
    assert pace.rows == 512
    pace.took(512, 0.1)
    pace.took(128, 0.1)  # it was under way beside a larger one
    assert pace.rows == 2048
    pace.took(2048, 6.0)
    assert pace.rows == 512


def test_rows_stand_in_the_file_as_they_came_whatever_ends_their_lines(run):
    content = "age,size\r\n1,2.50\n3,4e0\r\n5,06"
    _, rows = run(TABLE, content)
    assert [row["size"] for row in rows] == ["2.50", "4e0", "06"]


def test_plain_rows_are_read_at_once_and_say_the_same_as_rows_with_quotes(run):
    plain, quoted = Model(), Model()
    lines = [f"{n},{n / 7!r}" for n in range(100)]
    _, one = run(TABLE, "age,size\n" + "\r\n".join(lines), plain)
    _, other = run(
        TABLE,
        "age,size\n" + "\r\n".join(f'"{line.partition(",")[0]}",{line.partition(",")[2]}' for line in lines),
        quoted,
    )

    assert one == other
    assert (to_array(plain.asked[0][0]) == to_array(quoted.asked[0][0])).all()


def test_where_nothing_is_answered_asking_ends(run):
    result, rows = run(TABLE, "age,size\n" + "1,2\n" * 3000, Model(calls=0, status=500))

    assert (result["answered"], result["failed"], len(rows)) == (0, 1280, 1280)
    assert "500" in result["stopped"]


def test_images_come_as_a_list_or_as_numbered_columns(run):
    for content in ('image\n"[[1,2],[3,4]]"\n', "image_0,image_1,image_2,image_3\n1,2,3,4\n"):
        model = Model()
        run(IMAGE, content, model)
        assert model.asked[0][0].shape == (1, 2, 2)


def test_texts_with_commas_and_chinese_pass(run):
    model = Model()
    run(TEXT, 'text\n"光缆中断，掉线"\n"a, b"\n', model)
    assert [str(text) for text in to_array(model.asked[0][0])] == ["光缆中断，掉线", "a, b"]


def test_cells_are_read_by_the_type_of_their_column_and_optional_ones_may_be_empty():
    columns = [
        {"name": "load"},
        {"name": "cells", "datatype": "INT32", "optional": True},
        {"name": "roaming", "datatype": "BOOL"},
    ]
    signature = {"inputs": [{"name": "t", "datatype": "FP32", "shape": [-1, 3]}], "columns": columns}
    (source,) = sources_of(signature, ["load", "cells", "roaming"])

    assert item(source, {"load": "1.5", "cells": "3", "roaming": "true"}, 1) == [1.5, 3, True]
    empty = item(source, {"load": "1.5", "cells": " ", "roaming": "0"}, 1)
    assert math.isnan(empty[1])
    with pytest.raises(Unusable):
        item(source, {"load": "", "cells": "3", "roaming": "0"}, 1)
    with pytest.raises(Unusable):
        item(source, {"load": "1", "cells": "2.5", "roaming": "0"}, 1)
    assert source.allows(np.array([[1.5, 3, 1]]))
    assert not source.allows(np.array([[1.5, 2.5, 1]]))
    assert not source.allows(np.array([[1.5, 3, 2]]))


SOME = {
    **TABLE,
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
    "columns": [
        {"name": "age", "datatype": "FP32", "minimum": 0, "maximum": 120},
        {"name": "visits", "datatype": "INT32", "optional": True, "maximum": 9},
        {"name": "size", "datatype": "FP32", "optional": True},
    ],
}


@pytest.mark.parametrize("quoted", [False, True])
def test_an_optional_column_may_be_absent_from_the_file(run, quoted):
    model = Model()
    content = "size,age\n1.5,30\n2,40\n"
    result, rows = run(SOME, content.replace("30", '"30"') if quoted else content, model)

    asked = to_array(model.asked[0][0])
    assert asked[:, [0, 2]].tolist() == [[30.0, 1.5], [40.0, 2.0]]
    assert np.isnan(asked[:, 1]).all()
    assert (result["absent"], result["answered"]) == (["visits"], 2)
    assert list(rows[0])[:3] == ["size", "age", "answer"]


def test_the_limits_of_the_columns_that_are_there_hold(run):
    with pytest.raises(Unusable) as refused:
        run(SOME, "size,age\n1.5,130\n")
    assert refused.value.facts["column"] == "age"


@pytest.mark.parametrize("header", ["visits,size", "weight"])
def test_a_column_that_is_needed_is_missed(run, header):
    with pytest.raises(Unusable) as refused:
        run(SOME, f"{header}\n1,2\n")
    assert refused.value.facts["missing"] == ["age"]


def test_of_a_table_that_may_miss_everything_something_must_be_there(run):
    free = [{**column, "optional": True} for column in SOME["columns"]]
    with pytest.raises(Unusable) as refused:
        run({**SOME, "columns": free}, "weight\n1\n")
    assert refused.value.facts["missing"] == ["age", "visits", "size"]


@pytest.mark.parametrize("word", ["seven", "seven, or one", 'said "seven"'])
def test_answers_of_all_kinds_stand_in_the_file_as_they_are(tmp_path, word):
    (tmp_path / "rows.csv").write_text("id\nx\ny\n")
    (block,) = open_table(tmp_path / "rows.csv").blocks()
    shares = np.array([[0.1, 0.9], [0.25, 0.75]], np.float32)
    told = {
        "answer": [word, "one"],
        "confidence": shares.max(axis=1),
        "p_0": shares[:, 0],
        "wide": np.array([12345.678901234, 0.1]),
        "half": np.array([0.5, 2.0], np.float16),
        "hole": np.array([np.nan, 1.0]),
        "count": np.array([3, 4]),
    }
    sink = CsvAnswers(tmp_path / "answers.csv", ["id"])
    sink.begin(told)
    sink.add(block, told)
    sink.close()

    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0].values()) == ["x", word, "0.9", "0.1", "12345.678901234", "0.5", "nan", "3", ""]
    assert list(rows[1].values()) == ["y", "one", "0.75", "0.25", "0.1", "2.0", "1.0", "4", ""]


@pytest.mark.parametrize("megabytes", [48, pytest.param(1024, marks=pytest.mark.soak)])
def test_a_file_of_any_size_takes_as_little_memory(tmp_path, megabytes):
    script = Path(__file__).with_name("ask_large_csv.py")
    paths = os.pathsep.join(str(ROOT / each) for each in (".", "sdk"))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(megabytes)],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    told = json.loads(done.stdout)
    assert told["size"] >= megabytes << 20
    assert (told["rows"], told["answered"], told["failed"]) == (told["count"], told["count"], 0)
    assert told["grown_mb"] < 100
