"""Charts as Plotly figures in plain dictionaries; the page draws them, the table stands behind them.

Built without importing plotly, which costs each web process a second and 60 MB; a test validates them with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.utils.translation import gettext as _

from apps.store.reading import Reading, Series

_MOST_BARS = 12


def probabilities_figure(reading: Reading) -> dict[str, Any]:
    """Horizontal bars, the likeliest at the top; the answer's own in the accent colour, the others paler."""
    pairs = sorted(reading.probabilities, key=lambda pair: pair[1])[-_MOST_BARS:]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [round(value, 6) for _label, value in pairs],
                "y": [label for label, _value in pairs],
                "text": [f"{value:.1%}" for _label, value in pairs],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"opacity": [1.0 if label == reading.answer else 0.45 for label, _value in pairs]},
                "hovertemplate": "%{y}: %{x:.2%}<extra></extra>",
            }
        ],
        "layout": {
            "xaxis": {
                "title": {"text": _("Probability")},
                "range": [0, 1.12],
                "tickformat": ".0%",
                "dtick": 0.25,
            },
            "yaxis": {"title": {"text": _("Class")}, "type": "category"},
            "bargap": 0.28,
            "showlegend": False,
            "margin": {"l": 40, "r": 16, "t": 4, "b": 40},
        },
    }


def series_figure(asked: Sequence[Series], answered: Sequence[Series]) -> dict[str, Any]:
    """The question's series and the answer's as lines over their steps.

    An answer of another length than the only series that was asked goes on where that one ends, like a forecast.
    """
    ends = len(asked[0].numbers) if len(asked) == 1 else 0
    lines = [(each, 0, True) for each in asked]
    lines += [(each, ends if len(each.numbers) != ends else 0, False) for each in answered]
    units = {each.unit for each, _start, _was_asked in lines if each.unit}
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines" if len(each.numbers) > 60 else "lines+markers",
                "name": each.title,
                "x": [start + at + 1 for at in range(len(each.numbers))],
                "y": [round(number, 6) for number in each.numbers],
                "line": {"dash": "dot" if was_asked else "solid"},
                "marker": {"size": 5},
            }
            for each, start, was_asked in lines
        ],
        "layout": {
            "xaxis": {"title": {"text": _("Step")}},
            "yaxis": {"title": {"text": units.pop() if len(units) == 1 else _("Value")}},
        },
    }


def parts_figure(parts: Sequence[tuple[str, int, int]], title: str) -> dict[str, Any]:
    """Stacked bars, the most called at the top: (name, answered, refused or failed)."""
    rising = sorted(parts, key=lambda part: part[1] + part[2])[-_MOST_BARS:]
    names = [name for name, _good, _bad in rising]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "x": [part[place] for part in rising],
                "y": names,
            }
            for name, place in ((_("answered"), 1), (_("refused or failed"), 2))
        ],
        "layout": {
            "barmode": "stack",
            "xaxis": {"title": {"text": _("calls")}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": title}, "type": "category"},
        },
    }


def weights_figure(weights: Sequence[tuple[str, float]], unit: str) -> dict[str, Any]:
    """Bars of what an answer rests on, the heaviest at the top; to the left what speaks against it."""
    heaviest = sorted(weights, key=lambda pair: abs(pair[1]))[-_MOST_BARS:]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [round(weight, 6) for _label, weight in heaviest],
                "y": [label for label, _weight in heaviest],
                "text": [
                    f"{weight:+.1%}" if unit == "probability" else f"{weight:+.4g}" for _l, weight in heaviest
                ],
                "textposition": "auto",
                "marker": {"opacity": [1.0 if weight >= 0 else 0.45 for _label, weight in heaviest]},
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": _weight_title(unit)}, "zeroline": True},
            "yaxis": {"type": "category"},
            "showlegend": False,
            "bargap": 0.28,
        },
    }


def _weight_title(unit: str) -> str:
    if unit == "probability":
        return _("probability lost without it")
    return _("value lost without it") if unit == "value" else _("answer changes without it")


def heat_figure(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """An image's weights at their places; the first row is at the top."""
    most = max((abs(value) for row in rows for value in row), default=0) or 1
    return {
        "data": [
            {
                "type": "heatmap",
                "x": [str(at + 1) for at in range(len(rows[0]) if rows else 0)],
                "y": [str(at + 1) for at in range(len(rows))],
                "z": [list(row) for row in rows],
                "zmin": -most,
                "zmax": most,
                "colorscale": [[0, "#b2492f"], [0.5, "rgba(128,128,128,0.08)"], [1, "#0b7a6e"]],
                "xgap": 1,
                "ygap": 1,
                "colorbar": {"thickness": 10},
                "hovertemplate": "%{y}/%{x}: %{z:.3f}<extra></extra>",
            }
        ],
        "layout": {
            "xaxis": {"type": "category", "visible": False, "scaleanchor": "y", "constrain": "domain"},
            "yaxis": {"type": "category", "visible": False, "autorange": "reversed"},
            "margin": {"l": 4, "r": 4, "t": 4, "b": 4},
        },
    }


def _time_axis() -> dict[str, Any]:
    return {"type": "date", "title": {"text": _("Time")}}


def calls_figure(times: Sequence[datetime], good: Sequence[int], bad: Sequence[int]) -> dict[str, Any]:
    """Stacked bars: answered and refused or failed calls in each period."""
    at = [moment.isoformat() for moment in times]
    return {
        "data": [
            {"type": "bar", "name": _("answered"), "x": at, "y": list(good)},
            {"type": "bar", "name": _("refused or failed"), "x": at, "y": list(bad)},
        ],
        "layout": {
            "barmode": "stack",
            "xaxis": _time_axis(),
            "yaxis": {"title": {"text": _("calls")}, "rangemode": "tozero"},
            "bargap": 0.15,
        },
    }


def replay_figure(days: Sequence[tuple[date, int, int]]) -> dict[str, Any]:
    """Stacked bars for each day: what would have passed, and what would have been refused."""
    at = [day.isoformat() for day, _passed, _refused in days]
    return {
        "data": [
            {"type": "bar", "name": _("passed"), "x": at, "y": [passed for _day, passed, _refused in days]},
            {"type": "bar", "name": _("refused"), "x": at, "y": [refused for _day, _passed, refused in days]},
        ],
        "layout": {
            "barmode": "stack",
            "xaxis": _time_axis(),
            "yaxis": {"title": {"text": _("calls")}, "rangemode": "tozero"},
        },
    }


def errors_figure(kinds: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Bars of what went wrong, the most frequent at the top."""
    rising = sorted(kinds, key=lambda pair: pair[1])
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [count for _kind, count in rising],
                "y": [kind for kind, _count in rising],
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": _("calls")}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": _("kind")}, "type": "category"},
            "showlegend": False,
        },
    }


def latency_figure(
    times: Sequence[datetime], percentiles: Mapping[str, Sequence[float | None]]
) -> dict[str, Any]:
    """One line for each percentile, in milliseconds."""
    at = [moment.isoformat() for moment in times]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": at,
                "y": list(values),
                "connectgaps": False,
                "marker": {"size": 5},
            }
            for name, values in percentiles.items()
        ],
        "layout": {
            "xaxis": _time_axis(),
            "yaxis": {"title": {"text": _("latency in ms")}, "rangemode": "tozero"},
        },
    }
