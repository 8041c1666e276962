"""What people see of the sample content while it is being made. Reads only."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.utils.translation import gettext as _

from apps.accounts.models import Team, User
from apps.accounts.policy import is_platform_admin, roles_of
from apps.catalog.models import Capability, Version
from apps.compute.models import Job
from apps.core.urns import urn
from apps.datasets.models import DatasetVersion
from apps.evaluation.models import Run
from apps.releases.models import Release
from apps.store.panels import Preparation
from portal.samples.retries import Broken, Waiting, after_job, after_release, after_run
from portal.samples.steps import NUMBER, TAKEN_BACK, TEAM, Sample, unfinished, wanted

_LOOK_AGAIN_S = 60
_all_done_at: float | None = None


def preparation(user: User) -> Preparation | None:
    """The card on the store's front page; None when all samples are there or none are wanted."""
    global _all_done_at
    if not settings.ATRIUM.samples:
        return None
    if _all_done_at is not None and time.monotonic() - _all_done_at < _LOOK_AGAIN_S:
        return None
    remaining = unfinished()
    if not remaining:
        _all_done_at = time.monotonic()
        return None
    parts = [_part(sample) for sample in remaining]
    done = len(wanted()) - len(remaining)
    fraction = (done + sum(part[0] for part in parts)) / len(wanted())
    failed = [part[1] for part in parts if part[2] == "failed"]
    message = failed[0] if failed else parts[0][1]
    looks = bool(roles_of(user, Team.objects.get(slug=TEAM))) or is_platform_admin(user)
    return Preparation(
        title=_("The sample capabilities are being made"),
        fraction=fraction,
        message=message,
        failed=bool(failed),
        steps=[
            (f"{sample.name}: {part[1]}", part[2], part[3] if looks else "")
            for sample, part in zip(remaining, parts, strict=True)
        ],
    )


def where(slug: str) -> str:
    """What is being done on a sample that is not there yet, in words."""
    return next((_part(sample)[1] for sample in unfinished() if sample.slug == slug), "")


def _part(sample: Sample) -> tuple[float, str, str, str]:
    """How far (0-1), what is being done, a status word, and where it can be watched."""
    data = DatasetVersion.objects.filter(dataset__slug=sample.slug).order_by("number").first()
    capability = Capability.objects.filter(slug=sample.slug).first()
    if data is None or capability is None:
        return 0.05, _("writing the data set"), "running", ""
    version = Version.objects.filter(capability=capability, number=NUMBER).first()
    if version is None:
        job = Job.objects.filter(subject=urn(data), kind="training").order_by("-pk").first()
        return _of_job(job, _("Training"), 0.1, 0.3)
    if version.status != Version.Status.PACKAGED:
        job = Job.objects.filter(pk=version.job_id or 0).first()
        if version.status == Version.Status.FAILED:
            what, why = _("Packaging"), version.failure.get("message")
            words = _said(what, lambda: after_job(what, job, why) if job else None)
            return 0.5, words, "failed", f"/catalog/{version.capability.slug}/versions/{version.number}/"
        return _of_job(job, _("Packaging"), 0.4, 0.3)
    return _of_release(version)


def _of_release(version: Version) -> tuple[float, str, str, str]:
    """Evaluation, signatures, production."""
    release = Release.objects.filter(version=version).order_by("-pk").first()
    if release is None:
        run = Run.objects.filter(version=version).order_by("-pk").first()
        if run is None:
            return 0.65, _("Evaluation"), "queued", ""
        page = f"/evaluations/{run.pk}/"
        if run.status in (Run.Status.FAILED, Run.Status.CANCELLED):
            return 0.65, _said(_("Evaluation"), lambda: after_run(run)), "failed", page
        return 0.65, _("Evaluation"), run.status, page
    page = f"/releases/{release.pk}/"
    if release.status in TAKEN_BACK:
        return 0.8, _said(_("Release"), lambda: after_release(release)), "failed", page
    if release.status == Release.Status.REJECTED:
        return 0.8, f"{release.get_status_display()}: {release.reason}", "failed", page
    if release.status == Release.Status.SIGNING:
        return 0.8, _("Signatures"), "waiting", page
    return 0.9, release.reason or _("going into production"), "starting", page


def _of_job(job: Job | None, what: str, start: float, share: float) -> tuple[float, str, str, str]:
    if job is None:
        return start, what, "queued", ""
    page = f"/jobs/{job.pk}/"
    if job.status in (Job.Status.FAILED, Job.Status.CANCELLED):
        return start, _said(what, lambda: after_job(what, job)), "failed", page
    if job.status == Job.Status.QUEUED and job.reason:
        return start, job.reason, job.status, page
    words = f"{what}: {job.progress_message}" if job.progress_message else what
    return start + share * (job.progress or 0), words, job.status, page


def _said(what: str, pause: Callable[[], Waiting | None]) -> str:
    """What is told of a step that failed: why, and when it is tried again, if it is."""
    try:
        told = pause()
    except Broken as error:
        return str(error)
    return told.message if told else _("%(what)s: tried again now") % {"what": what}
