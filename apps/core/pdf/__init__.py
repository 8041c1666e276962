"""Documents for print: headings, sentences, tables and the portal's charts as a PDF of A4 pages.

ReportLab sets them; it is imported when the first document is made, so that no process pays for it at its start.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from reportlab.platypus.flowables import Flowable

BODY, BOLD, HAN = "Vera", "VeraBd", "STSong-Light"
INK, MUTED, LINE, SUNKEN = "#1d2733", "#5b6776", "#d8dee6", "#f3f5f8"
_HAN = re.compile(r"[⺀-鿿豈-﫿＀-￯　-〿]+")
_LONGEST_CELL = 400


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Text:
    text: str
    muted: bool = False


@dataclass(frozen=True)
class Rows:
    """A table; the columns whose numbers are in `numeric` stand at the right, `widths` are shares of the page."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numeric: frozenset[int] = frozenset()
    widths: Sequence[float] = field(default=())


@dataclass(frozen=True)
class Figure:
    """A chart as the pages draw it: a Plotly figure of bars, lines, points or a heat map."""

    title: str
    figure: dict[str, Any]
    height: float = 190


Part = Heading | Text | Rows | Figure


def document(title: str, parts: Iterable[Part], *, footer: str = "") -> bytes:
    """The parts one after the other on A4 pages, numbered, with the footer on each."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    _fonts()
    out = io.BytesIO()
    made = SimpleDocTemplate(
        out,
        pagesize=A4,
        title=title,
        author="Atrium",
        leftMargin=48,
        rightMargin=48,
        topMargin=48,
        bottomMargin=54,
    )
    story = [_paragraph(title, size=17, bold=True, after=10)]
    for part in parts:
        story += _flowables(part, made.width)

    def foot(canvas: Any, template: Any) -> None:
        canvas.setFont(BODY, 7)
        canvas.setFillColor(MUTED)
        canvas.drawString(48, 30, footer)
        canvas.drawRightString(A4[0] - 48, 30, str(template.page))

    made.build(story, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


@cache
def _fonts() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont(BODY, "Vera.ttf"))
    pdfmetrics.registerFont(TTFont(BOLD, "VeraBd.ttf"))
    pdfmetrics.registerFont(UnicodeCIDFont(HAN))


def font_of(text: str, usual: str = BODY) -> str:
    """The font that has the text's letters: one string of a chart is set in one font."""
    return HAN if _HAN.search(text) else usual


def _marked(value: Any) -> str:
    """Text as ReportLab's markup, with Chinese in a font that has it."""
    text = "–" if value is None else str(value)
    text = text if len(text) <= _LONGEST_CELL else text[:_LONGEST_CELL] + "…"
    return _HAN.sub(lambda han: f'<font name="{HAN}">{han[0]}</font>', escape(text)).replace("\n", "<br/>")


def _paragraph(
    value: Any,
    *,
    size: float = 8.5,
    bold: bool = False,
    muted: bool = False,
    right: bool = False,
    after: float = 4,
) -> Flowable:
    from reportlab.lib.enums import TA_LEFT, TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    style = ParagraphStyle(
        "text", fontName=BOLD if bold else BODY, fontSize=size, leading=size * 1.35, spaceAfter=after,
        textColor=MUTED if muted else INK, alignment=TA_RIGHT if right else TA_LEFT, splitLongWords=1,
        wordWrap="CJK" if _HAN.search(str(value)) else None,
    )  # fmt: skip
    return Paragraph(_marked(value), style)


def _flowables(part: Part, width: float) -> list[Any]:
    from reportlab.platypus import KeepTogether

    match part:
        case Heading(text):
            return [_spaced(_paragraph(text, size=11, bold=True, after=5), 12)]
        case Text(text, muted):
            return [_paragraph(text, muted=muted)]
        case Rows():
            return [_table(part, width)]
        case Figure(title, figure, height):
            from apps.core.pdf.drawing import drawn

            head = _spaced(_paragraph(title, size=9.5, bold=True), 8)
            return [KeepTogether([head, drawn(figure, width, height)])]


def _spaced(flowable: Any, before: float) -> Any:
    flowable.style.spaceBefore = before
    flowable.style.keepWithNext = 1
    return flowable


def _table(part: Rows, width: float) -> Any:
    from reportlab.platypus import Table, TableStyle

    shares = part.widths or [1.0] * len(part.header)
    widths = [width * share / sum(shares) for share in shares]
    head = [
        _paragraph(cell, size=7.5, bold=True, right=n in part.numeric, after=0)
        for n, cell in enumerate(part.header)
    ]
    body = [
        [_paragraph(cell, size=7.5, right=n in part.numeric, after=0) for n, cell in enumerate(row)]
        for row in part.rows
    ]
    style = TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("BACKGROUND", (0, 0), (-1, 0), SUNKEN),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
            ("TOPPADDING", (0, 0), (-1, -1), 3),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ]
    )
    return Table([head, *body], colWidths=widths, repeatRows=1, style=style, spaceAfter=6)
