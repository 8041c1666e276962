"""Pages of recipes: the list, one with its form and its runs, and how a job becomes one."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.compute.forms import names_sent, resources_in
from apps.compute.selectors import job_visible_to
from apps.core.errors import Invalid, NotAllowed
from apps.core.paging import keyset
from apps.core.policy import require
from apps.workbench import recipes
from apps.workbench.blueprints import Blueprint
from apps.workbench.forms import PublishForm, RunRecipeForm, models_picked
from apps.workbench.models import Recipe, RecipeVersion
from apps.workbench.policy import may_publish_recipe, may_run_recipe, may_see_experiments
from apps.workbench.selectors import recipe_for, recipe_runs_visible_to, recipes_visible_to
from apps.workbench.views.workspaces import user_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_GET
def recipe_list(request: HttpRequest) -> HttpResponse:
    """The recipes that I may run."""
    require(may_see_experiments(user_of(request)))
    page = keyset(recipes_visible_to(user_of(request)), ("name", "pk"), request.GET.get("cursor", ""), 30)
    return render(request, "workbench/recipes.html", {"page": page})


@login_required
@require_http_methods(["GET", "POST"])
def recipe(request: HttpRequest, slug: str) -> HttpResponse:
    """One recipe: what it takes as a form, and its runs."""
    user = user_of(request)
    found = recipe_for(user, slug)
    versions = list(found.versions.select_related("created_by").order_by("-number")[:50])
    asked = request.GET.get("version", "")
    chosen = next((one for one in versions if str(one.number) == asked), versions[0])
    initial, needs = _initial(found, chosen)
    form = RunRecipeForm(request.POST or None, version=chosen, user=user, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            run = recipes.run_recipe(chosen, by=user, **form.facts())
        except (Invalid, NotAllowed) as error:
            form.add_error(None, error.message)
        else:
            return redirect("jobs:detail", run.job_id)
    runs = recipe_runs_visible_to(user, found).order_by("-pk")
    context = {
        "recipe": found,
        "version": chosen,
        "versions": versions,
        "form": form,
        "needs": needs,
        "may_run": may_run_recipe(user, found),
        "page": keyset(runs, ("-pk",), request.GET.get("cursor", ""), 20),
    }
    return render(request, "workbench/recipe.html", context, status=422 if form.errors else 200)


@login_required
@require_GET
def models_to_refine(request: HttpRequest) -> HttpResponse:
    """The list of the form's picker of models: what is chosen stays, then what the words find."""
    asked = request.GET
    field, words = asked.get("field", "")[:100], asked.get("words", "")[:100]
    context = models_picked(user_of(request), field, names_sent(asked, field), words)
    return render(request, "components/_picked.html", context)


def _initial(found: Recipe, chosen: RecipeVersion) -> tuple[dict[str, Any], Any]:
    """The form's first values: what earlier runs needed, else what the job was given that it was made of."""
    plan, needs = Blueprint.from_json(chosen.blueprint), recipes.needs_of(found)
    wanted = {"cpu": 1, "memory_mb": 2048, "gpu": 0, **plan.resources}
    if needs is not None:
        wanted |= {"cpu": needs.cpu, "memory_mb": needs.memory_mb}
    limits = {"minutes": ceil(plan.timeout_s / 60), "max_attempts": plan.max_attempts, "labels": plan.labels}
    return {**resources_in(wanted), **limits}, needs


@login_required
@require_http_methods(["GET", "POST"])
def publish(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a recipe of what a job ran."""
    user = user_of(request)
    job = job_visible_to(user, pk)
    require(may_publish_recipe(user, job.team))
    blueprint, parameters, slots = recipes.of_job(job)
    earlier = Recipe.objects.filter(versions__runs__job=job, team=job.team).first()
    initial = {
        "slug": earlier.slug if earlier else "",
        "name": earlier.name if earlier else job.title,
        "parameters": [_short(one.to_json()) for one in parameters],
        "slots": ", ".join(slots),
        "labels": job.labels,
    }
    form = PublishForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = recipes.publish_recipe(
                form.cleaned_data.pop("slug"), blueprint, team=job.team, by=user, **form.cleaned_data
            )
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The recipe is published as version %(n)d.") % {"n": made.number})
            return redirect(made.recipe)
    status = 422 if form.errors else 200
    return render(request, "workbench/publish_recipe.html", {"form": form, "job": job}, status=status)


def _short(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value not in (None, "", [])}
