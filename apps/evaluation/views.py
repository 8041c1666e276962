"""Pages of evaluations, reports and suites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.selectors import get_capability, get_version
from apps.core import objects
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.evaluation import charts, services
from apps.evaluation.forms import SuiteForm
from apps.evaluation.models import Run, Suite
from apps.evaluation.policy import may_cancel, may_evaluate, may_see_evaluations, may_write_suite
from apps.evaluation.selectors import content_of, latest_report, reports_visible_to, runs_visible_to

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User

PAGE_SIZE = 30
_FIRST_FIGURES = (
    ("accuracy", "", 4),
    ("balanced_accuracy", "", 4),
    ("f1_macro", "", 4),
    ("roc_auc", "", 4),
    ("log_loss", "", 4),
    ("calibration_error", "", 4),
    ("robustness_noise_drop", "", 4),
    ("latency_p50_ms", "ms", 2),
    ("latency_p95_ms", "ms", 2),
    ("latency_p99_ms", "ms", 2),
    ("throughput", "1/s", 0),
    ("package_mb", "MB", 2),
)


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


@login_required
@require_GET
def show_report(request: HttpRequest, pk: int) -> HttpResponse:
    """The report: verdict, gates, figures, charts, errors."""
    report = reports_visible_to(cast("User", request.user)).filter(pk=pk).first()
    if report is None:
        raise NotFound(_("There is no report %(pk)d that you may see.") % {"pk": pk})
    content = content_of(report)
    measured = content["measured"]
    context = {
        "report": report,
        "content": content,
        "measured": measured,
        "charts": charts.all_of(measured),
        "figures": _rows(measured),
        "current": report.version.digest == report.run.version_digest,
    }
    return render(request, "evaluation/report.html", context)


def _rows(measured: dict[str, Any]) -> list[dict[str, Any]]:
    differences = measured.get("differences") or {}
    return [
        {
            "name": name,
            "unit": unit,
            "digits": digits,
            "difference": differences.get(name),
            **measured["figures"][name],
        }
        for name, unit, digits in _FIRST_FIGURES
        if measured["figures"].get(name, {}).get("value") is not None
    ]


@login_required
@require_GET
def report_json(request: HttpRequest, pk: int) -> FileResponse:
    """The very bytes that the report's digest names."""
    report = reports_visible_to(cast("User", request.user)).filter(pk=pk).first()
    if report is None:
        raise NotFound(_("There is no report %(pk)d that you may see.") % {"pk": pk})
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
        "gates": last.gates,
    }
