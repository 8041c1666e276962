"""What is shown of a report: on its page, in its files, by REST."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from apps.evaluation import charts
from apps.evaluation.gates import in_words
from apps.evaluation.policy import decides
from apps.evaluation.printed import report_pdf
from apps.evaluation.selectors import content_of
from apps.evaluation.wording import checks_in_words, differences_in_words, rows_in_words
from atrium.evaluation import DATASET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apps.evaluation.models import Report

_CONFUSIONS = 12
_UNITS = {
    "latency_p50_ms": ("ms", 2),
    "latency_p95_ms": ("ms", 2),
    "latency_p99_ms": ("ms", 2),
    "throughput": ("1/s", 0),
    "memory_mb": ("MB", 0),
    "cpu_ms_per_call": ("ms", 2),
    "cold_start_s": ("s", 1),
    "package_mb": ("MB", 2),
    "cases_failed": ("", 0),
    "robustness_failed": ("", 0),
    "parity_failed": ("", 0),
}


def told(report: Report) -> dict[str, Any]:
    """What the page and its export show of a report."""
    content = content_of(report)
    content = content | {"gates": in_words(content)}
    measured = dict(content["measured"])
    measured["errors"] = _placed(rows_in_words(measured.get("errors") or []))
    measured["robustness"] = checks_in_words(measured.get("robustness") or [])
    if comparison := measured.get("comparison"):
        apart = _placed(rows_in_words(comparison.get("disagreements") or []))
        measured["comparison"] = comparison | {"disagreements": apart}
        measured["differences_in_words"] = differences_in_words(comparison)
    return {
        "report": report,
        "content": content,
        "measured": measured,
        "charts": charts.all_of(measured),
        "figures": _figures(measured),
        "by_dataset": by_dataset(measured),
        "confusions": _confusions(measured),
        "decides": decides(report, report.version),
    }


def _placed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows called by their data set, too, where there are several: each numbers its own."""
    return [row | {"id": f"{row[DATASET]} · {row['id']}"} if DATASET in row else row for row in rows]


def data_digests(content: Mapping[str, Any]) -> list[str]:
    """The digests of the data set versions whose rows were asked, in the suite's order."""
    suite = content["suite"]
    return [each["digest"] for each in suite.get("datasets") or [{"digest": suite["dataset_digest"]}]]


def by_dataset(measured: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figures of quality of each data set beside those of all; None where a suite has one.

    `{"columns": [{"name", "n", "disagreeing"}], "rows": [{"name", "cells": [figure with its "difference"]}]}`
    """
    names = measured.get("datasets")
    if not names:
        return None
    differences, comparison = measured.get("differences") or {}, measured.get("comparison") or {}
    of_each = {item["slice"]: item for item in measured["slices"]}
    found = [of_each[f"{DATASET}={name}"] for name in names]
    columns = [
        {"name": name, "n": item["n"], "disagreeing": each.get("disagreeing")}
        for name, item in zip(names, found, strict=True)
        for each in [(comparison.get("datasets") or {}).get(name, {})]
    ]
    whole = {"name": "", "n": measured["rows"], "disagreeing": comparison.get("disagreeing")}
    rows = [
        {
            "name": figure,
            "cells": [
                item["figures"][figure] | {"difference": differences.get(f"{item['slice']}/{figure}")}
                for item in found
            ]
            + [measured["figures"][figure] | {"difference": differences.get(figure)}],
        }
        for figure in found[0]["figures"]
    ]
    return {"columns": [*columns, whole], "rows": rows, "compared": bool(comparison)}


def as_html(report: Report) -> str:
    """The report as one file that needs nothing else: charts, styles and data inside."""
    script = Path(finders.find("vendor/plotly-strict.min.js") or "").read_text(encoding="utf-8")
    plotly = mark_safe(script.replace("</script", "<\\/script"))  # noqa: S308  our own file
    return render_to_string("evaluation/report_file.html", told(report) | {"plotly": plotly})


def as_pdf(report: Report) -> bytes:
    """The report for print and for files that outlive browsers."""
    return report_pdf(told(report))


def file_name(report: Report, form: str) -> str:
    """What a downloaded report is called."""
    return f"report-{report.version.capability.slug}-{report.version.number}-{report.digest[:12]}.{form}"


def _figures(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Overall figures, those of slices left out: quality first, then how it serves."""
    differences = measured.get("differences") or {}
    overall = [name for name in measured["figures"] if "/" not in name]
    quality = [name for name in overall if name not in _UNITS]
    return [
        {
            "name": name,
            "unit": _UNITS.get(name, ("", 4))[0],
            "digits": _UNITS.get(name, ("", 4))[1],
            "difference": differences.get(name),
            **measured["figures"][name],
        }
        for name in [*quality, *(name for name in _UNITS if name in overall)]
        if measured["figures"][name].get("value") is not None
    ]


def _confusions(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The most frequent wrong answers of a classification, to be opened row by row."""
    labels = measured.get("labels") or []
    cells = [
        {"truth": labels[truth], "answer": labels[answer], "count": count}
        for truth, row in enumerate(measured.get("confusion") or [])
        for answer, count in enumerate(row[: len(labels)])
        if count and truth != answer
    ]
    return sorted(cells, key=lambda cell: -int(cell["count"]))[:_CONFUSIONS]
