"""From a trained model in the tracker to a version in the catalog, however it was asked for.

MLflow's client (`registered_model_name=`), the button on a run's page and REST all write a `Registration`; the
background copies the model's files, notes where it came from, and packaging begins.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import PersonalToken, Team, User
from apps.catalog import sources
from apps.catalog.models import Capability, Version
from apps.catalog.policy import may_add_version, may_create_capability
from apps.catalog.selectors import suggested_number
from apps.catalog.services import create_capability, create_version, package_version
from apps.compute import environments
from apps.compute.models import Job
from apps.core import audit, background, lineage, manifests, objects, turns
from apps.core.errors import Invalid, NotFound, PortalError, Unavailable
from apps.core.policy import require
from apps.datasets.models import DatasetVersion
from apps.datasets.policy import may_view
from apps.workbench.adapters import Run, Tracker
from apps.workbench.files import TooMuch, at, models, within_limits
from apps.workbench.launch import home_of
from apps.workbench.models import Registration, Workspace
from apps.workbench.mounted import INSIDE
from apps.workbench.policy import may_edit_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apps.core.manifests import Manifest
    from apps.workbench.tracking import Bearer

log = logging.getLogger(__name__)

ADOPT = "workbench.adopt_model"
DATASETS_TAG = "atrium.datasets"
"""What `atrium.dataset` puts on a run: "<data set>/<number>", separated by commas."""
_LONGEST_SLUG = 63
_REASON_LENGTH = 2000


def capability_name(model: str) -> str:
    """The capability's short name for a model's name in MLflow: `Fraud_Detector` becomes `fraud-detector`.

    Raises Invalid.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    if not slug or len(slug) > _LONGEST_SLUG:
        raise Invalid(
            _("“%(name)s” cannot name a capability: use letters, digits and hyphens, at most %(most)d.")
            % {"name": model[:80], "most": _LONGEST_SLUG},
            fields={"capability": _("cannot be a short name")},
        )
    return slug


def check_name(model: str, *, team: Team, by: User) -> str:
    """The short name under which somebody may register for a team. Raises Invalid, NotAllowed in clear words."""
    slug = capability_name(model)
    found = Capability.objects.select_related("team").filter(slug=slug).first()
    if found is None:
        require(may_create_capability(by, team))
    elif found.team_id != team.pk:
        raise Invalid(
            _("The name “%(name)s” belongs to a capability of another team. Register under another name.")
            % {"name": slug},
            fields={"capability": _("belongs to another team")},
        )
    else:
        require(may_add_version(by, found))
    return slug


def check_model_name(bearer: Bearer, model: str) -> str:
    """As `check_name`, for a request to the tracker."""
    return check_name(model, team=Team.objects.get(slug=bearer.team), by=_person(bearer))


def take_over(bearer: Bearer, made: Mapping[str, Any]) -> Registration:
    """A version of a registered model was made in the tracker, as MLflow describes it: it is to be one here too."""
    job_id, workspace = carrier_of(bearer.tags)
    return register_model(
        str(made.get("source", "")),
        team=Team.objects.get(slug=bearer.team),
        by=_person(bearer),
        capability=str(made["name"]),
        run_id=str(made.get("run_id") or ""),
        model=str(made["name"]),
        model_version=str(made["version"]),
        job_id=job_id,
        workspace=workspace,
    )


def _person(bearer: Bearer) -> User:
    return User.objects.get(username=bearer.tags["atrium.user"])


