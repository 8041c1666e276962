"""Pages of experiments: runs compared, one run, and its way into the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Team
from apps.compute.selectors import job_visible_to
from apps.core import csp
from apps.core.errors import Invalid, NotAllowed, NotFound, Unavailable
from apps.core.package import for_programs
from apps.core.policy import require
from apps.workbench import comparison, entry, registering
from apps.workbench.adapters import Tracker
from apps.workbench.forms import RegisterForm
from apps.workbench.live.origins import address_of
from apps.workbench.models import Registration
from apps.workbench.policy import may_publish_recipe, may_see_experiments
from apps.workbench.selectors import registration_for, registrations_of_run
from apps.workbench.tracking import PREFIX, team_for, tracked_teams
from apps.workbench.views.workspaces import user_of, way_in

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.workbench.adapters import LoggedModel, Run

_RUNS_DRAWN = 4


@login_required
@require_GET
def experiments(request: HttpRequest) -> HttpResponse:
    """The runs of a team's experiment, compared."""
    user = user_of(request)
    require(may_see_experiments(user))
    team = team_for(user, request.GET.get("team", ""))
    context: dict[str, Any] = {
        "team": team,
        "teams": tracked_teams(user),
        "tracking_uri": for_programs(settings.ATRIUM.live_url) + PREFIX,
    }
    try:
        context |= _compared(Tracker(team), request.GET.get("experiment", ""))
    except Unavailable as error:
        context["away"] = error.message
    return render(request, "workbench/experiments.html", context)


def _compared(tracker: Tracker, wanted: str) -> dict[str, Any]:
    known = tracker.experiments()
    ids = [number for number, _name in known]
    chosen = wanted if wanted in ids else (ids[0] if ids else "")
    runs = tracker.runs(chosen) if chosen else []
    params, metrics = comparison.names_of(runs, "params"), comparison.names_of(runs, "metrics")
    rows = comparison.rows_of(runs, params, metrics)
    for row in rows:
        row["job"] = row["run"].tags.get("atrium.job", "")
    return {
        "experiments": known,
        "experiment": chosen,
        "params": params,
        "metrics": metrics,
        "rows": rows,
        "figure": comparison.figure_of(runs, metrics),
    }


@login_required
@require_GET
def mlflow(request: HttpRequest) -> HttpResponse:
    """MLflow's own pages in a frame, from their own origin."""
    user = user_of(request)
    require(may_see_experiments(user))
    context: dict[str, Any] = {
        "by_name": request.get_host() == urlsplit(settings.ATRIUM.web_url).netloc,
        "named_url": settings.ATRIUM.web_url + request.get_full_path(),
    }
    csp.allow(request, "frame-src", address_of(entry.MLFLOW))
    csp.allow(request, "form-action", address_of(entry.MLFLOW))  # the form that opens a new tab
    try:
        Tracker(team_for(user, "")).experiments()
    except Unavailable as error:
        context["away"] = error.message
    return render(request, "workbench/mlflow.html", context)


@login_required
@require_POST
@never_cache
def enter_mlflow(request: HttpRequest) -> HttpResponse:
    """A way into MLflow's own pages, for the frame or a tab of its own: to the experiments of the person's first team.

    Without a team in the address MLflow asks for one first, and offers to make one, which it may not.
    """
    user = user_of(request)
    require(may_see_experiments(user))
    return way_in(
        request, entry.MLFLOW, f"{PREFIX}/#/experiments?{urlencode({'workspace': team_for(user, '')})}"
    )


@login_required
@require_GET
def run(request: HttpRequest, team: str, run_id: str) -> HttpResponse:
    """One run: its parameters, the charts of its metrics, its models, and the versions that were made of them."""
    found = _team(request, team)
    try:
        context = _of_run(Tracker(found.slug), run_id)
    except Unavailable as error:
        return render(request, "workbench/tracked_run.html", {"away": error.message, "team": found})
    context |= {"team": found, "registrations": registrations_of_run(user_of(request), found, run_id)}
    context["moving"] = any(row.status == "waiting" for row in context["registrations"])
    if request.headers.get("HX-Request"):
        return render(request, "workbench/_registrations.html", context)
    context["form"] = RegisterForm(names=[model.name for model in context["models"]])
    return render(request, "workbench/tracked_run.html", context)


@login_required
@require_GET
@never_cache
def job_metrics(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment of a job's page with the metrics of its runs; it asks for itself while the job runs."""
    job = job_visible_to(user_of(request), pk)
    tracker, curves = Tracker(job.team.slug), {}
    try:
        runs = tracker.runs_of_job(job.pk)
        for run in runs[:_RUNS_DRAWN]:
            for name in sorted(run.metrics)[: comparison.MOST_COLUMNS]:
                shown = name if len(runs) == 1 else f"{run.name}: {name}"
                curves[shown] = tracker.history(run.id, name)
    except (Unavailable, NotFound):
        runs = []
    context = {"job": job, "runs": runs, "figure": comparison.curves_of(curves) if curves else None}
    context["may_publish"] = job.status == "succeeded" and may_publish_recipe(user_of(request), job.team)
    return render(request, "workbench/_job_metrics.html", context)


def _team(request: HttpRequest, slug: str) -> Team:
    """The team, if the person develops in it. Raises NotAllowed."""
    require(may_see_experiments(user_of(request)))
    return Team.objects.get(slug=team_for(user_of(request), slug))


def _of_run(tracker: Tracker, run_id: str) -> dict[str, Any]:
    found: Run = tracker.run(run_id)
    models: list[LoggedModel] = tracker.models_of(run_id)
    curves = {
        name: tracker.history(run_id, name) for name in sorted(found.metrics)[: comparison.MOST_COLUMNS]
    }
    return {
        "run": found,
        "models": models,
        "figure": comparison.curves_of(curves),
        "job": found.tags.get("atrium.job", ""),
        "workspace_id": found.tags.get("atrium.workspace", ""),
        "author": found.tags.get("atrium.user", ""),
        "datasets": [name for name in found.tags.get(registering.DATASETS_TAG, "").split(",") if name],
    }


@login_required
@require_POST
def register(request: HttpRequest, team: str, run_id: str) -> HttpResponse:
    """Make a version of a capability from a model of the run."""
    found = _team(request, team)
    facts = _of_run(Tracker(found.slug), run_id)
    form = RegisterForm(request.POST, names=[model.name for model in facts["models"]])
    if form.is_valid():
        asked = form.cleaned_data
        try:
            registering.register_run(
                run_id,
                asked["model"],
                team=found,
                by=user_of(request),
                capability=asked["capability"],
                number=asked["number"],
            )
        except (Invalid, NotAllowed) as error:
            form.add_error("capability", error.message)
        else:
            messages.success(
                request, _("The model is being taken over. Its version appears here in a moment.")
            )
            return redirect("workbench:tracked_run", found.slug, run_id)
    rows = registrations_of_run(user_of(request), found, run_id)
    context = {**facts, "team": found, "registrations": rows, "form": form}
    return render(request, "workbench/tracked_run.html", context, status=422)


@login_required
@require_POST
def retry_registration(request: HttpRequest, pk: int) -> HttpResponse:
    """Try a failed registration again."""
    found: Registration = registration_for(user_of(request), pk)
    registering.retry_registration(found, by=user_of(request))
    if not found.run_id:  # registered from files, by MLflow's own client
        return redirect("workbench:experiments")
    return redirect("workbench:tracked_run", found.team.slug, found.run_id)
