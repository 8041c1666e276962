"""What people do with jobs: submit, cancel, repeat."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone

from apps.compute import environments, job_data, ledger
from apps.compute.engines.base import Mount, Resources
from apps.compute.models import Job
from apps.compute.placement import read_labels
from apps.compute.policy import may_cancel_job, may_retry_job, may_run_code, may_submit_job
from apps.compute.selectors import most_to_ask
from apps.core import audit, background, events, objects, secrets
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.core.telling import kept, spoken
from apps.core.telling import say as _
from apps.core.urns import urn
from apps.requests.notifications import notify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apps.accounts.models import Team, User

LONGEST_S = 14 * 86_400
MOST_ATTEMPTS = 10
WORTH_TELLING_AFTER_S = 60
_NOTEBOOK = ["python", "-m", "atrium.notebook", "/work/notebook.ipynb"]


def submit_job(
    kind: str,
    title: str,
    *,
    by: User | None,
    team: Team,
    argv: Sequence[str],
    environment: str = "base",
    inputs: Mapping[str, str] | None = None,
    files: Mapping[str, bytes | str] | None = None,
    stored: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    mounts: Sequence[Mount | tuple[str, str, bool]] = (),
    env: Mapping[str, str] | None = None,
    resources: Resources | Mapping[str, Any] | None = None,
    max_attempts: int = 1,
    timeout_s: float = 3600,
    priority: int = 5,
    subject: models.Model | str | None = None,
    needs_key: str = "",
    labels: Sequence[str] = (),
    network: str = "none",
) -> Job:
    """Queue a command; it starts as soon as it fits. The caller has checked that `by` may do this for `team`.

    `inputs` are objects by path below /work/inputs, `files` small contents by path below /work, `stored` objects by
    path below /work. In the job:
    /work/params.json; out of it: /work/result.json, /work/outputs/, /work/progress.json. `needs_key` names what is
    run again and again, so that its runs' measured needs go together. `by=None` is the portal's own code.
    Only a node with all `labels` takes it.
    Publishes compute.job_finished at the end. Raises Invalid, NotAllowed.
    """
    require(may_run_code(by))
    needs = _resources(resources)
    _check(argv, environment, timeout_s, max_attempts, needs)
    for path in [*(inputs or {}), *(files or {}), *(stored or {})]:
        _check_path(path)
    for sha256 in [*(inputs or {}).values(), *(stored or {}).values()]:
        if not objects.keep(sha256):
            raise Invalid(_("The input file %(sha256)s is not stored here.") % {"sha256": sha256})
    written = {path: objects.put([_bytes(content)])[0] for path, content in (files or {}).items()}
    with transaction.atomic():
        job = Job.objects.create(
            kind=kind,
            title=title[:200],
            team=team,
            created_by=by,
            subject=urn(subject) if subject is not None else "",
            argv=[str(part) for part in argv],
            environment=environment,
            inputs=dict(inputs or {}),
            files={**(stored or {}), **written},
            params=dict(params or {}),
            mounts=[_mount(mount) for mount in mounts],
            variables=secrets.encrypt(json.dumps(dict(env))) if env else "",
            resources=asdict(needs),
            needs_key=needs_key[:200],
            labels=read_labels(labels),
            network=network,
            priority=priority,
            timeout_s=timeout_s,
            max_attempts=max_attempts,
        )
        audit.record("compute.job.queued", job, by=by, kind=kind, title=job.title)
        transaction.on_commit(lambda: background.enqueue("compute.start_job", job.pk, priority=0))
    return job


def cancel_job(job: Job, *, by: User) -> Job:
    """End a job: at once while it waits, else as soon as its process has been stopped.

    Raises NotAllowed, StaleWrite.
    """
    require(may_cancel_job(by, job))
    name = by.called
    return _cancel(job, by, _("cancelled by %(name)s") % {"name": name})


def end_job(job: Job, *, reason: str) -> Job:
    """End a job as the portal's own decision, which `reason` tells. Raises StaleWrite."""
    return _cancel(job, None, reason)


def _cancel(job: Job, by: User | None, reason: str) -> Job:
    words, told = kept(reason)
    with transaction.atomic():
        now = timezone.now()
        facts = {"reason": words, "result": {"told": told} if told else None, "cancel_requested_at": now}
        if job.status == Job.Status.QUEUED:
            Job.lifecycle.move(job, "cancelled", by=by, finished_at=now, **facts)
            finished(job)
        else:
            Job.objects.filter(pk=job.pk, status__in=Job.ACTIVE).update(**facts)
            audit.record("compute.job.cancel_requested", job, by=by)
            job.cancel_requested_at = now
            transaction.on_commit(lambda: background.enqueue("compute.watch_job", job.pk, priority=0))
    return job


def retry_job(job: Job, *, by: User) -> Job:
    """Queue a failed or cancelled job anew, as it was. Raises NotAllowed, IllegalMove, StaleWrite."""
    require(may_retry_job(by, job))
    require(may_run_code(by))
    with transaction.atomic():
        Job.lifecycle.move(
            job,
            "queued",
            by=by,
            reason="",
            failures=0,
            losses=0,
            progress=None,
            progress_message="",
            reports=[],
            result=None,
            outputs={},
            cancel_requested_at=None,
            queued_at=timezone.now(),
            started_at=None,
            finished_at=None,
        )
        transaction.on_commit(lambda: background.enqueue("compute.start_job", job.pk, priority=0))
    return job


