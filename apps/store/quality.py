"""What the store shows of a version's evaluation: the signed report, else the newest one. No row of data is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.evaluation import charts
from apps.evaluation.gates import in_words
from apps.evaluation.models import Report
from apps.evaluation.selectors import content_of, latest_report
from apps.store import panels


@dataclass(frozen=True)
class Found:
    """A report with its content, and the signatures under it; None while nobody has signed."""

    report: Report
    content: dict[str, Any]
    signed: panels.SignedReport | None


def report_on(version: Version) -> Found | None:
    """The report that was signed for this version, else the newest about exactly its bytes."""
    signed = panels.signed_report(version)
    report = Report.objects.filter(pk=signed.report_id).first() if signed else latest_report(version)
    if report is None:
        return None
    content = content_of(report)
    return Found(report, content | {"gates": in_words(content)}, signed)


@dataclass(frozen=True)
class Figure:
    """One measured figure with its 95 % interval and how many rows it rests on."""

    title: str
    value: float
    low: float | None
    high: float | None
    unit: str
    digits: int
    n: int


def figures_of(content: dict[str, Any]) -> list[Figure]:
    """The figures of a report that a reader compares models by, in a fixed order, then latency and size."""
    named = {
        "accuracy": (_("Accuracy"), "", 4),
        "balanced_accuracy": (_("Balanced accuracy"), "", 4),
        "f1_macro": (_("F1, mean of the classes"), "", 4),
        "roc_auc": (_("Area under the ROC curve"), "", 4),
        "log_loss": (_("Log loss"), "", 4),
        "calibration_error": (_("Calibration error"), "", 4),
        "mae": (_("Mean absolute error"), "", 4),
        "rmse": (_("Root mean square error"), "", 4),
        "r2": (_("R², explained part of the variance"), "", 4),
        "smape": (_("Symmetric relative error, sMAPE"), "", 4),
        "span_f1": (_("F1 over marked stretches"), "", 4),
        "span_precision": (_("Precision of marked stretches"), "", 4),
        "span_recall": (_("Recall of marked stretches"), "", 4),
        "robustness_noise_drop": (_("Lost under noise"), "", 4),
        "latency_p50_ms": (_("Median latency"), "ms", 2),
        "latency_p95_ms": (_("95th percentile of latency"), "ms", 2),
        "throughput": (_("Throughput"), "1/s", 0),
        "package_mb": (_("Size of the package"), "MB", 2),
    }
    measured = content["measured"]["figures"]
    return [
        Figure(
            title=title,
            value=found["value"],
            low=found.get("low"),
            high=found.get("high"),
            unit=unit,
            digits=digits,
            n=found.get("n", 0),
        )
        for name, (title, unit, digits) in named.items()
        if (found := measured.get(name)) and found.get("value") is not None
    ]


def charts_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The report's charts but the one that draws single rows."""
    return charts.all_of({name: value for name, value in content["measured"].items() if name != "points"})


def summary_of(found: Found | None) -> dict[str, Any] | None:
    """The same for the API: verdict, gates, figures, signatures, digest."""
    if found is None:
        return None
    signed = found.signed
    return {
        "version": found.content["version"]["number"],
        "version_digest": found.content["version"]["digest"],
        "report_digest": found.report.digest,
        "verdict": found.report.verdict,
        "gates": found.content["gates"],
        "figures": found.content["measured"]["figures"],
        "measured_at": found.content["measured_at"],
        "content_digest": signed.content_digest if signed else None,
        "signatures": [{"name": s.name, "role": s.role, "at": s.at} for s in signed.signatures]
        if signed
        else [],
    }