@transaction.atomic
def register_model(
    source: str,
    *,
    team: Team,
    by: User,
    capability: str,
    number: str = "",
    run_id: str = "",
    model: str = "",
    model_version: str = "",
    job_id: int | None = None,
    workspace: Workspace | None = None,
) -> Registration:
    """Ask for a version of a capability from the model at `source`, an artifact URI of the team's tracker.

    A number that is left out becomes the next minor one. Raises Invalid, NotAllowed. A model version of MLflow is
    taken over once, however often it is told.
    """
    slug = check_name(capability, team=team, by=by)
    facts = {
        "source": source[:500],
        "capability": slug,
        "number": number.strip()[:64],
        "run_id": run_id,
        "job_id": job_id,
        "workspace": workspace,
        "created_by": by,
    }
    if model:
        named = {"team": team, "model": model, "model_version": model_version}
        made, is_new = Registration.objects.get_or_create(**named, defaults=facts)
    else:
        made, is_new = Registration.objects.create(team=team, **facts), True
    if is_new:
        audit.record("workbench.registration.asked", made, by=by, capability=slug, run=run_id)
        transaction.on_commit(lambda: background.enqueue(ADOPT, made.pk))
    return made


def register_run(
    run_id: str, name: str, *, team: Team, by: User, capability: str, number: str = ""
) -> Registration:
    """The same for a model that a run logged under `name`. Raises NotFound for what the team's tracker lacks."""
    tracker = Tracker(team.slug)
    run, models = tracker.run(run_id), tracker.models_of(run_id)
    found = next((model for model in models if model.name == name), None)
    if found is None:
        raise NotFound(
            _("The run logged no model “%(name)s”; it has: %(names)s.")
            % {"name": name, "names": ", ".join(model.name for model in models) or _("none")}
        )
    job_id, workspace = carrier_of(run.tags)
    return register_model(
        found.uri,
        team=team,
        by=by,
        capability=capability,
        number=number,
        run_id=run_id,
        job_id=job_id,
        workspace=workspace,
    )


def models_in(workspace: Workspace) -> list[str]:
    """Files and folders of a workspace that may be models, as an upload to the catalog is judged."""
    marks = {sources.MLMODEL, "model.py", "predict.py"}
    return models(home_of(workspace), tuple(sorted(sources.CERTAIN_SUFFIXES)), marks)


def register_files(
    workspace: Workspace, path: str, *, by: User, capability: str, number: str = ""
) -> Version:
    """Make a version of a capability of the model file or folder at `path` of a workspace, and begin to package it.

    It keeps the workspace, its code as it is now, its data set versions and its environment. A number that is left
    out becomes the next minor one. Raises NotAllowed, Invalid.
    """
    require(may_edit_workspace(by, workspace))
    slug = check_name(capability, team=workspace.team, by=by)
    try:
        files = {file.path: objects.put(handle)[0] for file, handle in at(home_of(workspace), path)}
    except TooMuch as error:
        raise Invalid(
            _("The model is larger than a workspace hands in (%(what)s).") % {"what": error}
        ) from error
    if not files:
        message = _("There is no file “%(path)s” in the workspace.") % {"path": path[:200]}
        raise Invalid(message, fields={"path": _("unknown")})
    origin = origin_of(None, workspace, run=None, by=by)
    with transaction.atomic():
        found = capability_of(slug, team=workspace.team, by=by)
        version = create_version(
            found,
            number.strip() or suggested_number(found),
            files=files,
            by=by,
            changelog=_("From %(path)s of the workspace %(name)s.") % {"path": path, "name": workspace.name},
            dataset_version=origin.datasets[0] if origin.datasets else None,
            code_digest=digest_of_code(origin),
        )
        link(origin, version)
    package_version(version, by=by)
    return version


@transaction.atomic
def retry_registration(registration: Registration, *, by: User) -> Registration:
    """Try a failed one again. Raises NotAllowed, Invalid, IllegalMove, StaleWrite."""
    check_name(registration.capability, team=registration.team, by=by)
    Registration.lifecycle.move(registration, "waiting", by=by, reason="")
    transaction.on_commit(lambda: background.enqueue(ADOPT, registration.pk))
    return registration


def adopt_waiting() -> None:
    """Whatever a kill or a tracker that was away has left."""
    for pk in Registration.objects.filter(status="waiting").order_by("pk").values_list("pk", flat=True)[:50]:
        adopt_model(pk)


