"""Asking a capability about many rows at once: a file in, a file out, by a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.selectors import teams_of
from apps.compute.engines.base import DOOR
from apps.compute.models import Job
from apps.compute.services import end_job, submit_job
from apps.core import audit, objects
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import say as _
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.store.limits import Limits
from apps.store.models import Batch
from apps.store.policy import may_stop_batch, may_try
from apps.store.services.trial import trial_limits, trial_pool

if TYPE_CHECKING:
    from apps.catalog.models import Capability, Version

JOB_KIND = "batch"
LARGEST = 1 << 30
TIME_LIMIT_S = 3600
AT_ONCE = 2
"""Calls that a job has under way, where the plan allows as many: the model need not wait while answers are written."""


def start_batch(
    capability: Capability, version: Version, content: Iterable[bytes], name: str, *, by: User
) -> Batch:
    """Store a file as it streams in, and queue the job that asks about its rows under the person's trial quota.

    Its calls count in the person's day and month. The rate is for hands, not for a job that paces itself; the person's
    own calls at the same time stay free.
    Raises Invalid for an empty or too large file, Conflict while another batch of the same person runs.
    """
    require(may_try(by, capability))
    _require_none_running(by)
    sha256, size = objects.put(_bounded(content))
    if not size:
        raise Invalid(_("The file is empty."), fields={"file": _("is empty")})
    team = teams_of(by).filter(memberships__user=by).order_by("pk").first()
    if team is None:
        raise Invalid(_("You are in no team, so nobody could run a job for you. Ask an administrator."))
    at_once = min(AT_ONCE, trial_limits(capability).concurrent or AT_ONCE)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.pk)
        _require_none_running(by)
        grant, secret = gateway.create_grant(
            kind=Grant.Kind.TRIAL,
            capability=capability,
            team=capability.team,
            user=by,
            pool=f"{trial_pool(by, capability)}/rows",
            limits=replace(limits_of_files(capability), concurrent=at_once).to_json(),
            expires_at=timezone.now() + timedelta(seconds=TIME_LIMIT_S + 600),
            label="Batch",
            by=by,
        )
        job = submit_job(
            JOB_KIND,
            _("%(name)s: rows of %(file)s") % {"name": capability.name, "file": name[:80]},
            by=None,
            team=team,
            argv=["python", "-m", "atrium.predict"],
            inputs={"rows": sha256},
            params={
                "signature": version.signature,
                "path": f"/v2/models/{capability.slug}/infer",
                "at_once": at_once,
            },
            env={"ATRIUM_KEY": secret, "ATRIUM_GATEWAY_URL": DOOR},
            network="forwarder",
            timeout_s=TIME_LIMIT_S,
            subject=capability,
        )
        batch = Batch.objects.create(
            capability=capability,
            user=by,
            version=version.number,
            file_name=name[:200],
            size=size,
            job=job,
            grant=grant,
        )
        audit.record("store.batch.started", batch, by=by, capability=capability.slug, size=size)
    return batch


def limits_of_files(capability: Capability) -> Limits:
    """What of a person's trial quota holds for a file of rows."""
    return replace(trial_limits(capability), rate_per_s=None, burst=None, concurrent=None)


@transaction.atomic
def stop_batch(batch: Batch, *, by: User) -> Batch:
    """Ask about no more rows of a file: at once while it waits, else within seconds. What was answered can be had.

    Its key ends, and a job whose key has ended writes what it has. Said twice it is said once. Raises NotAllowed for
    another person's file, Conflict for one that is done.
    """
    require(may_stop_batch(by, batch))
    job = Job.objects.select_for_update().get(pk=batch.job_id)
    batch = Batch.objects.select_for_update(of=("self",)).select_related("grant").get(pk=batch.pk)
    if batch.stopped_at is not None:
        return batch
    if job.ended:
        raise Conflict(_("“%(file)s” is done already.") % {"file": batch.file_name})
    batch.stopped_at = timezone.now()
    batch.save(update_fields=["stopped_at"])
    audit.record("store.batch.stopped", batch, by=by)
    if job.status == Job.Status.QUEUED:
        end_job(job, reason=_("stopped by whoever sent the file"))
    gateway.revoke_grant(batch.grant, by=by)
    return batch


def _require_none_running(user: User) -> None:
    running = Batch.objects.filter(user=user).exclude(job__status__in=Job.ENDED).first()
    if running is not None:
        raise Conflict(
            _("“%(file)s” is still being asked about. One file at a time; wait until it is done.")
            % {"file": running.file_name}
        )


def _bounded(content: Iterable[bytes]) -> Iterable[bytes]:
    size = 0
    for chunk in content:
        size += len(chunk)
        if size > LARGEST:
            raise Invalid(
                _("The file is larger than %(most)d MB. Split it.") % {"most": LARGEST >> 20},
                fields={"file": _("is too large")},
            )
        yield chunk


def why_not_repeated(job: Job) -> str:
    """A file's job has a key that ended with it: asked again, it would be refused at its first row."""
    if job.kind != JOB_KIND:
        return ""
    return _("The key of this job ended with it. Send the file again on “Try it”.")


def end_batch(job_id: int) -> None:
    """The job has ended: its key is of no use any more. Called for every job; most are no batch."""
    batch = Batch.objects.select_related("grant").filter(job=job_id).first()
    if batch is not None and batch.grant.status != Grant.Status.REVOKED:
        gateway.revoke_grant(batch.grant, by=None)
