"""Writes: suites, and starting or ending an evaluation. What happens on the way stands in `runs`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from apps.catalog.models import Version
from apps.compute.services import cancel_job
from apps.core import audit, events
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.datasets.policy import may_view
from apps.evaluation import demands
from apps.evaluation.gates import TASKS, read_gates, unsatisfiable
from apps.evaluation.models import Run, Suite, SuiteData
from apps.evaluation.policy import may_cancel, may_evaluate, may_write_suite
from apps.evaluation.selectors import digest_of_data, names_of, production_of, task_of, what_it_asks
from apps.instances.models import Deployment
from apps.instances.services import deploy_version
from atrium.evaluation import DATASET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.datasets.models import DatasetVersion

MOST_DATA = 10


@transaction.atomic
def create_suite(
    capability: Capability,
    *,
    by: User,
    name: str,
    dataset_version: DatasetVersion,
    target: str,
    gates: list[dict[str, Any]],
    slices: list[str] | None = None,
    groups: list[str] | None = None,
    task: str = "",
    scorer: str = "",
    further_data: Sequence[DatasetVersion] = (),
) -> Suite:
    """Make the capability's next suite. Raises Invalid naming each gate that cannot be met and each column missing.

    The rows of `further_data` are asked beside those of `dataset_version`, with the same columns. NotAllowed too for
    a data set that its author may not read: reports show rows of it.
    """
    require(may_write_suite(by, capability))
    data = [dataset_version, *further_data]
    for each in data:
        require(may_view(by, each.dataset))
    slices, groups = slices or [], groups or []
    problems = _data_problems(data, [target, *slices, *groups])
    problems += _scorer_problems(scorer) + _task_problems(task)
    read, found = read_gates(gates, task or task_of(capability), own_scorer=bool(scorer.strip()))
    problems += found
    if not gates:
        problems.append(_("a suite without gates decides nothing; give at least one"))
    problems += _column_problems(data, [target, *slices, *groups])
    demanded = demands.demands_of(capability)
    if not problems:
        asked = what_it_asks(
            capability,
            data,
            target=target,
            slices=slices,
            groups=groups,
            classes=any(gate.metric == "roc_auc" for gate in read) or demands.name("roc_auc", demanded),
        )
        its_task, own_scorer = task or task_of(capability), bool(scorer.strip())
        problems = unsatisfiable(read, asked)
        problems += demands.problems_with(asked, demanded, task=its_task, own_scorer=own_scorer)
    if problems:
        raise Invalid("; ".join(problems), fields={"gates": "; ".join(problems)})
    type(capability).objects.select_for_update().get(pk=capability.pk)
    last = Suite.objects.filter(capability=capability).aggregate(last=Max("number"))["last"] or 0
    suite = Suite.objects.create(
        capability=capability,
        number=last + 1,
        name=name,
        dataset_version=dataset_version,
        data_digest=digest_of_data(data) if further_data else "",
        target=target,
        slices=slices,
        groups=groups,
        task=task,
        scorer=scorer,
        gates=gates,
        created_by=by,
    )
    SuiteData.objects.bulk_create(SuiteData(suite=suite, dataset_version=each) for each in further_data)
    audit.record("evaluation.suite.created", suite, by=by, number=suite.number)
    return suite


def _data_problems(data: Sequence[DatasetVersion], columns: Sequence[str]) -> list[str]:
    """What keeps the rows of several data sets from being told apart."""
    problems: list[str] = []
    if len(data) > MOST_DATA:
        told = {"n": len(data), "most": MOST_DATA}
        problems.append(_("%(n)d data set versions are too many; a suite has %(most)d at most") % told)
    if len({each.pk for each in data}) < len(data):
        problems.append(_("a data set version stands in a suite once"))
    if len(data) > 1 and DATASET in columns:
        problems.append(
            _(
                "“%(column)s” tells the rows of several data sets apart, so a column of that name cannot be used"
            )
            % {"column": DATASET}
        )
    return problems


def _column_problems(data: Sequence[DatasetVersion], wanted: Sequence[str]) -> list[str]:
    """Columns that are asked for and that a data set does not have."""
    problems: list[str] = []
    for name, each in zip(names_of(data), data, strict=True):
        columns = {column["name"] for column in each.schema.get("columns", [])}
        words = _("the data set has no column “%(column)s”")
        if len(data) > 1:
            words = _("the data set %(data)s has no column “%(column)s”")
        problems += [words % {"data": name, "column": column} for column in wanted if column not in columns]
    return problems


def _task_problems(task: str) -> list[str]:
    if task and task not in TASKS:
        return [
            _("there is no task “%(task)s”; choose one of %(tasks)s")
            % {"task": task, "tasks": ", ".join(TASKS)}
        ]
    return []


def _scorer_problems(scorer: str) -> list[str]:
    """What can be said of a scorer without running it; it runs in the sandbox alone."""
    if not scorer.strip():
        return []
    try:
        tree = ast.parse(scorer)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [_("the scorer is no Python: %(why)s") % {"why": error}]
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "score"]
    if not defined or len(defined[0].args.args) != 3:
        return [_("the scorer must define score(truth, answer, inputs) and return a dict of numbers")]
    return []


@transaction.atomic
def start_evaluation(version: Version, suite: Suite, *, by: User) -> Run:
    """Evaluate a packaged version: deploy it for test unless it is, call it, report. Returns at once.

    Raises NotAllowed, Invalid for a suite of another capability, Conflict when one is under way already.
    """
    require(may_evaluate(by, version))
    if suite.capability_id != version.capability_id:
        raise Invalid(_("The suite “%(suite)s” belongs to another capability.") % {"suite": suite})
    running = _test_deployment(version)
    try:
        with transaction.atomic():
            run = Run.objects.create(
                suite=suite,
                version=version,
                version_digest=version.digest,
                deployment=running or deploy_version(version, kind=Deployment.Kind.TEST, by=by),
                made_deployment=running is None,
                production=production_of(version.capability),
                started_by=by,
            )
    except IntegrityError as error:
        raise Conflict(_("An evaluation of this version by this suite is under way already.")) from error
    audit.record("evaluation.run.started", run, by=by, version=version.number, suite=suite.number)
    events.publish("evaluation.run_started", run.pk)
    return run


def _test_deployment(version: Version) -> Deployment | None:
    """A test deployment that is there already; it stays after the evaluation."""
    running = Deployment.objects.filter(version=version, kind=Deployment.Kind.TEST, desired="running")
    return running.exclude(status=Deployment.Status.FAILED).order_by("pk").first()


@transaction.atomic
def cancel_evaluation(run: Run, *, by: User) -> None:
    """End an evaluation that is under way; its job is cancelled with it."""
    require(may_cancel(by, run))
    words, told = kept(_("Cancelled."))
    Run.lifecycle.move(run, Run.Status.CANCELLED, by=by, ended_at=timezone.now(), reason=words, told=told)
    if run.job is not None:
        cancel_job(run.job, by=by)
