"""Pages of evaluations, reports and suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.selectors import get_capability, get_version
from apps.core import objects
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.evaluation import charts, services
from apps.evaluation.comparison import side_by_side
from apps.evaluation.demands import demands_of, judged
from apps.evaluation.forms import SuiteForm
from apps.evaluation.gates import in_words
from apps.evaluation.models import Report, Run, Suite
from apps.evaluation.policy import decides, may_cancel, may_evaluate, may_see_evaluations, may_write_suite
from apps.evaluation.printed import report_pdf
from apps.evaluation.selectors import (
    chosen_rows,
    content_of,
    latest_report,
    reports_visible_to,
    runs_visible_to,
)
from apps.evaluation.wording import rows_in_words

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User

PAGE_SIZE = 30
ROWS_SIZE = 50
MOST_COMPARED = 5
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


def _run_of(request: HttpRequest, pk: int) -> Run:
    run = runs_visible_to(cast("User", request.user)).filter(pk=pk).first()
    if run is None:
        raise NotFound(_("There is no evaluation %(pk)d that you may see.") % {"pk": pk})
    return run


@login_required
@require_GET
def list_runs(request: HttpRequest) -> HttpResponse:
    """All evaluations of my teams."""
    page = keyset(
        runs_visible_to(cast("User", request.user)), ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE
    )
    return render(request, "evaluation/list.html", {"page": page})


@login_required
@require_http_methods(["GET", "POST"])
def start(request: HttpRequest, version_pk: int) -> HttpResponse:
    """Choose a suite for a version and start."""
    user = cast("User", request.user)
    version = get_version(version_pk, user=user)
    require(may_see_evaluations(user, version.capability))
    suites = list(Suite.objects.filter(capability=version.capability).order_by("-number").select_related(
        "dataset_version__dataset", "created_by"
    )[:20])  # fmt: skip
    if request.method == "POST":
        suite = next((suite for suite in suites if str(suite.pk) == request.POST.get("suite")), None)
        if suite is None:
            raise Invalid(_("Choose a suite."))
        run = services.start_evaluation(version, suite, by=user)
        return redirect("evaluation:run", run.pk)
    context = {
        "version": version,
        "suites": suites,
        "verdict": may_evaluate(user, version),
        "report": latest_report(version),
    }
    return render(request, "evaluation/start.html", context)


@login_required
@require_GET
def show_run(request: HttpRequest, pk: int) -> HttpResponse:
    """How an evaluation is going; its report when there is one."""
    run = _run_of(request, pk)
    if run.status == Run.Status.REPORTED:
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": f"/reports/{run.report.pk}/"})
        return redirect("evaluation:report", run.report.pk)
    template = "evaluation/_run.html" if request.headers.get("HX-Request") else "evaluation/run.html"
    return render(request, template, {"run": run, "may_cancel": may_cancel(cast("User", request.user), run)})


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """End an evaluation that is under way."""
    services.cancel_evaluation(_run_of(request, pk), by=cast("User", request.user))
    messages.success(request, _("The evaluation was cancelled."))
    return redirect("evaluation:run", pk)


def _report_of(request: HttpRequest, pk: int) -> Report:
    report = reports_visible_to(cast("User", request.user)).filter(pk=pk).first()
    if report is None:
        raise NotFound(_("There is no report %(pk)d that you may see.") % {"pk": pk})
    return report


def _told(report: Report) -> dict[str, Any]:
    """What the page and its export show of a report."""
    content = content_of(report)
    content = content | {"gates": in_words(content)}
    measured = dict(content["measured"])
    measured["errors"] = rows_in_words(measured.get("errors") or [])
    if comparison := measured.get("comparison"):
        apart = rows_in_words(comparison.get("disagreements") or [])
        measured["comparison"] = comparison | {"disagreements": apart}
    return {
        "report": report,
        "content": content,
        "measured": measured,
        "charts": charts.all_of(measured),
        "figures": _rows(measured),
        "confusions": _confusions(measured),
        "decides": decides(report, report.version),
    }


@login_required
@require_GET
def show_report(request: HttpRequest, pk: int) -> HttpResponse:
    """The report: verdict, gates, figures, charts, errors; and what is asked of it now beside its suite."""
    report = _report_of(request, pk)
    asked = demands_of(report.version.capability)
    demands = [{"by": demand.by, "results": judged(report, demand)} for demand in asked]
    return render(request, "evaluation/report.html", _told(report) | {"demands": demands})


@login_required
@require_GET
def compare_reports(request: HttpRequest) -> HttpResponse:
    """Several candidates side by side: the figures and gates of their reports, on the same rows or said otherwise."""
    asked = [int(pk) for pk in request.GET.getlist("report")[:MOST_COMPARED] if pk.isdigit()]
    reports = [_report_of(request, pk) for pk in dict.fromkeys(asked)]
    contents = [content_of(report) for report in reports]
    context = {
        "reports": list(zip(reports, contents, strict=True)),
        "rows": side_by_side([content["measured"]["figures"] for content in contents]),
        "same_rows": len({content["suite"]["dataset_digest"] for content in contents}) < 2,
        "most": MOST_COMPARED,
    }
    return render(request, "evaluation/compare.html", context)


@login_required
@require_GET
def report_html(request: HttpRequest, pk: int) -> HttpResponse:
    """The report as one file that needs nothing else: charts, styles and data inside."""
    report = _report_of(request, pk)
    script = Path(finders.find("vendor/plotly-strict.min.js") or "").read_text(encoding="utf-8")
    context = _told(report) | {"plotly": mark_safe(script.replace("</script", "<\\/script"))}  # noqa: S308  our own file
    response = render(request, "evaluation/report_file.html", context)
    name = f"report-{report.version.capability.slug}-{report.version.number}-{report.digest[:12]}.html"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@require_GET
def report_as_pdf(request: HttpRequest, pk: int) -> HttpResponse:
    """The report for print and for files that outlive browsers."""
    report = _report_of(request, pk)
    response = HttpResponse(report_pdf(_told(report)), content_type="application/pdf")
    name = f"report-{report.version.capability.slug}-{report.version.number}-{report.digest[:12]}.pdf"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@require_GET
def report_rows(request: HttpRequest, pk: int) -> HttpResponse:
    """The rows behind a figure: all, the wrong ones, those of a slice, or of a cell of the confusion matrix."""
    report = _report_of(request, pk)
    content = content_of(report)
    wanted = {name: request.GET.get(name, "")[:200] for name in ("truth", "answer", "slice", "only")}
    after = request.GET.get("after", "")
    rows = chosen_rows(content, wanted, after=int(after) if after.isdecimal() else -1, size=ROWS_SIZE + 1)
    context = {
        "report": report,
        "content": content,
        "rows": rows_in_words(rows[:ROWS_SIZE]),
        "next": rows[ROWS_SIZE - 1]["row"] if len(rows) > ROWS_SIZE else None,
        "wanted": {name: value for name, value in wanted.items() if value},
        "slices": [item["slice"] for item in content["measured"].get("slices") or []],
    }
    return render(request, "evaluation/rows.html", context)


def _rows(measured: dict[str, Any]) -> list[dict[str, Any]]:
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


@login_required
@require_GET
def report_json(request: HttpRequest, pk: int) -> FileResponse:
    """The very bytes that the report's digest names."""
    report = _report_of(request, pk)
    name = f"report-{report.version.capability.slug}-{report.version.number}-{report.digest[:12]}.json"
    return FileResponse(
        objects.open_object(report.digest), content_type="application/json", as_attachment=True, filename=name
    )