def adopt_model(pk: int) -> None:
    """Make the version that a registration asks for, unless somebody else is at it."""
    with turns.only_one(turns.REGISTRATION, pk) as alone:
        waiting = Registration.objects.select_related("team", "created_by", "workspace")
        found = waiting.filter(pk=pk, status="waiting").first() if alone else None
        if found is None:
            return
        try:
            version = _adopt(found)
        except Unavailable:
            return  # the tracker starts; tried again soon
        except PortalError as error:
            Registration.lifecycle.move(found, "failed", by=None, reason=error.message[:_REASON_LENGTH])
            return
        try:
            package_version(version, by=found.created_by)
        except PortalError as error:
            Registration.objects.filter(pk=pk).update(reason=error.message[:_REASON_LENGTH])


def _adopt(asked: Registration) -> Version:
    tracker = Tracker(asked.team.slug)
    source, run_id = asked.source, asked.run_id
    if asked.model:
        source, run_id = tracker.model_version(asked.model, asked.model_version)
    run = tracker.run(run_id) if run_id else None
    files = {path: objects.put(pieces)[0] for path, pieces in tracker.files(source)}
    if not files:
        raise Invalid(_("The model has no files in the tracker. Log it again."))
    job_id, workspace = asked.job_id, asked.workspace
    if run is not None and job_id is None and workspace is None:
        job_id, workspace = carrier_of(run.tags)
    origin = origin_of(job_id, workspace, run=run, by=asked.created_by)
    with transaction.atomic():
        name = asked.model or asked.capability
        capability = capability_of(asked.capability, team=asked.team, by=asked.created_by, name=name)
        version = create_version(
            capability,
            asked.number or suggested_number(capability),
            files=files,
            by=asked.created_by,
            changelog=_words_about(run),
            dataset_version=origin.datasets[0] if origin.datasets else None,
            code_digest=digest_of_code(origin),
            training_job_urn=origin.job,
            parameters={name: value for name, value in run.params.items() if name != "packaging"}
            if run
            else {},
        )
        link(origin, version)
        code = {path: entry["sha256"] for path, entry in origin.code.items()}
        Registration.lifecycle.move(asked, "done", by=None, version=version, code=code, run_id=run_id)
    return version


def capability_of(slug: str, *, team: Team, by: User, name: str = "") -> Capability:
    """The team's capability of that name, made when it is new, and locked: two registrations take two numbers."""
    check_name(slug, team=team, by=by)
    if not Capability.objects.filter(slug=slug).exists():
        create_capability(slug, team=team, by=by, name=(name or slug)[:100])
    return Capability.objects.select_for_update(of=("self",)).select_related("team").get(slug=slug)


def _words_about(run: Run | None) -> str:
    if run is None:
        return ""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(run.metrics.items())[:6])
    words = _("From the run “%(name)s”") % {"name": run.name}
    return f"{words}: {metrics}." if metrics else f"{words}."


# -- where it came from -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """What a model was made of, as URNs and rows."""

    run: str = ""
    job: str = ""
    workspace: str = ""
    environment: str = ""
    datasets: list[DatasetVersion] = field(default_factory=list)
    code: Manifest = field(default_factory=dict)


def run_urn(run_id: str) -> str:
    """A run of the tracker in the lineage."""
    return f"atrium:workbench.run:{run_id}"


def digest_of_code(origin: Origin) -> str:
    """The one digest of the code; nothing when it is not known."""
    return manifests.digest(origin.code) if origin.code else ""


def carrier_of(tags: Mapping[str, str]) -> tuple[int | None, Workspace | None]:
    """The job or the workspace that a run was made in, by the tags that the portal wrote."""
    job, workspace = tags.get("atrium.job", ""), tags.get("atrium.workspace", "")
    found = Workspace.objects.filter(pk=workspace).first() if workspace.isdecimal() else None
    return (int(job) if job.isdecimal() else None), found


