"""How an evaluation goes on: deployed → measured by a job → reported. Each step can be repeated after a kill."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson
from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation

from apps.compute.models import Job
from apps.compute.services import submit_job
from apps.core import audit, events, lineage, objects
from apps.core.errors import Conflict, IllegalMove, PortalError, StaleWrite
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.evaluation import usage
from apps.evaluation.gates import Gate, judge_all
from apps.evaluation.models import Report, Run
from apps.evaluation.selectors import cases_of, digest_of_data, fixtures_of, names_of, production_of
from apps.gateway.models import Grant
from apps.gateway.services import create_grant, revoke_grant
from apps.instances.models import Deployment
from apps.instances.services import stop_deployment
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.datasets.models import DatasetVersion
    from apps.evaluation.models import Suite

log = logging.getLogger(__name__)

_EMPTY_LIMITS: dict[str, Any] = {}
UNDER_WAY = (Run.Status.DEPLOYING, Run.Status.MEASURING)
JOB_KIND = "evaluation"
_ARGV = ["python", "-m", "atrium.evaluation"]
_TIME_LIMIT_S = 1800


def on_deployment_settled(key: str, _facts: dict[str, Any]) -> None:
    """A deployment became ready or failed: its waiting evaluations go on."""
    for run in Run.objects.filter(deployment_id=key, status=Run.Status.DEPLOYING):
        proceed(run)


def on_job_finished(key: str, _facts: dict[str, Any]) -> None:
    """A job ended: perhaps an evaluation's."""
    for run in Run.objects.filter(job_id=key, status=Run.Status.MEASURING):
        proceed(run)


def why_not_repeated(job: Job) -> str:
    """An evaluation ends with its job, and so do the job's keys: what it measured again would belong to none."""
    if job.kind != JOB_KIND:
        return ""
    return _("The evaluation of this job has ended with it. Begin a new evaluation of the version.")


def proceed_all() -> None:
    """The safety net: look at every evaluation that is under way."""
    for run in Run.objects.filter(status__in=UNDER_WAY).order_by("pk")[:200]:
        proceed(run)
    ended = Run.objects.filter(made_deployment=True, deployment__desired="running").exclude(
        status__in=UNDER_WAY
    )
    for run in ended.exclude(deployment__in=Run.objects.filter(status__in=UNDER_WAY).values("deployment"))[
        :50
    ]:
        stop_deployment(run.deployment, by=None, reason=_("The evaluation that needed it has ended."))


def proceed(run: Run) -> None:
    """Take the next step if it is due. Harmless when repeated or done at the same time by two workers."""
    try:
        with transaction.atomic():
            locked = Run.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=run.pk).first()
            if locked is not None:
                _step(locked)
    except (StaleWrite, IllegalMove):
        log.info("evaluation %s was moved by somebody else", run.pk)
    except PortalError as error:
        _fail(run, error.message)


def _step(run: Run) -> None:
    if run.status == Run.Status.DEPLOYING:
        _when_deployed(run)
    elif run.status == Run.Status.MEASURING and run.job and run.job.status in Job.ENDED:
        _when_measured(run, run.job)


def _when_deployed(run: Run) -> None:
    status = run.deployment.status
    if status == Deployment.Status.READY:
        _measure(run)
    elif status in (Deployment.Status.FAILED, Deployment.Status.STOPPED):
        reason = _("The test deployment did not start: %(why)s") % {"why": run.deployment.why or status}
        _end_failed(run, reason)


def _measure(run: Run) -> None:
    suite, version = run.suite, run.version
    data = _data_of(suite)
    sides = {"candidate": run.deployment}
    production = production_of(version.capability)  # it may be another one than when the evaluation began
    if production is not None and production.status == Deployment.Status.READY:
        sides["production"] = production
    keys, addresses = {}, {}
    for side, deployment in sides.items():
        _grant, keys[side] = create_grant(
            kind=Grant.Kind.EVALUATION,
            capability=version.capability,
            team=version.capability.team,
            user=run.started_by,
            scope=f"deployment:{deployment.pk}",
            limits=_EMPTY_LIMITS,
            label=f"evaluation {run.pk}",
            by=run.started_by,
        )
        addresses[side] = {
            "path": f"/v2/models/{version.capability.slug}/versions/{deployment.version.number}/infer",
        }
    job = submit_job(
        JOB_KIND,
        _("Evaluation of %(version)s") % {"version": version},
        by=run.started_by,
        team=version.capability.team,
        argv=_ARGV,
        inputs=_files_of(data),
        params={
            "signature": version.signature,
            "target": suite.target,
            "slices": suite.slices,
            "groups": suite.groups,
            "task": suite.task,
            "scorer": suite.scorer,
            **({"datasets": names_of(data)} if len(data) > 1 else {}),
            "cases": cases_of(version),
            "fixtures": fixtures_of(version),
            **addresses,
        },
        network="forwarder",
        env={f"ATRIUM_KEY_{side.upper()}": key for side, key in keys.items()},
        timeout_s=_TIME_LIMIT_S,
        subject=run,
        max_attempts=2,
    )
    for each in data:
        lineage.link(each, run, "evaluated on")
    lineage.link(version, run, "evaluated")
    used = usage.of(run.deployment)
    Run.lifecycle.move(
        run,
        Run.Status.MEASURING,
        by=None,
        job=job,
        production=production,
        cpu_s_before=used.cpu_s if used else None,
    )


