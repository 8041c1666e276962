"""Training recipes: published from a job or a folder, run with one's own data and parameters, refining a model."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.catalog.selectors import suggested_number
from apps.catalog.services import create_version, package_version
from apps.compute.models import Job
from apps.compute.policy import may_submit_job
from apps.compute.selectors import measured_needs
from apps.compute.services import submit_job
from apps.core import audit, lineage, objects, turns
from apps.core.errors import Invalid, PortalError
from apps.core.policy import require
from apps.datasets.policy import may_view
from apps.workbench import mounted, registering
from apps.workbench.blueprints import Blueprint, Parameter, kind_of, parameters_of, values_for
from apps.workbench.models import Recipe, RecipeRun, RecipeVersion
from apps.workbench.policy import may_publish_recipe, may_run_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apps.accounts.models import Team, User
    from apps.compute.needs import Needs
    from apps.datasets.models import DatasetVersion

log = logging.getLogger(__name__)

JOB_KIND = "recipe"
BASE = "model"
"""The folder below /work/inputs with the model that is refined."""
MADE = "model/"
"""Where below /work/outputs a run leaves the model that becomes a version."""
_REASON_LENGTH = 2000


# -- publish ----------------------------------------------------------------------------------------


def of_job(job: Job) -> tuple[Blueprint, list[Parameter], list[str]]:
    """What a recipe made of this job would run, its parameters with the job's values as defaults, its data sets.

    Raises Invalid for a job that ran no script and no notebook.
    """
    if job.kind not in ("script", "notebook", "trial", JOB_KIND):
        raise Invalid(_("Only a job that ran a script or a notebook becomes a recipe."))
    inputs = {path: digest for path, digest in job.inputs.items() if not path.startswith(f"{BASE}/")}
    datasets = mounted.names_in(job)
    blueprint = Blueprint(
        kind=job.kind,
        argv=list(job.argv),
        environment=job.environment,
        inputs=inputs,
        files=dict(job.files),
        datasets=datasets,
        resources={
            name: job.resources[name] for name in ("cpu", "memory_mb", "gpu") if name in job.resources
        },
        timeout_s=job.timeout_s,
        max_attempts=job.max_attempts,
        labels=list(job.labels),
    )
    plain = {name: value for name, value in job.params.items() if isinstance(value, bool | int | float | str)}
    parameters = [Parameter(name, kind_of(value), value) for name, value in plain.items()]
    slots = [name.partition("/")[0] for name in datasets]
    return blueprint, parameters, list(dict.fromkeys(slots))


def of_files(files: Mapping[str, str], entry: str, *, environment: str = "base") -> Blueprint:
    """What a recipe made of a folder would run: {path: sha256} of stored files, and the entry. Raises Invalid."""
    if entry not in files:
        raise Invalid(
            _("There is no file “%(path)s” in the folder.") % {"path": entry}, fields={"entry": _("unknown")}
        )
    for path, sha256 in files.items():
        if not objects.exists(sha256):
            raise Invalid(_("The file “%(path)s” is not stored here. Upload it first.") % {"path": path})
    if entry.endswith(".ipynb"):
        argv = ["python", "-m", "atrium.notebook", f"/work/inputs/code/{entry}"]
    elif entry.endswith(".py"):
        argv = ["env", "--chdir=/work/inputs/code", "python", entry]
    else:
        raise Invalid(
            _("“%(path)s” is neither a notebook (.ipynb) nor a Python script (.py).") % {"path": entry}
        )
    kind = "notebook" if entry.endswith(".ipynb") else "script"
    return Blueprint(
        kind, argv, environment, inputs={f"code/{path}": digest for path, digest in files.items()}
    )


@transaction.atomic
def publish_recipe(
    slug: str,
    blueprint: Blueprint,
    *,
    team: Team,
    by: User,
    name: str = "",
    summary: str = "",
    visibility: str = Recipe.Visibility.TEAM,
    parameters: Sequence[Mapping[str, Any]] = (),
    slots: Sequence[str] = (),
    refines: bool = False,
    note: str = "",
    labels: Sequence[str] | None = None,
) -> RecipeVersion:
    """Make a recipe, or the next version of the team's recipe of that name. Raises NotAllowed, Invalid.

    With `labels` its runs go where these are, unless they ask for others; else where the blueprint's are.
    """
    require(may_publish_recipe(by, team))
    taken = parameters_of(list(parameters))
    slug = registering.capability_name(slug)
    for slot in slots:
        registering.capability_name(slot)
    recipe = Recipe.objects.select_for_update().filter(slug=slug).first()
    if recipe is None:
        recipe = _create(slug, team=team, by=by, name=name or slug, summary=summary, visibility=visibility)
    elif recipe.team_id != team.pk:
        message = _("The recipe “%(slug)s” belongs to another team. Choose another name.") % {"slug": slug}
        raise Invalid(message, fields={"slug": message})
    else:
        facts = {"name": name or recipe.name, "summary": summary or recipe.summary, "visibility": visibility}
        Recipe.objects.filter(pk=recipe.pk).update(**facts)
    newest = recipe.versions.aggregate(newest=Max("number"))["newest"] or 0
    made = RecipeVersion.objects.create(
        recipe=recipe,
        number=newest + 1,
        blueprint=blueprint.placed(labels).to_json(),
        parameters=[parameter.to_json() for parameter in taken],
        slots=list(dict.fromkeys(slots)),
        refines=refines,
        note=note.strip(),
        created_by=by,
    )
    audit.record("workbench.recipe.published", recipe, by=by, number=made.number)
    return made


def _create(slug: str, *, team: Team, by: User, **facts: str) -> Recipe:
    try:
        with transaction.atomic():
            return Recipe.objects.create(slug=slug, team=team, created_by=by, **facts)
    except IntegrityError as error:
        raise Invalid(
            _("The short name “%(slug)s” is taken. Choose another one.") % {"slug": slug}
        ) from error


# -- run --------------------------------------------------------------------------------------------


def needs_of(recipe: Recipe) -> Needs | None:
    """What its newest runs needed."""
    return measured_needs(f"recipe:{recipe.pk}")


@transaction.atomic
def run_recipe(
    version: RecipeVersion,
    *,
    team: Team,
    by: User,
    params: Mapping[str, Any] | None = None,
    datasets: Mapping[str, DatasetVersion] | None = None,
    base: Version | None = None,
    capability: str = "",
    number: str = "",
    resources: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
    max_attempts: int | None = None,
    priority: int = 5,
    labels: Sequence[str] | None = None,
) -> RecipeRun:
    """Queue a run for a team, with data set versions for the recipe's slots.

    With `capability` the model that the run leaves in outputs/model becomes that capability's next version; a
    recipe that refines starts from `base` and, unless told otherwise, makes the next version of its capability.
    It goes where the recipe's labels lead and has the recipe's time and attempts, unless others are given.
    Raises NotAllowed, Invalid.
    """
    require(may_run_recipe(by, version.recipe))
    require(may_submit_job(by, team))
    values = values_for(parameters_of(version.parameters), params or {})
    chosen = _slots_filled(version, datasets or {}, by)
    if version.refines and base is None:
        message = _("This recipe refines a model: choose the version to start from.")
        raise Invalid(message, fields={"base": message})
    if base is not None and not capability:
        capability = base.capability.slug
    if capability:
        capability = registering.check_name(capability, team=team, by=by)
    plan = Blueprint.from_json(version.blueprint).placed(labels)
    inputs = dict(plan.inputs)
    if base is not None:
        inputs |= {f"{BASE}/{path}": entry["sha256"] for path, entry in base.source_manifest.items()}
    names = {slot: mounted.name_of(one) for slot, one in chosen.items()}
    job = submit_job(
        JOB_KIND,
        version.recipe.name,
        by=by,
        team=team,
        argv=plan.argv,
        environment=plan.environment,
        inputs=inputs,
        stored=plan.files,
        params=values,
        resources={**plan.resources, **(resources or {})},
        timeout_s=timeout_s or plan.timeout_s,
        max_attempts=max_attempts or plan.max_attempts,
        priority=priority,
        labels=plan.labels,
        subject=version.recipe,
        needs_key=f"recipe:{version.recipe_id}",
        network="forwarder",
        mounts=mounted.mounts_of_versions({one.pk: one for one in chosen.values()}.values()),
        env={**mounted.ENVIRONMENT, mounted.NAMES: json.dumps(names)},
    )
    for one in chosen.values():
        lineage.link(one, job, "trained on")
    return RecipeRun.objects.create(
        recipe_version=version, job=job, base=base, capability=capability, number=number.strip()
    )


def _slots_filled(
    version: RecipeVersion, given: Mapping[str, DatasetVersion], by: User
) -> dict[str, DatasetVersion]:
    if unknown := set(given) - set(version.slots):
        raise Invalid(
            _("The recipe asks for no data set “%(name)s”; it asks for: %(names)s.")
            % {"name": sorted(unknown)[0], "names": ", ".join(version.slots) or _("none")}
        )
    for slot in version.slots:
        if slot not in given:
            message = _("Choose a data set for “%(slot)s”.") % {"slot": slot}
            raise Invalid(message, fields={slot: message})
        require(may_view(by, given[slot].dataset))
    return dict(given)


# -- afterwards -------------------------------------------------------------------------------------


def when_finished(key: str, facts: Mapping[str, Any]) -> None:
    """A job has ended: the model that a recipe's run left becomes a version. May be told twice."""
    if facts.get("kind") == JOB_KIND:
        run = RecipeRun.objects.filter(job_id=int(key), settled=False).first()
        if run is not None:
            settle_run(run.pk)