def finished(job: Job) -> None:
    """Tell that a job has ended; inside the transaction that ends it."""
    events.publish("compute.job_finished", job.pk, status=job.status, kind=job.kind, subject=job.subject)
    if job.created_by is not None and not job.subject and job.status != Job.Status.CANCELLED:
        _tell_owner(job, job.created_by)


def _tell_owner(job: Job, owner: User) -> None:
    """Into the bell of who submitted it; jobs about something are told of by the app that asked for them."""
    ended = job.finished_at or timezone.now()
    took = (ended - job.created_at).total_seconds()
    if job.status == Job.Status.SUCCEEDED and took < WORTH_TELLING_AFTER_S:
        return
    url = reverse("jobs:detail", args=[job.pk])
    if job.status == Job.Status.FAILED:
        title = {"title": job.title}
        notify([owner], lambda: _("Job failed: %(title)s") % title, url=url, body=lambda: job.reason_words)
    else:
        notify([owner], lambda: _("Job done: %(title)s") % {"title": job.title}, url=url)


def _check(
    argv: Sequence[str], environment: str, timeout_s: float, max_attempts: int, needs: Resources
) -> None:
    if not argv:
        raise Invalid(_("The job has no command."), fields={"argv": _("missing")})
    if not environments.exists(environment):
        raise Invalid(
            _("There is no environment “%(name)s”; there are: %(names)s.")
            % {"name": environment, "names": ", ".join(environments.names())},
            fields={"environment": _("unknown")},
        )
    if not 0 < timeout_s <= LONGEST_S:
        raise Invalid(
            _("The time limit is %(value)s s; it must be above 0 and at most %(most)d s.")
            % {"value": timeout_s, "most": LONGEST_S},
            fields={"timeout_s": _("out of range")},
        )
    if not 1 <= max_attempts <= MOST_ATTEMPTS:
        raise Invalid(
            _("%(value)d attempts are not possible; say 1 to %(most)d.")
            % {"value": max_attempts, "most": MOST_ATTEMPTS},
            fields={"max_attempts": _("out of range")},
        )
    short = ledger.missing(ledger.Amount(needs.cpu, needs.memory_mb, needs.gpu), most_to_ask()[0])
    if short:
        raise Invalid(_("The job would never fit on any node: %(why)s.") % {"why": spoken(short)})


def _resources(given: Resources | Mapping[str, Any] | None) -> Resources:
    if isinstance(given, Resources):
        return given
    known = {field.name: field.type for field in fields(Resources)}
    values: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if name not in known:
            raise Invalid(
                _("There is no resource “%(name)s”; there are: %(names)s.")
                % {"name": name, "names": ", ".join(known)},
                fields={"resources": _("unknown name")},
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise Invalid(
                _("The resource %(name)s is %(value)s; it must be a number above 0.")
                % {"name": name, "value": value},
                fields={"resources": _("no number")},
            )
        values[name] = float(value) if name in ("cpu", "gpu") else int(value)
    return Resources(**values)


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path or str(pure) == ".":
        raise Invalid(_("“%(path)s” is no path below the job's folder.") % {"path": path[:200]})


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _mount(mount: Mount | tuple[str, str, bool]) -> list[Any]:
    if isinstance(mount, Mount):
        return [str(mount.source), mount.target, mount.readonly]
    source, target, readonly = mount
    return [str(source), target, readonly]


def submit_script(
    title: str,
    script: str = "",
    *,
    by: User,
    team: Team,
    notebook: str = "",
    cell_timeout_s: float | None = None,
    datasets: Sequence[str] = (),
    **facts: Any,
) -> Job:
    """Queue a Python script, or a notebook, of a person, under the same rules for page and API.

    `atrium.dataset` finds the data set versions that `datasets` names in it; in the lineage it comes from them.
    A notebook's cell that hangs for `cell_timeout_s` seconds is ended (0: never; None: as `atrium.notebook` does).
    It reaches the portal and the experiments as that person. `facts` as in `submit_job`. Raises Invalid, NotAllowed.
    """
    require(may_submit_job(by, team))
    if notebook and script.strip():
        raise Invalid(_("Give either a script or a notebook, not both."), fields={"script": _("too much")})
    if not notebook and not script.strip():
        raise Invalid(_("The script is empty."), fields={"script": _("missing")})
    if notebook:
        kind, files, argv = (
            "notebook",
            {"notebook.ipynb": _notebook(notebook)},
            _NOTEBOOK + silent_cells(cell_timeout_s),
        )
    else:
        kind, files, argv = "script", {"main.py": script}, ["python", "main.py"]
    title = title.strip() or _("Script")
    facts = {"network": "forwarder", "needs_key": f"{kind}:{team.slug}:{title}", **facts}
    data = job_data.data_named(datasets, user=by)
    if datasets:
        facts |= {"mounts": data.mounts, "env": data.env}
    with transaction.atomic():
        job = submit_job(kind, title, by=by, team=team, argv=argv, files=files, **facts)
        job_data.note_sources(data, job)
    return job


def silent_cells(seconds: float | None) -> list[str]:
    """What `atrium.notebook` is called with, so that a cell without a sign of life for so long is ended."""
    return [] if seconds is None else ["--cell-timeout", f"{seconds:g}"]


def _notebook(text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise Invalid(
            _("This is no notebook: a JSON object with cells."), fields={"notebook": _("no notebook")}
        )
    return text
