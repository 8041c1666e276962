"""Pages of sweeps: begun from a job, compared trial by trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.compute.models import Job
from apps.compute.policy import may_submit_job
from apps.compute.selectors import job_visible_to
from apps.core.errors import Invalid
from apps.core.paging import keyset
from apps.core.policy import require
from apps.workbench import recipes, sweeps
from apps.workbench.forms import SweepForm
from apps.workbench.policy import may_see_experiments
from apps.workbench.selectors import sweep_for, sweeps_visible_to
from apps.workbench.views.workspaces import user_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_GET
def sweep_list(request: HttpRequest) -> HttpResponse:
    """The sweeps of my teams, newest first."""
    require(may_see_experiments(user_of(request)))
    page = keyset(sweeps_visible_to(user_of(request)), ("-pk",), request.GET.get("cursor", ""), 30)
    return render(request, "workbench/sweeps.html", {"page": page})


@login_required
@require_http_methods(["GET", "POST"])
def new_sweep(request: HttpRequest, pk: int) -> HttpResponse:
    """Try a job's code with other parameters."""
    user = user_of(request)
    job = job_visible_to(user, pk)
    require(may_submit_job(user, job.team))
    blueprint, parameters, _slots = recipes.of_job(job)
    space = [{"name": one.name, "values": [one.default]} for one in parameters]
    form = SweepForm(request.POST or None, initial={"title": job.title, "space": space, "labels": job.labels})
    if request.method == "POST" and form.is_valid():
        fixed = {name: value for name, value in job.params.items() if name not in form.cleaned_data["space"]}
        try:
            made = sweeps.create_sweep(
                form.cleaned_data.pop("title"),
                blueprint,
                team=job.team,
                by=user,
                fixed=fixed,
                **form.cleaned_data,
            )
        except Invalid as error:
            name = next((name for name in error.fields if name in form.fields), None)
            form.add_error(name, error.message)
        else:
            return redirect(made)
    status = 422 if form.errors else 200
    return render(request, "workbench/new_sweep.html", {"form": form, "job": job}, status=status)


@login_required
@require_GET
def sweep(request: HttpRequest, pk: int) -> HttpResponse:
    """One sweep: how far it is, its trials side by side, the best one first."""
    found = sweep_for(user_of(request), pk)
    rows = sweeps.compared(found)
    running = sum(not row.trial.job.ended for row in rows)
    left = 0 if found.cancelled_at else len(found.points) - found.started
    context = {
        "sweep": found,
        "names": list(found.space),
        "rows": [(row, [row.params[name] for name in found.space]) for row in rows],
        "figure": sweeps.figure_of(found, rows),
        "curves": sweeps.curves_of(found, rows),
        "stopped": sum(row.trial.stopped_at is not None for row in rows),
        "ended": len(rows) - running,
        "failed": sum(row.trial.job.status == Job.Status.FAILED for row in rows),
        "share": (len(rows) - running) / max(1, len(found.points)),
        "moving": bool(running or left),
        "may_cancel": bool(running or left) and may_submit_job(user_of(request), found.team),
        "waits": next((row.trial.job.reason_words for row in rows if row.trial.job.status == "queued"), ""),
        "best": rows[0] if rows and rows[0].value is not None else None,
    }
    if not request.headers.get("HX-Request"):
        return render(request, "workbench/sweep.html", context)
    response = render(request, "workbench/_sweep.html", context)
    if not context["moving"]:
        response["HX-Refresh"] = "true"  # the page's buttons follow from the state, too
    return response


@login_required
@require_POST
def cancel_sweep(request: HttpRequest, pk: int) -> HttpResponse:
    """Start no more trials, end those that run."""
    found = sweeps.cancel_sweep(sweep_for(user_of(request), pk), by=user_of(request))
    messages.success(request, _("The sweep is cancelled. What its trials found so far stays."))
    return redirect(found)
