"""What a step of a sample waits for, and when one that failed is tried again: soon, then later, at last no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from apps.compute.models import Job
from apps.evaluation.models import Run
from apps.releases.models import Release

PAUSES_S = (5, 30, 120, *(180,) * 12)
"""After the first, second, … failure: for 38 minutes whoever mends the cause waits at most three, and does no more."""
MOST_ATTEMPTS = len(PAUSES_S) + 1


class Broken(Exception):
    """A sample cannot go on by itself; the text says where it stands and why."""


@dataclass(frozen=True)
class Waiting:
    """A step that others work on: what is waited for, how far it is, and where it can be watched."""

    message: str
    url: str = ""
    fraction: float | None = None


def after_job(what: str, job: Job, why: object = "") -> Waiting | None:
    """The pause after a job that failed or was cancelled."""
    attempts = Job.objects.filter(subject=job.subject, kind=job.kind).count()
    return _pause(what, why or job.reason, attempts, job.finished_at, f"/jobs/{job.pk}/")


def after_run(run: Run) -> Waiting | None:
    """The pause after an evaluation that gave no passed report."""
    attempts = Run.objects.filter(version=run.version_id, suite=run.suite_id).count()
    why = run.reason or _("the report did not pass")
    return _pause(_("Evaluation"), why, attempts, run.ended_at, f"/evaluations/{run.pk}/")


def after_release(release: Release) -> Waiting | None:
    """The pause after a release that was taken back."""
    attempts = Release.objects.filter(version=release.version_id).count()
    return _pause(_("Release"), release.reason, attempts, release.ended_at, f"/releases/{release.pk}/")


def _pause(what: str, why: object, attempts: int, ended_at: datetime | None, url: str) -> Waiting | None:
    """None when a step that failed `attempts` times is due again. Raises Broken when it is not tried any more."""
    told = {"what": what, "why": why, "attempts": attempts, "most": MOST_ATTEMPTS}
    if attempts >= MOST_ATTEMPTS:
        raise Broken(
            _("%(what)s failed %(attempts)d times. Start it on its page once the cause is gone: %(why)s")
            % told
        )
    since = timezone.now() - (ended_at or datetime.min.replace(tzinfo=UTC))
    left = timedelta(seconds=PAUSES_S[max(0, attempts - 1)]) - since
    if left <= timedelta(0):
        return None
    told["seconds"] = int(left.total_seconds()) + 1
    words = _("%(what)s failed (attempt %(attempts)d of %(most)d), tried again in %(seconds)d s: %(why)s")
    return Waiting(words % told, url)
