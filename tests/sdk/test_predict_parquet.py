"""Parquet in the batch job: read in the base environment, which has pyarrow, a few thousand rows at a time."""

import json

import pytest

from tests.sdk.conftest import ROOT

SCRIPT = "tests/sdk/ask_parquet.py"
TOLD = {"answer": "yes", "confidence": 0.75, "p_no": 0.25, "p_yes": 0.75, "error": None}
TOLD_KINDS = {
    "answer": "string",
    "confidence": "double",
    "p_no": "double",
    "p_yes": "double",
    "error": "string",
}


@pytest.fixture(scope="module")
def told(base, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("parquet")
    done = base.run(ROOT / SCRIPT, folder, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_own_columns_keep_their_kinds_and_the_answers_stand_beside_them(told):
    found = told["kinds"]
    assert found["kinds"] == {
        "id": "string", "size": "float", "age": "int8", "day": "date32[day]", "tags": "list<element: string>",
        **TOLD_KINDS,
    }  # fmt: skip
    assert found["rows"][0] == {"id": "x", "size": 1.5, "age": 30, "day": "2026-01-02", "tags": ["a"], **TOLD}
    assert found["asked"] == [[30.0, 1.5], [40.0, 2.0]]


def test_the_same_answers_come_as_csv(told):
    assert told["kinds"]["csv"].splitlines()[1] == 'x,1.5,30,2026-01-02,"[""a""]",yes,0.75,0.25,0.75,'


@pytest.mark.parametrize("name", ["from csv", "from csv with quotes"])
def test_answers_to_a_csv_file_come_as_parquet_with_numbers(told, name):
    assert told[name]["kinds"] == {"id": "string", "age": "double", "size": "double", **TOLD_KINDS}
    assert told[name]["rows"][0]["age"] == 30


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("categories", [[30.0, 1.5], [40.0, 2.0]]),
        ("decimals", [[1.5, 2.0]]),
        ("chinese", ["光缆中断", "a, b\nc"]),
        ("lists", [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]),
        ("nested", [[[1.0, 2.0], [3.0, 4.0]]]),
    ],
)
def test_cells_of_many_kinds_are_understood(told, name, asked):
    assert told[name]["asked"] == asked


def test_an_optional_column_may_be_absent_or_empty_and_is_so_in_the_answers_too(told):
    absent, empty = told["absent"], told["empty cells"]
    assert (absent["absent"], absent["asked"]) == (
        ["cells", "roaming"],
        [[30.0, None, None], [40.0, None, None]],
    )
    assert list(absent["kinds"])[:2] == ["age", "id"]
    assert (empty["asked"], "absent" in empty) == ([[30.0, None, 1.0], [40.0, 3.0, 0.0]], False)
    assert [(row["cells"], row["roaming"]) for row in empty["rows"]] == [(None, "true"), (3.0, "false")]


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("columns", {"code": "columns", "missing": ["size"], "count": 1, "found": ["age", "weight"]}),
        ("missing", {"code": "value", "row": 2, "column": "size", "value": "", "wanted": "number"}),
        ("range", {"code": "range", "row": 2, "column": "age", "value": "130", "low": 0, "high": 120}),
        ("day", {"code": "kind", "column": "age", "got": "date32[day]", "wanted": "number"}),
        ("struct", {"code": "kind", "column": "text", "got": "struct<a: int64>", "wanted": "text"}),
        ("letters", {"code": "letters", "row": 1, "last": 1, "column": "text"}),
        ("bytes", {"code": "letters", "row": 1, "last": 1, "column": "text"}),
        ("length", {"code": "length", "row": 2, "column": "image", "got": 3, "wanted": 4}),
        ("no rows", {"code": "empty"}),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place(told, name, facts):
    assert told[name] == facts


def test_a_broken_file_is_refused_with_what_is_wrong(told):
    assert told["cut"]["code"] == "broken"
    assert "Parquet" in told["cut"]["why"]
    assert not told["cut"]["why"].endswith(".")  # it is quoted within a sentence


def test_a_large_row_group_is_asked_about_in_parts(told):
    assert (told["many"]["answered"], told["many"]["largest"]) == (6_000, 4096 - 128)


@pytest.mark.soak
def test_a_gigabyte_in_one_row_group_takes_little_memory(base, tmp_path):
    for _made_then_asked in range(2):
        done = base.run(ROOT / SCRIPT, tmp_path, "1024", cwd=tmp_path, timeout=1200)
        assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["answered"] == (1 << 30) // 256
    assert told["grown_mb"] < 400
