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
from apps.evaluation import services, shown
from apps.evaluation.comparison import gates_beside, side_by_side
from apps.evaluation.demands import demands_of, judged
from apps.evaluation.forms import SuiteForm
from apps.evaluation.gates import in_words
from apps.evaluation.models import Report, Run, Suite
from apps.evaluation.policy import may_cancel, may_evaluate, may_see_evaluations, may_write_suite
from apps.evaluation.selectors import (
    content_of,
    latest_report,
    page_of_rows,
    reports_visible_to,
    runs_visible_to,
    with_data,
)
from apps.evaluation.wording import rows_in_words

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User

PAGE_SIZE = 30
ROWS_SIZE = 50
MOST_COMPARED = 5


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
    rows = with_data(Suite.objects.filter(capability=version.capability)).select_related("created_by")
    suites = list(rows.order_by("-number")[:20])
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


@login_required
@require_GET
def show_report(request: HttpRequest, pk: int) -> HttpResponse:
    """The report: verdict, gates, figures, charts, errors; and what is asked of it now beside its suite."""
    report = _report_of(request, pk)
    asked = demands_of(report.version.capability)
    demands = [{"by": demand.by, "results": judged(report, demand)} for demand in asked]
    return render(request, "evaluation/report.html", shown.told(report) | {"demands": demands})


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
        "gates": gates_beside([in_words(content) for content in contents]),
        "same_rows": len({tuple(shown.data_digests(content)) for content in contents}) < 2,
        "most": MOST_COMPARED,
    }
    return render(request, "evaluation/compare.html", context)


@login_required
@require_GET
def report_html(request: HttpRequest, pk: int) -> HttpResponse:
    """The report as one file that needs nothing else: charts, styles and data inside."""
    report = _report_of(request, pk)
    return _file(HttpResponse(shown.as_html(report)), report, "html")


@login_required
@require_GET
def report_as_pdf(request: HttpRequest, pk: int) -> HttpResponse:
    """The report for print and for files that outlive browsers."""
    report = _report_of(request, pk)
    return _file(HttpResponse(shown.as_pdf(report), content_type="application/pdf"), report, "pdf")


def _file(response: HttpResponse, report: Report, form: str) -> HttpResponse:
    response["Content-Disposition"] = f'attachment; filename="{shown.file_name(report, form)}"'
    return response


@login_required
@require_GET
def report_rows(request: HttpRequest, pk: int) -> HttpResponse:
    """The rows behind a figure: all, the wrong ones, those of a slice, or of a cell of the confusion matrix."""
    report = _report_of(request, pk)
    content = content_of(report)
    wanted = {name: request.GET.get(name, "")[:200] for name in ("truth", "answer", "slice", "only")}
    rows, following = page_of_rows(content, wanted, after=request.GET.get("after", ""), size=ROWS_SIZE)
    context = {
        "report": report,
        "content": content,
        "rows": rows_in_words(rows),
        "next": following,
        "wanted": {name: value for name, value in wanted.items() if value},
        "slices": [item["slice"] for item in content["measured"].get("slices") or []],
        "several": bool(content["measured"].get("datasets")),
    }
    return render(request, "evaluation/rows.html", context)


@login_required
@require_GET
def report_json(request: HttpRequest, pk: int) -> FileResponse:
    """The very bytes that the report's digest names."""
    report = _report_of(request, pk)
    return FileResponse(
        objects.open_object(report.digest),
        content_type="application/json",
        as_attachment=True,
        filename=shown.file_name(report, "json"),
    )


@login_required
@require_http_methods(["GET", "POST"])
def suites(request: HttpRequest, slug: str) -> HttpResponse:
    """A capability's suites, and a form for the next one."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_evaluations(user, capability))
    form = SuiteForm(capability, request.POST or None, initial=_initial(capability), user=user)
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
    rows = with_data(Suite.objects.filter(capability=capability)).select_related("created_by")
    context = {
        "capability": capability,
        "form": form,
        "suites": rows.order_by("-number")[:50],
        "may_write": may_write_suite(user, capability),
    }
    return render(request, "evaluation/suites.html", context, status=422 if form.errors else 200)


def _initial(capability: Any) -> dict[str, Any]:
    last = with_data(Suite.objects.filter(capability=capability)).order_by("-number").first()
    if last is None:
        return {}
    names = [f"{each.dataset.slug}/{each.number}" for each in last.data]
    return {
        "name": last.name,
        "dataset_version": names[:1],
        "further_data": names[1:],
        "target": last.target,
        "slices": ", ".join(last.slices),
        "groups": ", ".join(last.groups),
        "task": last.task,
        "scorer": last.scorer,
        "gates": last.gates,
    }
