"""Try it beyond one question: two versions side by side, and why."""

import pytest
from django.test import Client

from apps.store import adapters
from apps.store.adapters import Answer
from apps.store.figures import series_figure
from apps.store.reading import asked_series, marked_text, read_answer
from tests.store.test_pages import as_ada, as_cy, live  # noqa: F401  fixtures

IMAGE = "[" + ",".join(["3"] * 64) + "]"


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, int]]:
    """What the gateway was asked; it answers 7, and 1 when the first place is blank."""
    calls: list[tuple[str, int]] = []

    def infer(capability, inputs, *, key, version=""):
        rows = inputs[0]["shape"][0]
        calls.append((version, rows))
        classes = [7 if inputs[0]["data"][row * 64] else 1 for row in range(rows)]
        body = {
            "model_version": version or "1.0",
            "outputs": [{"name": "class", "shape": [rows], "data": classes}],
        }
        return Answer(200, body, request_id="r")

    monkeypatch.setattr(adapters, "infer", infer)
    return calls


def ask(client: Client, **fields: object):
    return client.post("/store/digits/try/", {"in-0": IMAGE, **fields}, headers={"HX-Request": "true"})


def test_two_versions_answer_the_same_question(as_cy, live, asked, monkeypatch):  # noqa: F811
    from apps.store import selectors

    monkeypatch.setattr(selectors, "comparable", lambda user, capability: {"1.0.0": None, "1.1.0": None})
    page = ask(as_cy, version=["1.0.0", "1.1.0", "9.9.9"])
    assert asked == [("1.0.0", 1), ("1.1.0", 1)]
    assert "1.0.0" in page.text
    assert "1.1.0" in page.text


def test_a_version_that_is_not_on_offer_is_not_asked(as_cy, live, asked):  # noqa: F811
    ask(as_cy, version=["9.9.9"])
    assert asked == [("", 1)]


def test_a_consumer_compares_what_takes_traffic_and_a_builder_also_tests(digits, live, cy, ada):  # noqa: F811
    from apps.store.selectors import comparable
    from tests.factories import make_packaged_version, make_ready_deployment

    other = make_packaged_version(digits, ada, "2.0.0")
    make_ready_deployment(other, ada, kind="test")
    assert set(comparable(cy, digits)) == {live.number}
    assert set(comparable(ada, digits)) == {live.number, "2.0.0"}


def test_why_asks_once_for_all_places_and_shows_where(as_cy, live, asked):  # noqa: F811
    assert "Why this answer?" in ask(as_cy).text
    page = as_cy.post("/store/digits/try/why/", {"in-0": IMAGE})
    assert asked[-1] == ("", 65)
    assert "Method: occlusion" in page.text


def test_why_without_a_question_says_so(as_cy, live, asked):  # noqa: F811
    assert as_cy.post("/store/digits/try/why/", {"in-0": ""}).status_code == 422
    assert asked == []


def test_a_forecast_goes_on_where_the_question_ends():
    signature = {
        "inputs": [{"name": "load", "kind": "series", "title": "Load", "unit": "%", "shape": [-1, 4]}],
        "outputs": [{"name": "next", "kind": "series", "title": "Next hours", "unit": "%", "shape": [-1, 2]}],
    }
    asked = asked_series(signature, [{"name": "load", "shape": [1, 4], "data": [1, 2, 3, 4]}])
    reading = read_answer(signature, [{"name": "next", "shape": [1, 2], "data": [5.0, 6.0]}])
    lines = series_figure(asked, reading.series)["data"]
    assert [(line["name"], line["x"], line["y"]) for line in lines] == [
        ("Load", [1, 2, 3, 4], [1, 2, 3, 4]),
        ("Next hours", [5, 6], [5, 6]),
    ]
    assert (reading.series[0].low, reading.series[0].high, reading.values) == (5, 6, [])


MARKS = {
    "inputs": [{"name": "text", "kind": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "spans", "kind": "spans", "datatype": "BYTES", "shape": [-1]}],
}


@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        ('[{"start": 8, "end": 10, "label": "port"}]', [("port of ", ""), ("A1", "port"), (" down", "")]),
        ('[{"start": 0, "end": 4, "label": "a"}, {"start": 2, "end": 6, "label": "b"}]',
         [("port", "a"), (" of A1 down", "")]),
        ('[{"start": 8, "end": 99, "label": "port"}]', [("port of A1 down", "")]),
        ("[]", [("port of A1 down", "")]),
    ],
)  # fmt: skip
def test_the_stretches_of_an_answer_are_marked_in_the_text(spans, shown):
    reading = read_answer(MARKS, [{"name": "spans", "shape": [1], "data": [spans]}])
    asked = [{"name": "text", "shape": [1], "data": ["port of A1 down"]}]

    assert [(piece.text, piece.label) for piece in marked_text(MARKS, asked, reading.places)] == shown
    assert reading.values == []


def test_what_is_no_list_of_stretches_is_shown_as_it_is():
    reading = read_answer(MARKS, [{"name": "spans", "shape": [1], "data": ["none found"]}])

    assert (reading.places, reading.values[0].text) == (None, "none found")