def origin_of(job_id: int | None, workspace: Workspace | None, *, run: Run | None, by: User) -> Origin:
    """What is known of where a model came from: the code as the job was given it, or as the workspace holds it now."""
    job = Job.objects.filter(pk=job_id).first() if job_id else None
    environment = job.environment if job else workspace.environment if workspace else ""
    code: Manifest = {}
    if job is not None:
        code = _manifest({**job.inputs, **job.files})
    elif workspace is not None:
        code = _manifest(_snapshot(workspace))
    return Origin(
        run=run_urn(run.id) if run else "",
        job=lineage.urn(job) if job else "",
        workspace=lineage.urn(workspace) if workspace and not job else "",
        environment=f"atrium:environment:{_digest_of(environment)}" if environment else "",
        datasets=_datasets(run, job, workspace, by),
        code=code,
    )


def link(origin: Origin, version: Version) -> None:
    """Write an origin into the lineage of a version: everything leads through the run or the job, where there is one.

    A workspace goes on: what it held leads to the version itself, else each version would have what others were
    made of.
    """
    made_by = origin.run or origin.job or origin.workspace
    if not made_by:
        return
    moment: str | Version = origin.run or origin.job or version
    for dataset_version in origin.datasets:
        lineage.link(dataset_version, moment, "trained on")
    edges = [(origin.job, "ran"), (origin.workspace, "ran"), (origin.environment, "environment")]
    if origin.code:
        edges.append((f"atrium:code:{manifests.digest(origin.code)}", "code"))
    for source, kind in edges:
        if source and source != made_by:
            lineage.link(source, moment, kind)
    lineage.link(made_by, version, "made")


def note_origin(key: str, facts: Mapping[str, Any]) -> None:
    """A version was handed in through REST by a job or a workspace: note what it was made of. May be told twice."""
    version = Version.objects.select_related("capability__team", "created_by").filter(pk=int(key)).first()
    token = PersonalToken.objects.filter(pk=facts.get("token") or 0).first()
    if version is None:
        return
    workspace = Workspace.objects.filter(token=token).first() if token else None
    run = None
    if facts.get("run"):
        try:
            run = Tracker(version.capability.team.slug).run(str(facts["run"]))
        except NotFound:
            log.warning("version %s names the run %s, which its team does not have", version, facts["run"])
    origin = origin_of(token.job_id if token else None, workspace, run=run, by=version.created_by)
    link(origin, version)
    if origin.code and not version.code_digest:
        Version.objects.filter(pk=version.pk, code_digest="").update(
            code_digest=manifests.digest(origin.code)
        )


def _snapshot(workspace: Workspace) -> dict[str, str]:
    try:
        return {file.path: objects.put(handle)[0] for file, handle in within_limits(home_of(workspace))}
    except TooMuch as error:
        log.info("no snapshot of workspace %s: %s", workspace.pk, error)
        return {}


def _manifest(files: Mapping[str, str]) -> Manifest:
    try:
        return manifests.build(files) if files else {}
    except Invalid as error:
        log.info("no snapshot of the code: %s", error.message)
        return {}


def _digest_of(environment: str) -> str:
    return environments.digest(environment) if environments.exists(environment) else environment


def _datasets(
    run: Run | None, job: Job | None, workspace: Workspace | None, by: User
) -> list[DatasetVersion]:
    """What the run says it read, else what was mounted; only what its author may read."""
    named: Iterable[str] = run.tags.get(DATASETS_TAG, "").split(",") if run else ()
    wanted = list(dict.fromkeys(name.strip() for name in named if "/" in name))
    if not wanted and job is not None:
        targets = [str(target) for _source, target, _readonly in job.mounts]
        wanted = [target.removeprefix(f"{INSIDE}/") for target in targets if target.startswith(f"{INSIDE}/")]
    found: list[DatasetVersion] = []
    if not wanted and workspace is not None:
        found = list(workspace.datasets.select_related("dataset__team"))
    for name in wanted[:50]:
        slug, _slash, number = name.partition("/")
        rows = DatasetVersion.objects.select_related("dataset__team")
        found += rows.filter(dataset__slug=slug, number=number) if number.isdecimal() else ()
    return [version for version in found if may_view(by, version.dataset)]
