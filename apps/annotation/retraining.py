"""Retrain with this: what a version records of its making is run again on new data, and goes the way of any version.

Code, parameters, environment and resources come from the recorded training job; only the data set version differs.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from apps.annotation.models import Retraining
from apps.catalog.models import Capability, Version
from apps.catalog.policy import may_add_version
from apps.catalog.services import create_version, package_version
from apps.compute.models import Job
from apps.compute.services import submit_job
from apps.core import audit, lineage, objects
from apps.core.errors import Conflict, IllegalMove, PortalError, StaleWrite
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.evaluation.models import Run
from apps.evaluation.selectors import latest_suite, production_of
from apps.evaluation.services import start_evaluation

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.datasets.models import DatasetVersion

log = logging.getLogger(__name__)
UNDER_WAY = (Retraining.Status.TRAINING, Retraining.Status.PACKAGING, Retraining.Status.EVALUATING)
_MODEL = "model/"
_NUMBER = re.compile(r"^(\d+)\.(\d+)\.\d+$")


def origin_of(capability: Capability) -> Version:
    """The version whose training is run again: the one in production, else the newest. Raises Conflict."""
    running = production_of(capability)
    newest = (
        Version.objects.filter(capability=capability, status=Version.Status.PACKAGED).order_by("-pk").first()
    )
    version = running.version if running else newest
    if version is None or (version.job_id is None and not version.training_job_urn):
        raise Conflict(
            _("No version of this capability records the job that trained it, so it cannot be run again.")
        )
    return version


def _training_job(version: Version) -> Job:
    pk = version.training_job_urn.rpartition(":")[2]
    job = Job.objects.filter(pk=pk).first() if pk.isdecimal() else None
    if job is None:
        raise Conflict(
            _("The job that trained version %(number)s is not recorded.") % {"number": version.number}
        )
    return job


@transaction.atomic
def retrain(capability: Capability, dataset_version: DatasetVersion, *, by: User) -> Retraining:
    """Run the recorded training again on a data set version. Raises NotAllowed, Conflict when it was done already."""
    require(may_add_version(by, capability))
    one_at_a_time(capability)
    origin = origin_of(capability)
    recorded = _training_job(origin)
    job = submit_job(
        "training",
        _("Retraining of %(name)s on %(data)s") % {"name": capability.name, "data": dataset_version},
        by=by,
        team=capability.team,
        argv=recorded.argv,
        environment=recorded.environment,
        inputs={path: entry["sha256"] for path, entry in dataset_version.manifest.items()},
        files={path: _content(sha256) for path, sha256 in recorded.files.items()},
        params=recorded.params,
        resources=recorded.resources,
        timeout_s=recorded.timeout_s,
        max_attempts=2,
        subject=capability,
    )
    lineage.link(dataset_version, job, "trained on")
    try:
        with transaction.atomic():
            retraining = Retraining.objects.create(
                capability=capability, origin=origin, dataset_version=dataset_version, job=job, started_by=by
            )
    except IntegrityError as error:
        raise Conflict(_("Version %(number)s was retrained on this data set version already.") % {
            "number": origin.number
        }) from error  # fmt: skip
    audit.record("annotation.retraining.started", retraining, by=by, origin=origin.number)
    return retraining


def one_at_a_time(capability: Capability) -> None:
    """Hold the capability until the transaction ends, so that whoever begins a retraining sees those begun before."""
    Capability.objects.select_for_update(no_key=True).only("pk").get(pk=capability.pk)


def _content(sha256: str) -> bytes:
    with objects.open_object(sha256) as file:
        return file.read()


def on_job_finished(key: str, _facts: dict[str, Any]) -> None:
    """A job ended: perhaps a retraining's."""
    for retraining in Retraining.objects.filter(job_id=key, status=Retraining.Status.TRAINING):
        proceed(retraining)


def proceed_all() -> None:
    """Look at every retraining that is under way."""
    for retraining in Retraining.objects.filter(status__in=UNDER_WAY).order_by("pk")[:100]:
        proceed(retraining)


def proceed(retraining: Retraining) -> None:
    """Take the step that is due. Harmless when repeated."""
    try:
        with transaction.atomic():
            locked = (
                Retraining.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("job", "version", "run", "capability__team", "dataset_version", "started_by")
                .filter(pk=retraining.pk, status__in=UNDER_WAY)
                .first()
            )
            if locked is not None:
                _STEPS[Retraining.Status(locked.status)](locked)
    except (StaleWrite, IllegalMove):
        log.info("retraining %s was moved by somebody else", retraining.pk)
    except PortalError as error:
        fresh = Retraining.objects.get(pk=retraining.pk)
        _fail(fresh, error.message)


def _after_training(retraining: Retraining) -> None:
    job = retraining.job
    if job.status not in Job.ENDED:
        return
    if job.status != Job.Status.SUCCEEDED:
        _fail(retraining, job.reason_words)
        return
    files = {
        path.removeprefix(_MODEL): entry["sha256"]
        for path, entry in job.outputs.items()
        if path.startswith(_MODEL)
    }
    version = create_version(
        retraining.capability,
        _next_number(retraining.capability),
        files=files,
        by=retraining.started_by,
        changelog=_("Retrained on %(data)s.") % {"data": retraining.dataset_version},
        dataset_version=retraining.dataset_version,
        code_digest=retraining.origin.code_digest,
        training_job_urn=lineage.urn(job),
        parameters=job.params,
    )
    package_version(version, by=retraining.started_by)
    Retraining.lifecycle.move(retraining, Retraining.Status.PACKAGING, by=None, version=version)


def _next_number(capability: Capability) -> str:
    numbers = capability.versions.values_list("number", flat=True)
    known = [(int(m[1]), int(m[2])) for m in map(_NUMBER.match, numbers) if m]
    major, minor = max(known, default=(1, -1))
    return f"{major}.{minor + 1}.0"


def _after_packaging(retraining: Retraining) -> None:
    version = retraining.version
    assert version is not None
    if version.status == Version.Status.FAILED:
        _fail(retraining, _("Packaging failed: %(why)s") % {"why": version.failure.get("message", "")})
    elif version.status == Version.Status.PACKAGED:
        suite = latest_suite(retraining.capability)
        if suite is None:
            Retraining.lifecycle.move(retraining, Retraining.Status.DONE, by=None)
            return
        run = start_evaluation(version, suite, by=retraining.started_by)
        Retraining.lifecycle.move(retraining, Retraining.Status.EVALUATING, by=None, run=run)


def _after_evaluation(retraining: Retraining) -> None:
    assert retraining.run is not None
    if retraining.run.status == Run.Status.REPORTED:
        Retraining.lifecycle.move(retraining, Retraining.Status.DONE, by=None)
    elif retraining.run.status in (Run.Status.FAILED, Run.Status.CANCELLED):
        _fail(retraining, _("The evaluation ended: %(why)s") % {"why": retraining.run.why})


def _fail(retraining: Retraining, reason: str) -> None:
    words, told = kept(reason)
    Retraining.lifecycle.move(retraining, Retraining.Status.FAILED, by=None, reason=words, told=told)


_STEPS = {
    Retraining.Status.TRAINING: _after_training,
    Retraining.Status.PACKAGING: _after_packaging,
    Retraining.Status.EVALUATING: _after_evaluation,
}
