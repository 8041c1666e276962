"""The figures of a report. Built here as Plotly's JSON; the browser draws them in the viewer's theme."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _


def confusion(measured: dict[str, Any]) -> dict[str, Any]:
    """Rows: the right answer; columns: what was answered; the number of rows in each cell."""
    labels, counts = measured["labels"], measured["confusion"]
    other = any(row[-1] for row in counts)
    columns = [*labels, _("other")] if other else labels
    cells = [row if other else row[:-1] for row in counts]
    return {
        "data": [
            {
                "type": "heatmap",
                "x": columns,
                "y": labels,
                "z": cells,
                "text": [[str(cell) if cell else "" for cell in row] for row in cells],
                "texttemplate": "%{text}",
                "colorscale": [[0, "rgba(120,140,160,0.06)"], [0.05, "#a9d6cf"], [1, "#0b6e63"]],
                "showscale": False,
                "hovertemplate": _("right: %{y}<br>answered: %{x}<br>rows: %{z}") + "<extra></extra>",
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": _("answered")}, "type": "category", "side": "bottom"},
            "yaxis": {"title": {"text": _("right")}, "type": "category", "autorange": "reversed"},
        },
    }


def calibration(measured: dict[str, Any]) -> dict[str, Any] | None:
    """How often answers of a given confidence were right, against the diagonal."""
    bins = measured.get("calibration")
    if not bins:
        return None
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": _("this version"),
                "x": [round(b["confidence"], 4) for b in bins],
                "y": [round(b["accuracy"], 4) for b in bins],
                "text": [_("%(n)d rows") % {"n": b["n"]} for b in bins],
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": _("perfect"),
                "x": [0, 1],
                "y": [0, 1],
                "line": {"dash": "dot", "width": 1},
            },
        ],
        "layout": {
            "xaxis": {"title": {"text": _("confidence")}, "range": [0, 1.02]},
            "yaxis": {"title": {"text": _("share that is right")}, "range": [0, 1.02]},
        },
    }


def roc(measured: dict[str, Any]) -> dict[str, Any] | None:
    """The ROC curve of a two-class version."""
    points = measured.get("roc")
    if not points:
        return None
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": _("this version"),
                "x": [round(point[0], 4) for point in points],
                "y": [round(point[1], 4) for point in points],
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": _("false positive rate")}},
            "yaxis": {"title": {"text": _("true positive rate")}},
        },
    }


def latency(measured: dict[str, Any]) -> dict[str, Any] | None:
    """How long single calls took, one after another."""
    found = measured.get("latency")
    if not found:
        return None
    edges = found["edges"]
    middles = [round((low + high) / 2, 3) for low, high in pairwise(edges)]
    return {
        "data": [{"type": "bar", "x": middles, "y": found["histogram"], "name": _("calls")}],
        "layout": {
            "xaxis": {"title": {"text": _("milliseconds")}},
            "yaxis": {"title": {"text": _("calls")}},
            "bargap": 0.05,
        },
    }


def slices(measured: dict[str, Any]) -> dict[str, Any] | None:
    """Accuracy with its interval in each slice, the worst first."""
    found = sorted(measured.get("slices") or [], key=lambda item: item["figures"]["accuracy"]["value"])
    if not found:
        return None
    accuracy = [item["figures"]["accuracy"] for item in found]
    return {
        "data": [
            {
                "type": "bar",
                "x": [item["slice"] for item in found],
                "y": [round(figure["value"], 4) for figure in accuracy],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [
                        round((figure["high"] or figure["value"]) - figure["value"], 4) for figure in accuracy
                    ],
                    "arrayminus": [round(figure["value"] - (figure["low"] or 0), 4) for figure in accuracy],
                },
                "name": _("accuracy"),
            }
        ],
        "layout": {
            "yaxis": {"title": {"text": _("accuracy")}, "range": [0, 1.02]},
            "xaxis": {"type": "category"},
        },
    }


def importance(measured: dict[str, Any]) -> dict[str, Any] | None:
    """The accuracy lost when one input's values are shuffled: the fifteen that matter most."""
    found = (measured.get("importance") or [])[:15]
    if not found:
        return None
    found = found[::-1]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [round(item["drop"], 4) for item in found],
                "y": [item["input"] for item in found],
                "name": _("accuracy lost"),
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": _("accuracy lost")}},
            "yaxis": {"type": "category", "automargin": True},
        },
    }


def all_of(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The report's figures in reading order, each with its title, height and caption."""
    candidates = [
        (
            _("Confusion matrix"),
            confusion(measured),
            380,
            _("Each row is a right answer, each column what came back."),
        ),
        (
            _("Accuracy by slice"),
            slices(measured),
            300,
            _("With 95 % intervals; the worst group stands first."),
        ),
        (
            _("Calibration"),
            calibration(measured),
            320,
            _("A version that says 80 % should be right 8 times of 10."),
        ),
        (_("ROC curve"), roc(measured), 320, ""),
        (
            _("Latency of single calls"),
            latency(measured),
            260,
            _("One connection, one row a call, through the gateway."),
        ),
        (
            _("What the answers rest on"),
            importance(measured),
            360,
            _("Permutation importance on the evaluated rows."),
        ),
    ]
    return [
        {"title": title, "figure": figure, "height": height, "caption": caption}
        for title, figure, height, caption in candidates
        if figure is not None
    ]
