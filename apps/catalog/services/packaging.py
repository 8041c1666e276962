"""Packaging: a job in the sandbox makes the package; its end, told by an event, moves the version on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.catalog.policy import may_package_version
from apps.catalog.selectors import rules_for_next
from apps.catalog.services import locking
from apps.catalog.services.capabilities import index_words
from apps.compute import environments
from apps.compute.models import Job
from apps.compute.services import lock_of, submit_job, why_no_lock
from apps.core import lineage, manifests
from apps.core.errors import PortalError
from apps.core.events import publish
from apps.core.manifests import Manifest
from apps.core.policy import require
from apps.datasets.models import DatasetVersion
from apps.requests.notifications import notify
from atrium.package import STEPS
from atrium.parsing import FILE as PARSING

if TYPE_CHECKING:
    from apps.accounts.models import User

JOB_KIND = "packaging"
_ARGV = ["python", "-m", "atrium.packaging"]
_RESOURCES = {"cpu": 1.0, "memory_mb": 2048}
MOST_NAMED = 8
_TIMEOUT_S = 900
_PACKAGE = "package/"
_LARGEST_TABLE = 50_000_000
_REPORTED = (
    *("steps", "cases", "golden", "conversion", "quantisation", "latency", "size", "environment"),
    *("detected_by", "told", "notes"),
)


@transaction.atomic
def package_version(version: Version, *, by: User) -> Job:
    """Make the package of an uploaded version, or again of one that failed. Returns the job that is under way.

    Where the base environment lacks its packages, a job locks them first. Raises NotAllowed, IllegalMove,
    StaleWrite, Invalid (requirements.txt).
    """
    require(may_package_version(by, version))
    missing = locking.missing_in_base(version)
    known = locking.known_environment(version) if missing else locking.BASE
    Version.lifecycle.move(version, "packaging", by=by, failure={}, report={})
    lock = locking.lock_packages(version, by=by) if known is None else None
    job = lock or _submit(version, str(known), missing, by=by)
    _follow(version, job)
    return job


def package_in_base(version: Version, *, by: User) -> Job:
    """Package in the base environment although that has other versions: its cases tell whether it works there."""
    version.parameters = {
        **version.parameters,
        "packaging": {**_wishes(version), "environment": locking.BASE},
    }
    with transaction.atomic():
        job = package_version(version, by=by)
        Version.objects.filter(pk=version.pk).update(parameters=version.parameters)
    return job


def _follow(version: Version, job: Job) -> None:
    Version.objects.filter(pk=version.pk).update(job_id=job.pk)
    version.job_id = job.pk


def _submit(
    version: Version, environment: str, missing: list[tuple[str, str | None]], *, by: User | None
) -> Job:
    """Queue the packaging in an environment, made for what is `missing` in the base; it waits until that is built."""
    capability = version.capability
    inputs = {f"source/{path}": entry["sha256"] for path, entry in version.source_manifest.items()}
    inputs |= _golden_rows(version)
    files: dict[str, bytes | str] = {}
    if capability.card and "card.md" not in version.source_manifest:
        files["inputs/source/card.md"] = capability.card
    if PARSING not in version.source_manifest and (rules := rules_for_next(capability)):
        files[f"inputs/source/{PARSING}"] = json.dumps(rules, ensure_ascii=False, indent=2)
    if environment != locking.BASE:
        files["inputs/environment.lock"] = environments.lock_text(environment)
        locking.build_soon(environment)
    return submit_job(
        JOB_KIND,
        _("Package %(name)s %(number)s") % {"name": capability.name, "number": version.number},
        by=by,
        team=capability.team,
        argv=_ARGV,
        environment=environment,
        inputs=inputs,
        files=files,
        params={
            **_wishes(version),
            "capability": capability.slug,
            "version": version.number,
            "environment": environment,
            "own_packages": [{"package": package, "base": has} for package, has in missing[:MOST_NAMED]],
        },
        resources=_RESOURCES,
        max_attempts=1,
        timeout_s=_TIMEOUT_S,
        subject=version,
    )


def take_lock_result(job_id: int) -> Version | None:
    """Go on with the packaging when a version's packages are locked, or fail it. Idempotent."""
    job = Job.objects.filter(pk=job_id, kind=locking.JOB_KIND, status__in=Job.ENDED).first()
    if job is None:
        return None
    with transaction.atomic():
        version = (
            Version.objects.select_for_update(of=("self",))
            .select_related("capability__team")
            .filter(job_id=job.pk, status=Version.Status.PACKAGING)
            .first()
        )
        if version is None:
            return None
        lock = lock_of(job)
        if lock is not None:
            name = locking.keep_lock_of(lock, version)
            _follow(version, _submit(version, name, locking.missing_in_base(version), by=job.created_by))
            return version
        failure = {"step": "environment", **why_no_lock(job)}
        step = {"name": "environment", "status": "failed", "seconds": 0, "message": failure["message"][:300]}
        _failed(version, job, {"steps": [step]}, failure)
        return version


def _wishes(version: Version) -> dict[str, Any]:
    """What the author asked of packaging: `parameters.packaging`, such as {"quantise": true}."""
    asked = version.parameters.get("packaging")
    return dict(asked) if isinstance(asked, dict) else {}


def _golden_rows(version: Version) -> dict[str, str]:
    """The tables of the data set version that the model names; answers are compared on their rows too."""
    kind, _colon, key = version.dataset_version_urn.rpartition(":")
    if kind != "atrium:datasets.datasetversion" or not key.isdecimal():
        return {}
    dataset_version = DatasetVersion.objects.filter(pk=int(key)).first()
    if dataset_version is None:
        return {}
    return {
        f"golden/{path}": entry["sha256"]
        for path, entry in dataset_version.manifest.items()
        if path.endswith(".csv") and entry["size"] <= _LARGEST_TABLE
    }


