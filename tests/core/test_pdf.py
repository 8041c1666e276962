"""Documents for print: all words are there, in both languages, and each kind of chart is drawn."""

from __future__ import annotations

from io import BytesIO

import pytest
from pypdf import PdfReader

from apps.core import pdf

BARS = {
    "data": [{"type": "bar", "x": ["a", "b"], "y": [1, 2], "error_y": {"array": [0.1, 0.2]}}],
    "layout": {},
}
LYING = {"data": [{"type": "bar", "orientation": "h", "x": [-1, 2], "y": ["a", "b"]}], "layout": {}}
LINES = {
    "data": [
        {"type": "scatter", "mode": "lines+markers", "name": "calls", "x": [1, 2, 4], "y": [10, None, 30]},
        {
            "type": "scatter",
            "name": "ms",
            "yaxis": "y2",
            "x": [1, 2, 4],
            "y": [3, 3, 3],
            "line": {"dash": "dot"},
        },
    ],
    "layout": {"xaxis": {"title": {"text": "callers"}}, "yaxis": {"title": "calls per second"}},
}
CELLS = {
    "data": [{"type": "heatmap", "x": ["0", "1"], "y": ["0", "1"], "z": [[5, 0], [1, 4]]}],
    "layout": {"yaxis": {"type": "category", "autorange": "reversed"}, "xaxis": {"type": "category"}},
}


def words(*parts):
    pages = PdfReader(BytesIO(pdf.document("Report", parts, footer="sha256 abc"))).pages
    return [page.extract_text() for page in pages]


def test_headings_sentences_and_tables_in_both_languages():
    rows = [("≥ 0.9", None), ("<b>&", "准确率 95 %")]
    (page,) = words(
        pdf.Heading("门禁 Gates"), pdf.Text("Good."), pdf.Rows(("Gate", "Value"), rows, frozenset({1}))
    )

    for told in ("Report", "门禁", "Gates", "Good.", "≥ 0.9", "–", "<b>&", "准确率", "95 %", "sha256 abc"):
        assert told in page


@pytest.mark.parametrize(
    ("figure", "told"),
    [(BARS, {"a", "b", "2"}), (LYING, {"a", "b", "-1"}), (LINES, {"calls", "ms", "callers", "30", "3"}),
     (CELLS, {"5", "4"}), ({"data": [], "layout": {}}, set())],
)  # fmt: skip
def test_each_kind_of_chart_is_drawn(figure, told):
    page = "\n".join(words(pdf.Figure("Chart", figure)))

    assert told | {"Chart"} <= set(page.split())


def test_long_tables_go_on_with_their_head_on_the_next_page():
    pages = words(pdf.Rows(("Row", "Answer"), [(n, "x" * 500) for n in range(60)]))

    assert len(pages) > 2
    assert all("Answer" in page for page in pages)