def settle_runs() -> None:
    """The safety net under `when_finished`."""
    ended = RecipeRun.objects.filter(settled=False, job__status__in=Job.ENDED)
    for pk in ended.order_by("pk").values_list("pk", flat=True)[:50]:
        settle_run(pk)


def settle_run(pk: int) -> None:
    """Make the version that a run was to make, or say why there is none."""
    with turns.only_one(turns.RECIPE_RUN, pk) as alone:
        rows = RecipeRun.objects.select_related("job__team", "job__created_by", "base__capability")
        run = rows.filter(pk=pk, settled=False).first() if alone else None
        if run is None or not run.job.ended:
            return
        reason, version = "", None
        if run.capability and run.job.status == Job.Status.SUCCEEDED:
            try:
                version = _version_of(run)
            except PortalError as error:
                reason = error.message[:_REASON_LENGTH]
        RecipeRun.objects.filter(pk=pk).update(settled=True, version=version, reason=reason)
    if version is not None:
        try:
            package_version(version, by=version.created_by)
        except PortalError as error:
            RecipeRun.objects.filter(pk=pk).update(reason=error.message[:_REASON_LENGTH])


@transaction.atomic
def _version_of(run: RecipeRun) -> Version:
    job, person = run.job, run.job.created_by
    assert person is not None
    files = {
        path.removeprefix(MADE): one["sha256"] for path, one in job.outputs.items() if path.startswith(MADE)
    }
    if not files:
        raise Invalid(_("The run left no model in outputs/model; atrium.save_model writes one there."))
    capability = registering.capability_of(run.capability, team=job.team, by=person)
    origin = registering.origin_of(job.pk, None, run=None, by=person)
    version = create_version(
        capability,
        run.number or suggested_number(capability),
        files=files,
        by=person,
        changelog=_("Made by the recipe %(recipe)s.") % {"recipe": run.recipe_version},
        dataset_version=origin.datasets[0] if origin.datasets else None,
        code_digest=registering.digest_of_code(origin),
        training_job_urn=origin.job,
        parameters={name: value for name, value in job.params.items() if name != "packaging"},
    )
    registering.link(origin, version)
    lineage.link(run.recipe_version, job, "recipe")
    if run.base is not None:
        lineage.link(run.base, version, "refined")
    return version
