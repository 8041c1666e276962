"""The figures of a report. Built here as Plotly's JSON; the browser draws them in the viewer's theme."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _

from apps.evaluation.gates import HIGHER_IS_BETTER
from atrium.evaluation import DATASET


def confusion(measured: dict[str, Any]) -> dict[str, Any] | None:
    """Rows: the right answer; columns: what was answered; the number of rows in each cell."""
    if "confusion" not in measured:
        return None
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


def _curves(measured: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """One line a class; reports of the first format have the ROC curve of a two-class version alone."""
    found = measured.get("curves") or []
    if not found and name == "roc" and measured.get("roc"):
        found = [{"label": _("this version"), "roc": measured["roc"]}]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": entry["label"],
            "x": [round(point[0], 4) for point in entry[name]],
            "y": [round(point[1], 4) for point in entry[name]],
        }
        for entry in found
    ]


def roc(measured: dict[str, Any]) -> dict[str, Any] | None:
    """The ROC curve of each class against all others."""
    lines = _curves(measured, "roc")
    return (lines and _plain(lines, _("false positive rate"), _("true positive rate"))) or None


def precision_recall(measured: dict[str, Any]) -> dict[str, Any] | None:
    """Precision over recall of each class."""
    lines = _curves(measured, "pr")
    return (lines and _plain(lines, _("recall"), _("precision"))) or None


def _plain(data: list[dict[str, Any]], x: str, y: str, **layout: Any) -> dict[str, Any]:
    return {
        "data": data,
        "layout": {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}, **layout},
    }


def scatter(measured: dict[str, Any]) -> dict[str, Any] | None:
    """Answers of a regression over the right values; on the line they are right."""
    points = measured.get("points")
    if not points:
        return None
    ends = [min(point[0] for point in points), max(point[0] for point in points)]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": _("rows"),
            "x": [round(point[0], 4) for point in points],
            "y": [round(point[1], 4) for point in points],
            "text": [_("row %(row)d") % {"row": point[2]} for point in points],
            "marker": {"size": 5, "opacity": 0.6},
        },
        {"type": "scatter", "mode": "lines", "name": _("right"), "x": ends, "y": ends,
         "line": {"dash": "dot", "width": 1}},
    ]  # fmt: skip
    return _plain(data, _("right"), _("answered"))


def residuals(measured: dict[str, Any]) -> dict[str, Any] | None:
    """How far answers lie from the right values, and on which side."""
    found = measured.get("residuals")
    if not found:
        return None
    middles = [round((low + high) / 2, 4) for low, high in pairwise(found["edges"])]
    data = [{"type": "bar", "x": middles, "y": found["histogram"], "name": _("rows")}]
    return _plain(data, _("answered minus right"), _("rows"), bargap=0.05)


def by_step(measured: dict[str, Any]) -> dict[str, Any] | None:
    """The mean absolute error of each step of a forecast."""
    found = measured.get("by_step")
    if not found:
        return None
    steps = list(range(1, len(found) + 1))
    data = [
        {"type": "scatter", "mode": "lines+markers", "x": steps, "y": [round(v, 4) for v in found],
         "name": _("mean absolute error")}
    ]  # fmt: skip
    return _plain(data, _("step"), _("mean absolute error"))


def by_label(measured: dict[str, Any]) -> dict[str, Any] | None:
    """Precision and recall of each label of places in a text."""
    found = measured.get("by_label")
    if not found:
        return None
    labels = [entry["label"] for entry in found]
    data = [
        {"type": "bar", "name": words, "x": labels, "y": [round(entry[name] or 0, 4) for entry in found]}
        for name, words in (("precision", _("precision")), ("recall", _("recall")))
    ]
    return _plain(data, "", _("share"), barmode="group")


def saturation(measured: dict[str, Any]) -> dict[str, Any] | None:
    """Calls per second and 95th percentile with more and more callers at once."""
    steps = (measured.get("load") or {}).get("steps")
    if not steps:
        return None
    callers = [step["callers"] for step in steps]
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines+markers", "name": _("calls per second"), "x": callers,
         "y": [round(step["throughput"], 1) for step in steps]},
        {"type": "scatter", "mode": "lines+markers", "name": _("p95, ms"), "x": callers, "yaxis": "y2",
         "y": [round(step["p95_ms"], 2) for step in steps], "line": {"dash": "dot"}},
    ]  # fmt: skip
    second = {"title": {"text": _("p95, ms")}, "overlaying": "y", "side": "right", "rangemode": "tozero"}
    return _plain(data, _("callers at once"), _("calls per second"), yaxis2=second)


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
    """The main figure with its interval in each slice, the worst first; data sets have a figure of their own."""
    several = measured.get("datasets")
    return _of_slices(measured, lambda name: not (several and name.startswith(f"{DATASET}=")))


def datasets(measured: dict[str, Any]) -> dict[str, Any] | None:
    """The same of each data set, where a suite has several."""
    return (
        _of_slices(measured, lambda name: name.startswith(f"{DATASET}="))
        if measured.get("datasets")
        else None
    )


def _of_slices(measured: dict[str, Any], chosen: Callable[[str], bool]) -> dict[str, Any] | None:
    main = measured.get("main", "accuracy")
    told = [
        {"name": item["slice"], **item["figures"][main]}
        for item in measured.get("slices") or []
        if chosen(item["slice"]) and item["figures"].get(main, {}).get("value") is not None
    ]
    told.sort(key=lambda entry: entry["value"], reverse=main not in HIGHER_IS_BETTER)
    return _with_intervals(told, main)


def fairness(entry: dict[str, Any]) -> dict[str, Any] | None:
    """The main figure of each group of a column, the worst first."""
    told = [{"name": group["group"], **group} for group in entry["groups"]]
    return _with_intervals(told, entry["metric"])


def _with_intervals(told: list[dict[str, Any]], metric: str) -> dict[str, Any] | None:
    if not told:
        return None
    above = [round((e["value"] if e.get("high") is None else e["high"]) - e["value"], 4) for e in told]
    below = [round(e["value"] - (e["value"] if e.get("low") is None else e["low"]), 4) for e in told]
    data = [
        {
            "type": "bar",
            "x": [entry["name"] for entry in told],
            "y": [round(entry["value"], 4) for entry in told],
            "error_y": {"type": "data", "symmetric": False, "array": above, "arrayminus": below},
            "name": metric,
        }
    ]
    return {
        "data": data,
        "layout": {
            "yaxis": {"title": {"text": metric}, "rangemode": "tozero"},
            "xaxis": {"type": "category"},
        },
    }


def importance(measured: dict[str, Any]) -> dict[str, Any] | None:
    """What the main figure loses when one input's values are shuffled: the fifteen that matter most."""
    found = (measured.get("importance") or [])[:15]
    if not found:
        return None
    found = found[::-1]
    metric = measured.get("importance_by") or measured.get("main", "accuracy")
    words = _("%(metric)s lost") if metric in HIGHER_IS_BETTER else _("how much %(metric)s rises")
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [round(item["drop"], 4) for item in found],
                "y": [item["input"] for item in found],
                "name": _("lost"),
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": words % {"metric": metric}}},
            "yaxis": {"type": "category", "automargin": True},
        },
    }