@login_required
@require_http_methods(["GET", "POST"])
def suites(request: HttpRequest, slug: str) -> HttpResponse:
    """A capability's suites, and a form for the next one."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_evaluations(user, capability))
    form = SuiteForm(capability, request.POST or None, initial=_initial(capability))
    if request.method == "POST" and form.is_valid():
        try:
            suite = services.create_suite(capability, by=user, **form.cleaned_data)
        except Invalid as error:
            form.add_error("gates", error.message)
        else:
            messages.success(
                request,
                _("Suite #%(number)d is the one that is used from now on.") % {"number": suite.number},
            )
            return redirect("evaluation:suites", slug)
    rows = Suite.objects.filter(capability=capability).select_related(
        "dataset_version__dataset", "created_by"
    )
    context = {
        "capability": capability,
        "form": form,
        "suites": rows.order_by("-number")[:50],
        "may_write": may_write_suite(user, capability),
    }
    return render(request, "evaluation/suites.html", context, status=422 if form.errors else 200)


def _initial(capability: Any) -> dict[str, Any]:
    last = Suite.objects.filter(capability=capability).order_by("-number").first()
    if last is None:
        return {}
    return {
        "name": last.name,
        "dataset_version": last.dataset_version_id,
        "target": last.target,
        "slices": ", ".join(last.slices),
        "groups": ", ".join(last.groups),
        "task": last.task,
        "scorer": last.scorer,
        "gates": last.gates,
    }
