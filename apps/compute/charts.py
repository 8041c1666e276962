"""The chart of what a job used over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from apps.compute import needs


def usage_chart(samples: Sequence[Sequence[float]], limit_mb: float) -> dict[str, Any]:
    """Memory (left axis, with its limit as a dotted line) and busy cores (right axis) over seconds."""
    cores = needs.cores_over_time(samples)
    seconds = [round(sample[0], 1) for sample in samples]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": _("memory, MB"),
                "x": seconds,
                "y": [s[1] for s in samples],
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": _("busy cores"),
                "yaxis": "y2",
                "x": [round(at, 1) for at, _cores in cores],
                "y": [round(value, 2) for _at, value in cores],
            },
        ],
        "layout": {
            "xaxis": {"title": {"text": _("seconds since the start")}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "MB"}, "rangemode": "tozero"},
            "yaxis2": {
                "title": {"text": _("cores")},
                "overlaying": "y",
                "side": "right",
                "rangemode": "tozero",
                "showgrid": False,
                "tickmode": "auto",
                "nticks": 5,
            },
            "margin": {"l": 56, "r": 60, "t": 8, "b": 44},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": limit_mb,
                    "y1": limit_mb,
                    "line": {"dash": "dot", "width": 1, "color": "#888"},
                }
            ]
            if samples and max(s[1] for s in samples) > limit_mb / 3
            else [],
        },
    }


def reports_chart(reports: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """Each metric that the code reported, step by step; None where it reported nothing."""
    names = list(dict.fromkeys(name for row in reports for name in row if name != "step"))[:20]
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(reports) < 40 else "lines",
            "name": name,
            "x": [row["step"] for row in reports if name in row],
            "y": [row[name] for row in reports if name in row],
        }
        for name in names
    ]
    return {"data": traces, "layout": {"xaxis": {"title": {"text": _("step")}}}} if traces else None