def take_packaging_result(job_id: int) -> Version | None:
    """Move the version whose packaging job has ended on. Idempotent; None when there is nothing to do."""
    job = Job.objects.filter(pk=job_id, kind=JOB_KIND, status__in=Job.ENDED).first()
    if job is None:
        return None
    with transaction.atomic():
        version = (
            Version.objects.select_for_update(of=("self",))
            .select_related("capability__team")
            .filter(job_id=job.pk, status__in=_waiting_for(job))
            .first()
        )
        if version is None:
            return None
        if version.status == Version.Status.FAILED:
            Version.lifecycle.move(version, "packaging", by=None)
        result = job.result if isinstance(job.result, dict) else {}
        failure = _failure_of(job, result)
        if failure is None:
            _packaged(version, job, result)
        else:
            _failed(version, job, result, failure)
        _tell_author(version)
        return version


def _tell_author(version: Version) -> None:
    """Into the bell of who made the version; not of an account that nobody has used, as when samples are made."""
    author = version.created_by
    if author is None or author.last_login is None:
        return
    names = {"name": version.capability.name, "number": version.number}
    url = reverse("catalog:version", args=[version.capability.slug, version.number])
    if version.status == Version.Status.FAILED:
        failure = str((version.failure or {}).get("message", ""))
        notify([author], lambda: _("Not packaged: %(name)s %(number)s") % names, url=url, body=failure[:300])
    else:
        notify([author], lambda: _("Packaged: %(name)s %(number)s") % names, url=url)


def reconcile_packaging() -> int:
    """Take the results whose event was lost, and end what no job stands for. Returns how many moved."""
    moved = 0
    waiting = Version.objects.filter(status=Version.Status.PACKAGING)
    for version in waiting.order_by("pk")[:200]:
        if version.job_id is not None and Job.objects.filter(pk=version.job_id).exists():
            taken = take_packaging_result(version.job_id) or take_lock_result(version.job_id)
            moved += taken is not None
        else:
            reason = _("The packaging job vanished. Package the version again.")
            Version.lifecycle.move(
                version, "failed", by=None, failure={"step": "", "message": reason, "advice": ""}
            )
            moved += 1
    return moved


def _waiting_for(job: Job) -> list[str]:
    """A job that was repeated and succeeded also lifts a version that its first end made fail."""
    if job.status == Job.Status.SUCCEEDED:
        return [Version.Status.PACKAGING, Version.Status.FAILED]
    return [Version.Status.PACKAGING]


def _failure_of(job: Job, result: Mapping[str, Any]) -> dict[str, str] | None:
    """Why packaging failed, or None when there is a whole package."""
    told = result.get("failure")
    if isinstance(told, dict):
        return {key: str(told.get(key, "")) for key in ("step", "message", "advice")}
    if job.status == Job.Status.CANCELLED:
        return {"step": "", "message": job.reason, "advice": _("Package the version again when you want it.")}
    if job.status != Job.Status.SUCCEEDED or result.get("status") != "packaged":
        message = job.reason or _("The job ended without a result.")
        advice = _("Read the log below: the model was at this step. Correct it, or package again.")
        return {"step": _step_at(job), "message": message, "advice": advice}
    try:
        digest = manifests.digest(_package_manifest(job))
    except PortalError as error:
        return {"step": "store", "message": error.message, "advice": _("Package the version again.")}
    if digest != result.get("digest"):
        return {
            "step": "store",
            "message": _("The stored files have the digest %(actual)s, the job said %(told)s.")
            % {"actual": digest, "told": result.get("digest")},
            "advice": _("Package the version again."),
        }
    return None


def _step_at(job: Job) -> str:
    """The step at which a job was that could not tell any more: killed for its memory or its time, or crashed."""
    if job.progress is None:
        return ""
    return STEPS[min(round(job.progress * len(STEPS)), len(STEPS) - 1)]


def _package_manifest(job: Job) -> Manifest:
    files = {
        path.removeprefix(_PACKAGE): str(entry["sha256"])
        for path, entry in job.outputs.items()
        if path.startswith(_PACKAGE)
    }
    return manifests.build(files)


def _packaged(version: Version, job: Job, result: Mapping[str, Any]) -> None:
    manifest = _package_manifest(job)
    Version.lifecycle.move(
        version,
        "packaged",
        by=None,
        manifest=manifest,
        digest=manifests.digest(manifest),
        size=manifests.size(manifest),
        signature=dict(result.get("signature") or {}),
        cases_count=len(result.get("cases") or []),
        framework=str(result.get("framework", ""))[:40],
        runtime=str(result.get("runtime", ""))[:10],
        environment=job.environment,
        report=_report_of(result),
        failure={},
        packaged_at=timezone.now(),
    )
    index_words(version.capability)
    lineage.link(job, version, "packaged")
    if version.dataset_version_urn:
        lineage.link(version.dataset_version_urn, version, "trained on")
    publish("catalog.version_packaged", version.pk, digest=version.digest, capability=version.capability_id)


def _failed(version: Version, job: Job, result: Mapping[str, Any], failure: dict[str, str]) -> None:
    Version.lifecycle.move(version, "failed", by=None, failure=failure, report=_report_of(result))
    publish("catalog.version_failed", version.pk, reason=failure["message"], capability=version.capability_id)


def _report_of(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in _REPORTED if key in result}
