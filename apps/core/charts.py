"""Charts as plain data: a Plotly figure for the eye, and the same numbers as a table one click behind it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """The numbers of a figure: a header and rows in the order of the first trace's x."""

    header: list[str]
    rows: list[list[Any]]


def _plain(value: Any) -> Any:
    """Lists and numbers that JSON knows, out of Plotly objects and numpy arrays."""
    if hasattr(value, "to_plotly_json"):
        return _plain(value.to_plotly_json())
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping) and {"dtype", "bdata"} <= set(value):
        return _unpacked(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def _unpacked(value: Mapping[str, Any]) -> list[Any]:
    """Plotly's way to write an array: base64 of its bytes, with type and shape."""
    import numpy as np

    array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
    if "shape" in value:
        array = array.reshape([int(n) for n in str(value["shape"]).split(",")])
    found: list[Any] = array.tolist()
    return found


def figure_of(figure: Any) -> dict[str, Any]:
    """A figure as `{"data": […], "layout": {…}}` that can be written as JSON."""
    plain = _plain(figure)
    data, layout = plain.get("data", []), dict(plain.get("layout", {}))
    if data and all(_named_bars(trace) for trace in data):
        layout["xaxis"] = {"type": "category", **layout.get("xaxis", {})}
    return {"data": data, "layout": layout}


def _named_bars(trace: dict[str, Any]) -> bool:
    """Bars over names, which Plotly would take for numbers or dates where they look like some."""
    upright = trace.get("type") == "bar" and trace.get("orientation") != "h"
    return upright and all(isinstance(x, str) for x in trace.get("x", []))


def _short(value: Any) -> Any:
    """A number with six significant digits, for reading."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _axis_title(figure: dict[str, Any], axis: str, fallback: str) -> str:
    title = figure["layout"].get(axis, {}).get("title", "")
    text = title.get("text", "") if isinstance(title, Mapping) else title
    return str(text or fallback)


def _axes_table(axes: Sequence[Mapping[str, Any]]) -> Table:
    """Parallel coordinates: one row for each line, one column for each axis; words where the axis has some."""
    columns = []
    for axis in axes:
        words = dict(zip(axis.get("tickvals", []), axis.get("ticktext", []), strict=False))
        columns.append([words.get(value, _short(value)) for value in axis["values"]])
    return Table(
        ["", *(str(axis["label"]) for axis in axes)],
        [[number, *row] for number, row in enumerate(zip(*columns, strict=True), 1)],
    )


def table_of(figure: dict[str, Any]) -> Table:
    """The figure's traces side by side: one row for each x, one column for each trace.

    Horizontal bars name their rows by y; a heat map gives one row for each y and one column for each x.
    """
    traces: list[dict[str, Any]] = figure["data"]
    if traces and traces[0].get("type") == "heatmap":
        heat = traces[0]
        return Table(
            ["", *map(str, heat.get("x", []))],
            [[y, *map(_short, row)] for y, row in zip(heat["y"], heat["z"], strict=False)],
        )
    if traces and traces[0].get("type") == "parcoords":
        return _axes_table(traces[0]["dimensions"])
    flat = bool(traces) and traces[0].get("orientation") == "h"
    key, value = ("y", "x") if flat else ("x", "y")
    order: dict[Any, list[Any]] = {}
    for column, trace in enumerate(traces):
        for x, y in zip(trace.get(key, []), trace.get(value, []), strict=False):
            order.setdefault(x, [""] * len(traces))[column] = y
    header = [_axis_title(figure, f"{key}axis", key)]
    only = _axis_title(figure, f"{value}axis", value) if len(traces) == 1 else ""
    header += [str(trace.get("name") or only or index + 1) for index, trace in enumerate(traces)]
    return Table(header, [[x, *map(_short, values)] for x, values in order.items()])