def _data_of(suite: Suite) -> list[DatasetVersion]:
    """What the suite was made with, to be measured and to be told. Raises Conflict where it has other data now."""
    data = suite.data
    if digest_of_data(data) != (suite.data_digest or suite.dataset_version.digest):
        raise Conflict(
            _("The data of the suite “%(suite)s” is not what it was made with; make a new suite.")
            % {"suite": suite}
        )
    return data


def _files_of(data: list[DatasetVersion]) -> dict[str, str]:
    """Where the job finds the files of a suite's data: those of several in a folder each, by their place."""
    return {
        f"data/{place}/{path}" if len(data) > 1 else f"data/{path}": entry["sha256"]
        for place, version in enumerate(data)
        for path, entry in version.manifest.items()
    }


def _when_measured(run: Run, job: Job) -> None:
    for grant in Grant.objects.filter(kind=Grant.Kind.EVALUATION, label=f"evaluation {run.pk}").exclude(
        status=Grant.Status.REVOKED
    ):
        revoke_grant(grant, by=None)
    if job.status != Job.Status.SUCCEEDED:
        reason = job.reason_words or _("The job ended as %(status)s.") % {"status": job.status}
        _end_failed(run, reason)
        return
    report_on(run, job)


def report_on(run: Run, job: Job) -> Report:
    """Judge what a finished job measured, and keep it for ever."""
    measured: dict[str, Any] = job.result or {}
    data = _data_of(run.suite)
    figures, differences = measured["figures"], measured.get("differences")
    figures["package_mb"] = {"value": run.version.size / 1e6, "n": 1, "unit": "MB"}
    figures |= usage.figures(run, int(measured.get("calls", 0)))
    gates = [Gate(**item) for item in run.suite.gates]
    production = run.production.version.number if run.production else ""
    unmeasured = production if differences is None else ""
    with translation.override(
        "en"
    ):  # the bytes are the same whoever asks; pages say it in the reader's language
        verdict, results = judge_all(gates, figures, differences, unmeasured)
        judged = [result.as_dict() for result in results]
    content = {
        "format": 1,
        "version": {
            "capability": run.version.capability.slug,
            "number": run.version.number,
            "digest": run.version_digest,
        },
        "suite": {
            "number": run.suite.number,
            "name": run.suite.name,
            "target": run.suite.target,
            "groups": run.suite.groups,
            "scorer": run.suite.scorer,
            "dataset": lineage.urn(data[0]),
            "dataset_digest": data[0].digest,
            **_further(data),
            "author": run.suite.created_by.username,
        },
        "production": production if production and differences else None,
        "unmeasured": unmeasured or None,
        "verdict": str(verdict),
        "gates": judged,
        "measured": measured,
        "rows": job.outputs.get("rows.jsonl"),
        "started_by": run.started_by.username,
        "started_at": run.started_at.isoformat(),
        "measured_at": timezone.now().isoformat(),
    }
    digest, _size = objects.put([orjson.dumps(content, option=orjson.OPT_SORT_KEYS)])
    report = Report.objects.create(
        run=run, version=run.version, digest=digest, verdict=verdict, headline=_headline(measured)
    )
    lineage.link(run, report, "reported")
    Run.lifecycle.move(run, Run.Status.REPORTED, by=None, ended_at=timezone.now())
    audit.record("evaluation.report.made", report, by=None, verdict=str(verdict), digest=digest)
    events.publish("evaluation.reported", report.pk)
    return report


def _further(data: list[DatasetVersion]) -> dict[str, Any]:
    """What a report says of the data set versions of a suite that has several."""
    named = zip(names_of(data), data, strict=True)
    every = [{"name": name, "dataset": lineage.urn(each), "digest": each.digest} for name, each in named]
    return {"datasets": every} if len(every) > 1 else {}


def _headline(measured: dict[str, Any]) -> dict[str, Any]:
    """The few figures that lists show without opening the report."""
    figures, differences = measured["figures"], measured.get("differences") or {}
    main = measured.get("main", "accuracy")
    shown = ("accuracy", "f1_macro", "mae", "span_f1", "latency_p95_ms", "throughput", "memory_mb")
    headline = {name: figures[name]["value"] for name in shown if name in figures}
    headline |= {"main": main, "value": figures.get(main, {}).get("value"), "rows": measured.get("rows")}
    if main in differences:
        headline["difference"] = differences[main]
    if "accuracy" in differences:
        headline["accuracy_difference"] = differences["accuracy"]
    return headline


def _why(reason: str) -> dict[str, Any]:
    """The fields of a run that keep it."""
    words, told = kept(reason)
    return {"reason": words, "told": told}


def _end_failed(run: Run, reason: str) -> None:
    """It has failed; whoever started it hears of it. Called within the transaction that holds the run."""
    Run.lifecycle.move(run, Run.Status.FAILED, by=None, **_why(reason), ended_at=timezone.now())
    notify(
        [run.started_by],
        lambda: _("The evaluation of %(version)s failed") % {"version": run.version},
        url=reverse("evaluation:run", args=[run.pk]),
        body=lambda: run.why,
    )


def _fail(run: Run, reason: str) -> None:
    try:
        with transaction.atomic():
            _end_failed(Run.objects.select_for_update().get(pk=run.pk), reason)
    except (StaleWrite, IllegalMove):
        log.info("evaluation %s had ended already", run.pk)
