"""What callers of one version have to change for another one, said before anybody is refused."""

import pytest

from apps.catalog.contract import changes
from tests.factories import make_capability, make_packaged_version

IMAGE = {
    "name": "image",
    "datatype": "FP32",
    "shape": [-1, 8, 8],
    "kind": "image",
    "minimum": 0,
    "maximum": 16,
}
CLASS = {"name": "class", "datatype": "BYTES", "shape": [-1]}
BEFORE = {"inputs": [IMAGE], "outputs": [CLASS]}


def said(**after):
    return [(change.words, change.breaks) for change in changes(BEFORE, BEFORE | after)]


def test_the_same_signature_changes_nothing():
    assert said() == []


def test_another_input_is_named_on_both_sides():
    found = said(inputs=[{"name": "features", "datatype": "FP32", "shape": [-1, 64]}])

    assert [breaks for _words, breaks in found] == [True, True]
    assert "send “image”" in found[0][0]
    assert "“features” (FP32 [-1,64])" in found[1][0]


@pytest.mark.parametrize(
    ("given", "breaks"),
    [
        ({"shape": [-1, 16, 16]}, True),
        ({"shape": [-1, 64]}, True),
        ({"datatype": "FP64"}, True),
        ({"shape": [-1, -1, -1]}, False),  # it takes more than before
        ({"maximum": 255}, False),
        ({"maximum": 8}, True),
        ({"minimum": 1}, True),
        ({"choices": [0, 1]}, True),
    ],
)
def test_what_old_calls_send_must_still_be_taken(given, breaks):
    assert any(broken for _words, broken in said(inputs=[IMAGE | given])) is breaks


def test_a_new_input_breaks_only_where_it_is_needed():
    extra = {"name": "unit", "datatype": "BYTES", "shape": [-1]}

    assert said(inputs=[IMAGE, extra | {"optional": True}]) == []
    assert [breaks for _words, breaks in said(inputs=[IMAGE, extra])] == [True]


def test_a_missing_or_different_answer_breaks_and_a_new_one_does_not():
    assert "does not answer it" in said(outputs=[{"name": "digit", "datatype": "BYTES", "shape": [-1]}])[0][0]
    assert said(outputs=[CLASS | {"datatype": "INT64"}])[0][1]
    assert said(outputs=[CLASS, {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]) == []


def test_answers_may_become_narrower_and_not_wider():
    wide, narrow = ({"inputs": [IMAGE], "outputs": [CLASS | {"shape": [-1, size]}]} for size in (-1, 3))

    assert changes(wide, narrow) == []
    assert [change.breaks for change in changes(narrow, wide)] == [True]


@pytest.mark.parametrize(
    ("columns", "broken"),
    [
        ([{"name": "size", "datatype": "FP32"}, {"name": "age", "datatype": "FP32"}], "another order"),
        ([{"name": "age", "datatype": "INT32"}, {"name": "size", "datatype": "FP32"}], "INT32"),
        (
            [{"name": "age", "datatype": "FP32", "maximum": 99}, {"name": "size", "datatype": "FP32"}],
            "maximum 99",
        ),
        ([{"name": "age", "datatype": "FP32"}, {"name": "size", "datatype": "FP32", "optional": True}], ""),
    ],
)
def test_rows_that_fit_today_must_fit_then(columns, broken):
    table = {"name": "rows", "datatype": "FP32", "shape": [-1, 2]}
    before = {
        "inputs": [table],
        "columns": [{"name": "age", "datatype": "FP32"}, {"name": "size", "datatype": "FP32"}],
    }

    found = " ".join(change.words for change in changes(before, {"inputs": [table], "columns": columns}))
    assert broken in found
    assert bool(found) is bool(broken)


def test_what_a_page_offers_by_is_missed_without_a_word_of_breaking():
    bare = {key: IMAGE[key] for key in ("name", "datatype", "shape")}

    ((words, breaks),) = said(inputs=[bare])
    assert not breaks
    assert "kind image, minimum 0, maximum 16" in words
    assert "signature.json" in words


def test_columns_are_part_of_it():
    row = {"name": "rows", "datatype": "FP32", "shape": [-1, 2]}
    before = {"inputs": [row], "columns": [{"name": "age"}, {"name": "size"}]}
    after = {
        "inputs": [row],
        "columns": [{"name": "age"}, {"name": "height"}, {"name": "note", "optional": True}],
    }

    assert [("size" in change.words, "height" in change.words) for change in changes(before, after)] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.django_db
def test_the_page_of_a_version_says_it_against_the_one_packaged_before(client, radio, ada):
    capability = make_capability(radio, ada, "digits")
    first = make_packaged_version(capability, ada, "1.0.0")
    second = make_packaged_version(capability, ada, "1.1.0")
    first.signature, second.signature = BEFORE, BEFORE | {"inputs": [IMAGE | {"shape": [-1, 64]}]}
    first.save()
    second.save()
    client.force_login(ada)

    warned = "Whoever calls 1.0.0 today cannot call this version as they do."
    assert warned in client.get("/catalog/digits/versions/1.1.0/").text
    assert "today cannot call" not in client.get("/catalog/digits/versions/1.0.0/").text