def _how_importance(measured: dict[str, Any]) -> str:
    """What was tried, and what of it has no bar."""
    words = measured.get("importance_of") == "tokens"
    told = [
        _("The words that go with the answers most, each left out of the texts that have it.")
        if words
        else _("Permutation importance on the evaluated rows.")
    ]
    tried, chosen = measured.get("importance_tried", 0), measured.get("importance_chosen", 0)
    if tried < chosen:
        some = _("There was time to try %(tried)d of %(chosen)d.")
        told.append(some % {"tried": tried, "chosen": chosen})
    if without := measured.get("importance_without"):
        lost = (
            _("Without one of these words a text was refused or got no number: %(words)s.")
            if words
            else _("With one of these shuffled a row was refused or got no number: %(words)s.")
        )
        told.append(lost % {"words": ", ".join(without)})
    return " ".join(told)


def all_of(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The report's figures in reading order, each with its title, height and caption. Where nothing that was tried got
    a bar, `figure` is None and the caption says so.
    """
    intervals = _("With 95 % intervals; the worst group stands first.")
    candidates: list[tuple[str, dict[str, Any] | None, int, str]] = [
        (_("Confusion matrix"), confusion(measured), 380,
         _("Each row is a right answer, each column what came back.")),
        (_("Answered over right"), scatter(measured), 380, _("On the line an answer is right.")),
        (_("Residuals"), residuals(measured), 300, ""),
        (_("Error by step"), by_step(measured), 300, _("How the error grows with the distance.")),
        (_("Found and right by label"), by_label(measured), 300, _("A place counts when both its ends are right.")),
        (_("By data set"), datasets(measured), 300, intervals),
        (_("By slice"), slices(measured), 300, intervals),
        *((_("Groups of %(column)s") % {"column": entry["column"]}, fairness(entry), 300, intervals)
          for entry in measured.get("fairness") or []),
        (_("Calibration"), calibration(measured), 320,
         _("A version that says 80 % should be right 8 times of 10.")),
        (_("ROC curve"), roc(measured), 320, ""),
        (_("Precision over recall"), precision_recall(measured), 320, ""),
        (_("Latency of single calls"), latency(measured), 260,
         _("One connection, one row a call, through the gateway.")),
        (_("Up to saturation"), saturation(measured), 300,
         _("More callers at once until throughput rises by less than a tenth.")),
        (_("What the answers rest on"), importance(measured), 360,
         _how_importance(measured)),
    ]  # fmt: skip
    found: list[dict[str, Any]] = [
        {"title": title, "figure": figure, "height": height, "caption": caption}
        for title, figure, height, caption in candidates
        if figure is not None
    ]
    if measured.get("importance_without") and not measured.get("importance"):
        caption = _how_importance(measured)
        found.append(
            {"title": _("What the answers rest on"), "figure": None, "height": 0, "caption": caption}
        )
    return found


def score_by_section(sections: list[tuple[str, float]]) -> dict[str, Any]:
    """The points of each section; the smallest one is the score."""
    least = min(points for _name, points in sections)
    return {
        "data": [
            {
                "type": "bar",
                "x": [name for name, _points in sections],
                "y": [points for _name, points in sections],
            }
        ],
        "layout": {
            "yaxis": {"title": {"text": _("points")}, "range": [0, 7]},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": least,
                    "y1": least,
                    "line": {"dash": "dot"},
                }
            ],
        },
    }
