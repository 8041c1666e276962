"""A Plotly figure of bars, lines, points or a heat map, drawn with ReportLab."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reportlab.graphics.shapes import Circle, Drawing, Group, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor

from apps.core.charts import figure_of
from apps.core.pdf import INK, LINE, MUTED, font_of

COLOURS = ("#0f6b6b", "#c8752b", "#4a67b0", "#8a4f9e", "#5d7d2e", "#b0433f")
_SIZE = 6.5
_LONGEST = 18
_TICKS = 5
_WIDEST_BAR = 60


@dataclass(frozen=True)
class Scale:
    """Where a value stands between two points of the page; `names` makes it a scale of words."""

    start: float
    end: float
    low: float = 0.0
    high: float = 1.0
    names: tuple[str, ...] = ()

    def at(self, value: Any) -> float:
        if self.names:
            place = (self.names.index(str(value)) + 0.5) / len(self.names)
        else:
            place = (float(value) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * place

    @property
    def step(self) -> float:
        """The room that one word has."""
        return abs(self.end - self.start) / max(len(self.names), 1)

    def ticks(self) -> list[Any]:
        if self.names:
            every = math.ceil(len(self.names) / max(abs(self.end - self.start) / 28, 1))
            return list(self.names[::every])
        step = _nice((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [round(n * step, 10) for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _nice(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(step for step in (1, 2, 5, 10) if step * power >= rough - 1e-12) * power)


def drawn(figure: Any, width: float, height: float) -> Drawing:
    """The figure with axes, their titles and a legend where there are several traces, `width` by `height` points."""
    plain = figure_of(figure)
    drawing = Drawing(width, height)
    traces = [trace for trace in plain["data"] if trace.get("type") in ("bar", "scatter", "heatmap")]
    if traces:
        _Plot(drawing, traces, plain["layout"]).draw()
    return drawing


class _Plot:
    def __init__(
        self, drawing: Drawing, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]
    ) -> None:
        self.drawing, self.traces, self.layout = drawing, traces, layout
        self.second = [trace for trace in traces if trace.get("yaxis") == "y2"]
        self.first = [trace for trace in traces if trace.get("yaxis") != "y2"]
        wide = max((len(name) for name in self._names("y", self.first)), default=5)
        left = 34 + min(wide, _LONGEST) * 3.4
        right = drawing.width - (44 if self.second else 8)
        self.x = self._scale("x", traces, left, right)
        top = drawing.height - (16 if self._has_legend() else 6)
        self.y = self._scale("y", self.first, 34, top)
        self.y2 = self._scale("y", self.second, 34, top) if self.second else None

    def draw(self) -> None:
        self._axes()
        bars = [trace for trace in self.first if trace["type"] == "bar"]
        for number, trace in enumerate(self.traces):
            colour = HexColor(COLOURS[number % len(COLOURS)])
            if trace["type"] == "heatmap":
                self._cells(trace)
            elif trace["type"] == "bar":
                self._bars(trace, colour, bars.index(trace), len(bars))
            else:
                self._line(trace, colour, self.y2 if self.y2 and trace in self.second else self.y)
        if self._has_legend():
            self._legend()

    def _has_legend(self) -> bool:
        return len([trace for trace in self.traces if trace.get("name")]) > 1

    def _names(self, axis: str, traces: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        words = self.layout.get(f"{axis}axis", {}).get("type") == "category"
        found = [value for trace in traces for value in trace.get(axis, [])]
        if not words and not any(isinstance(value, str) for value in found):
            return ()
        return tuple(dict.fromkeys(str(value) for value in found))

    def _scale(self, axis: str, traces: Sequence[Mapping[str, Any]], start: float, end: float) -> Scale:
        names = self._names(axis, traces)
        if names:
            reverse = axis == "y" and self.layout.get("yaxis", {}).get("autorange") == "reversed"
            return Scale(start, end, names=tuple(reversed(names)) if reverse else names)
        values = [float(value) for trace in traces for value in _extent(trace, axis) if _is_number(value)]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if any(
            trace["type"] == "bar" and (trace.get("orientation") == "h") == (axis == "x") for trace in traces
        ):
            low, high = min(low, 0.0), max(high, 0.0)
        if any(trace["type"] == "bar" for trace in traces) and axis == "x" and not _lying(traces):
            spare = (high - low) / max(len(traces[0].get("x", [])) - 1, 1)
            low, high = low - spare / 2, high + spare / 2
        if low == high:
            low, high = low - 0.5, high + 0.5
        return Scale(start, end, low, high + (high - low) * (0.04 if axis == "y" else 0.0))

    def _axes(self) -> None:
        add = self.drawing.add
        for value in self.y.ticks():
            at = self.y.at(value)
            add(Line(self.x.start, at, self.x.end, at, strokeColor=HexColor(LINE), strokeWidth=0.4))
            self._write(self.x.start - 3, at - 2, _label(value), "end")
        for value in self.x.ticks():
            self._write(self.x.at(value), self.y.start - 10, _label(value), "middle")
        add(
            Line(
                self.x.start,
                self.y.start,
                self.x.end,
                self.y.start,
                strokeColor=HexColor(MUTED),
                strokeWidth=0.6,
            )
        )
        for value in self.y2.ticks() if self.y2 else []:
            assert self.y2 is not None
            self._write(self.x.end + 3, self.y2.at(value) - 2, _label(value), "start")
        self._write((self.x.start + self.x.end) / 2, 6, _title(self.layout, "xaxis"), "middle", MUTED)
        turned = String(0, 0, _title(self.layout, "yaxis"), fontSize=_SIZE, textAnchor="middle",
                        fontName=font_of(_title(self.layout, "yaxis")), fillColor=HexColor(MUTED))  # fmt: skip
        add(Group(turned, transform=(0, 1, -1, 0, 9, (self.y.start + self.y.end) / 2)))

    def _bars(self, trace: Mapping[str, Any], colour: Color, place: int, count: int) -> None:
        lying = trace.get("orientation") == "h"
        along, across = (self.y, self.x) if lying else (self.x, self.y)
        names, values = (trace["y"], trace["x"]) if lying else (trace["x"], trace["y"])
        room = along.step if along.names else abs(along.end - along.start) / max(len(names), 1)
        thick = min(room * 0.8 / count, _WIDEST_BAR)
        error = trace.get("error_y") or {}
        for number, (name, value) in enumerate(zip(names, values, strict=False)):
            if not _is_number(value):
                continue
            at = along.at(name) - thick * count / 2 + place * thick
            foot, head = sorted((across.at(0), across.at(value)))
            box = (foot, at, head - foot, thick) if lying else (at, foot, thick, head - foot)
            self.drawing.add(Rect(*box, fillColor=colour, strokeColor=None))
            if error.get("array") and not lying:
                low = value - (error.get("arrayminus") or error["array"])[number]
                middle = at + thick / 2
                high = value + error["array"][number]
                self.drawing.add(
                    Line(
                        middle,
                        across.at(low),
                        middle,
                        across.at(high),
                        strokeColor=HexColor(INK),
                        strokeWidth=0.8,
                    )
                )

    def _line(self, trace: Mapping[str, Any], colour: Color, scale: Scale) -> None:
        points = [
            (self.x.at(x), scale.at(y)) for x, y in zip(trace["x"], trace["y"], strict=False) if _is_number(y)
        ]
        mode = trace.get("mode", "lines")
        if "lines" in mode and len(points) > 1:
            dotted = [2, 2] if (trace.get("line") or {}).get("dash") else None
            flat = [number for point in points for number in point]
            self.drawing.add(PolyLine(flat, strokeColor=colour, strokeWidth=1.1, strokeDashArray=dotted))
        for x, y in points if "markers" in mode else []:
            self.drawing.add(Circle(x, y, 1.6, fillColor=colour, strokeColor=None))

    def _cells(self, trace: Mapping[str, Any]) -> None:
        most = max((value for row in trace["z"] for value in row if _is_number(value)), default=1) or 1
        for y, row in zip(trace["y"], trace["z"], strict=False):
            for x, value in zip(trace["x"], row, strict=False):
                share = value / most if _is_number(value) else 0.0
                left, foot = self.x.at(x) - self.x.step / 2, self.y.at(y) - self.y.step / 2
                fill = Color(1 - 0.94 * share, 1 - 0.58 * share, 1 - 0.58 * share)
                self.drawing.add(
                    Rect(
                        left,
                        foot,
                        self.x.step,
                        self.y.step,
                        fillColor=fill,
                        strokeColor=HexColor(LINE),
                        strokeWidth=0.3,
                    )
                )
                ink = "#ffffff" if share > 0.55 else INK
                self._write(left + self.x.step / 2, foot + self.y.step / 2 - 2, _label(value), "middle", ink)

    def _legend(self) -> None:
        at = self.x.start
        for number, trace in enumerate(self.traces):
            name = str(trace.get("name", ""))[:40]
            top = self.drawing.height - 8
            self.drawing.add(
                Rect(at, top, 7, 5, fillColor=HexColor(COLOURS[number % len(COLOURS)]), strokeColor=None)
            )
            self._write(at + 10, top, name, "start")
            at += 24 + len(name) * 3.7

    def _write(self, x: float, y: float, text: str, anchor: str, colour: str = INK) -> None:
        self.drawing.add(
            String(
                x,
                y,
                text,
                fontName=font_of(text),
                fontSize=_SIZE,
                textAnchor=anchor,
                fillColor=HexColor(colour),
            )
        )


def _extent(trace: Mapping[str, Any], axis: str) -> list[Any]:
    """The values of a trace along an axis, the ends of its error bars with them."""
    values = list(trace.get(axis, []))
    error = trace.get("error_y") or {}
    if axis == "y" and error.get("array"):
        pairs = zip(trace["y"], error["array"], error.get("arrayminus") or error["array"], strict=False)
        values += [end for value, above, below in pairs for end in (value + above, value - below)]
    return values


def _lying(traces: Sequence[Mapping[str, Any]]) -> bool:
    return any(trace.get("orientation") == "h" for trace in traces)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _label(value: Any) -> str:
    if _is_number(value):
        return f"{value:,.6g}"
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _title(layout: Mapping[str, Any], axis: str) -> str:
    title = layout.get(axis, {}).get("title", "")
    return str(title.get("text", "") if isinstance(title, Mapping) else title)
