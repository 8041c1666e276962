"""Sweeps: one job's code with many sets of parameters, so many at once, compared, the best one first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from apps.compute import job_data
from apps.compute.models import Job
from apps.compute.policy import may_submit_job
from apps.compute.services import cancel_job, end_job, submit_job
from apps.compute.services.told import as_number
from apps.core import audit, background, objects
from apps.core.errors import Conflict, Invalid, NotAllowed, PortalError
from apps.core.policy import require
from apps.core.telling import say as _
from apps.datasets.policy import may_view
from apps.workbench import halving, mounted
from apps.workbench.blueprints import Blueprint
from apps.workbench.models import Sweep, Trial
from apps.workbench.spaces import points_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apps.accounts.models import Team, User
    from apps.datasets.models import DatasetVersion

ADVANCE = "workbench.advance_sweep"
JOB_KIND = "trial"
MOST_AT_ONCE = 50
MOST_CURVES = 40


def of_code(
    script: str | None = None,
    notebook: str | None = None,
    environment: str = "base",
    resources: Mapping[str, Any] | None = None,
    timeout_s: float = 3600,
) -> Blueprint:
    """What trials of a script, or of a notebook, run. Raises Invalid."""
    if bool(script) == bool(notebook):
        raise Invalid(_("Name a job whose code is tried, or send a script or a notebook."))
    name, argv = "main.py", ["python", "main.py"]
    if notebook:
        name, argv = "notebook.ipynb", ["python", "-m", "atrium.notebook", "/work/notebook.ipynb"]
    digest = objects.put([(script or notebook or "").encode()])[0]
    kind = "notebook" if notebook else "script"
    return Blueprint(
        kind, argv, environment, files={name: digest}, resources=dict(resources or {}), timeout_s=timeout_s
    )


@transaction.atomic
def create_sweep(
    title: str,
    blueprint: Blueprint,
    *,
    team: Team,
    by: User,
    space: Any,
    method: str = Sweep.Method.GRID,
    count: int = 0,
    seed: int = 0,
    fixed: Mapping[str, Any] | None = None,
    metric: str = "",
    goal: str = Sweep.Goal.MAXIMISE,
    at_once: int = 2,
    early_stop: str = "",
    first_step: int = 1,
    factor: int = 3,
    labels: Sequence[str] | None = None,
    datasets: Sequence[DatasetVersion] | None = None,
) -> Sweep:
    """Ask for a sweep; its first trials start at once. Raises NotAllowed, Invalid.

    Its trials read the blueprint's data sets, or those of `datasets`.
    With `early_stop="halving"` trials that fall behind in what they report with `atrium.report` are ended at the steps
    first_step, first_step x factor, and so on. Trials go where the blueprint's labels lead, unless others are given.
    """
    require(may_submit_job(by, team))
    if not 1 <= at_once <= MOST_AT_ONCE:
        message = _("%(n)d trials at once are not possible; say 1 to %(most)d.")
        raise Invalid(message % {"n": at_once, "most": MOST_AT_ONCE}, fields={"at_once": _("out of range")})
    _check_halving(early_stop, first_step, factor, metric)
    if datasets is not None:
        for version in datasets:
            require(may_view(by, version.dataset))
        blueprint = replace(blueprint, datasets=[mounted.name_of(version) for version in datasets])
    made = Sweep.objects.create(
        title=title.strip()[:200] or _("Sweep"),
        team=team,
        blueprint=blueprint.placed(labels).to_json(),
        fixed=dict(fixed or {}),
        method=method,
        space=space,
        points=points_of(space, method, count=count, seed=seed),
        metric=metric.strip(),
        goal=goal,
        at_once=at_once,
        early_stop=early_stop,
        first_step=first_step,
        factor=factor,
        created_by=by,
    )
    audit.record("workbench.sweep.created", made, by=by, trials=len(made.points))
    transaction.on_commit(lambda: background.enqueue(ADVANCE, made.pk))
    return made


def _check_halving(early_stop: str, first_step: int, factor: int, metric: str) -> None:
    wrong = {}
    if early_stop not in ("", *Sweep.EarlyStop.values):
        wrong["early_stop"] = _("must be “halving”, or left out")
    elif early_stop and not metric.strip():
        wrong["metric"] = _("is needed to tell which trials fall behind")
    if not 1 <= first_step <= 1_000_000:
        wrong["first_step"] = _("must be 1 or more")
    if not 2 <= factor <= 10:
        wrong["factor"] = _("must be 2 to 10")
    if wrong:
        text = "; ".join(f"{name}: {why}" for name, why in wrong.items())
        raise Invalid(_("Trials cannot be ended early so: %(why)s.") % {"why": text}, fields=wrong)


def cancel_sweep(sweep: Sweep, *, by: User) -> Sweep:
    """Start no more trials and end those that run. Raises NotAllowed, Conflict."""
    require(may_submit_job(by, sweep.team))
    with transaction.atomic():
        changed = Sweep.objects.filter(pk=sweep.pk, cancelled_at=None).update(cancelled_at=timezone.now())
        if not changed:
            raise Conflict(_("The sweep is cancelled already."))
        audit.record("workbench.sweep.cancelled", sweep, by=by)
    for trial in (
        Trial.objects.filter(sweep=sweep).exclude(job__status__in=Job.ENDED).select_related("job__team")
    ):
        try:
            cancel_job(trial.job, by=by)
        except (NotAllowed, Conflict):
            continue  # it has ended meanwhile
    sweep.refresh_from_db()
    return sweep


def advance_sweep(pk: int) -> int:
    """Start trials as far as the sweep allows them at once; returns how many. Any number of callers may call it."""
    begun = 0
    while _start_one(pk):
        begun += 1
    return begun


@transaction.atomic
def _start_one(pk: int) -> bool:
    rows = Sweep.objects.select_for_update(of=("self",)).select_related("team", "created_by")
    sweep = rows.filter(pk=pk, cancelled_at=None).first()
    if sweep is None or sweep.started >= len(sweep.points):
        return False
    busy = Trial.objects.filter(sweep=sweep).exclude(job__status__in=Job.ENDED).count()
    if busy >= sweep.at_once:
        return False
    plan, number = Blueprint.from_json(sweep.blueprint), sweep.started + 1
    try:
        versions = mounted.versions_named(plan.datasets, user=sweep.created_by)
        data = mounted.data_of(versions, user=sweep.created_by)
        job = submit_job(
            JOB_KIND,
            f"{sweep.title} {number}",
            by=sweep.created_by,
            team=sweep.team,
            argv=plan.argv,
            environment=plan.environment,
            inputs=plan.inputs,
            stored=plan.files,
            params={**sweep.fixed, **sweep.points[sweep.started]},
            resources=plan.resources,
            timeout_s=plan.timeout_s,
            max_attempts=plan.max_attempts,
            labels=plan.labels,
            subject=sweep,
            needs_key=f"sweep:{sweep.pk}",
            network="forwarder",
            mounts=data.mounts,
            env=data.env,
        )
    except PortalError as error:  # it can never run: said once instead of with every round
        Sweep.objects.filter(pk=pk).update(cancelled_at=timezone.now())
        audit.record("workbench.sweep.stopped", sweep, by=None, reason=error.message)
        return False
    job_data.note_sources(data, job)
    Trial.objects.create(sweep=sweep, number=number, job=job)
    Sweep.objects.filter(pk=pk).update(started=number)
    return True


def when_finished(key: str, facts: Mapping[str, Any]) -> None:
    """A trial has ended: the next one may start."""
    if facts.get("kind") == JOB_KIND:
        for pk in Trial.objects.filter(job_id=int(key)).values_list("sweep_id", flat=True):
            advance_sweep(pk)


def advance_sweeps() -> None:
    """The safety net under `when_finished`."""
    for pk in Sweep.objects.filter(cancelled_at=None).order_by("-pk").values_list("pk", flat=True)[:200]:
        advance_sweep(pk)


# -- ended early -------------------------------------------------------------------------------------


def judge_sweeps() -> None:
    """End the trials that fall behind, in all sweeps that ask for it."""
    running = Trial.objects.filter(sweep__early_stop=Sweep.EarlyStop.HALVING, job__status=Job.Status.RUNNING)
    for pk in running.order_by().values_list("sweep_id", flat=True).distinct()[:200]:
        _judge(pk)


@transaction.atomic
def _judge(pk: int) -> None:
    """Every trial that reported, in the order of their numbers, so that one round has one outcome."""
    sweep = Sweep.objects.select_for_update().get(pk=pk)
    rule = halving.Halving(
        sweep.first_step, sweep.factor, sweep.goal == Sweep.Goal.MAXIMISE, dict(sweep.rungs)
    )
    rows = Trial.objects.filter(sweep=sweep, stopped_at=None).select_related("job__team").order_by("number")
    for trial in rows:
        step = rule.stops(trial.number, halving.reports_of(trial.job.reports, sweep.metric))
        if step is None or trial.job.status != Job.Status.RUNNING:
            continue
        reason = _("ended early: at step %(step)d it was not among the best of every %(factor)d trials")
        end_job(trial.job, reason=reason % {"step": step, "factor": sweep.factor})
        Trial.objects.filter(pk=trial.pk).update(stopped_at=step)
    Sweep.objects.filter(pk=pk).update(rungs=rule.seen)


# -- compared ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """A trial as it is compared: its parameters, and the sweep's metric once it has one.

    One that was ended early has the last value that it reported. `steps` is how far it came, where it reported.
    """

    trial: Trial
    params: dict[str, Any]
    value: float | None
    steps: int | None = None


def compared(sweep: Sweep) -> list[Compared]:
    """The trials, best first; those without a value last, by number."""
    rows = sweep.trials.select_related("job").order_by("number")
    found = [_compared(sweep, row) for row in rows]
    sign = -1 if sweep.goal == Sweep.Goal.MAXIMISE else 1
    return sorted(found, key=lambda one: math.inf if one.value is None else sign * one.value)


def _compared(sweep: Sweep, trial: Trial) -> Compared:
    reports = halving.reports_of(trial.job.reports, sweep.metric)
    value = _value(trial.job.result, sweep.metric)
    if value is None and trial.stopped_at is not None and reports:
        value = reports[-1][1]
    steps = reports[-1][0] if reports else None
    return Compared(trial, sweep.points[trial.number - 1], value, steps)


def curves_of(sweep: Sweep, rows: Sequence[Compared]) -> dict[str, Any] | None:
    """The metric of each trial step by step, those ended early dotted; None where nothing was reported."""
    traces = []
    for row in sorted(rows, key=lambda one: one.trial.number)[:MOST_CURVES]:
        points = halving.reports_of(row.trial.job.reports, sweep.metric)
        if points:
            early = row.trial.stopped_at is not None
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(points) < 40 else "lines",
                    "name": str(row.trial.number),
                    "x": [step for step, _value in points],
                    "y": [value for _step, value in points],
                    "line": {"dash": "dot" if early else "solid", "width": 1 if early else 2},
                }
            )
    axes = {"xaxis": {"title": {"text": str(_("step"))}}, "yaxis": {"title": {"text": sweep.metric}}}
    return {"data": traces, "layout": axes} if traces else None


def _value(result: Any, metric: str) -> float | None:
    return as_number(result.get(metric)) if isinstance(result, dict) else None


def figure_of(sweep: Sweep, rows: Sequence[Compared]) -> dict[str, Any] | None:
    """Parallel coordinates over the trials that have a value: one axis for each parameter, the metric last.

    Where trials may be ended early, how many steps each took stands beside the metric.
    """
    ended = [row for row in rows if row.value is not None]
    if len(ended) < 2:
        return None
    axes = [_axis(name, [row.params[name] for row in ended], sweep.space[name]) for name in sweep.space]
    values = [row.value for row in ended]
    if sweep.early_stop and all(row.steps is not None for row in ended):
        axes.append({"label": str(_("steps")), "values": [row.steps for row in ended]})
    axes.append({"label": sweep.metric, "values": values})
    line = {"color": values, "colorscale": "Viridis", "showscale": True}
    trace = {"type": "parcoords", "line": line, "dimensions": axes}
    return {"data": [trace], "layout": {"margin": {"l": 64, "r": 64, "t": 48, "b": 24}}}


def _axis(name: str, values: list[Any], asked: Any) -> dict[str, Any]:
    """Numbers as they are, or by their logarithm where they were drawn so; words by their place in the list."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if isinstance(asked, dict) and asked.get("scale") == "log":
            return {"label": f"log10 {name}", "values": [math.log10(value) for value in values]}
        return {"label": name, "values": values}
    known = list(dict.fromkeys(map(str, values)))
    places = [known.index(str(value)) for value in values]
    return {"label": name, "values": places, "tickvals": list(range(len(known))), "ticktext": known}
