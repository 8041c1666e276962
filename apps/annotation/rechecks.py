"""Is it right now? The input of a call that was called wrong, asked again of the version in production.

A person asks with a button, and the portal by itself when a version goes to production. Each input is asked of a
version once: it answers the same the next time. What waits is worked on by one worker at a time, under a lock that
ends with its holder. Whose turn was longest ago comes first, so that an input on which a version hangs, or a version
that does not run, holds up no other.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.annotation.label_types import type_named
from apps.annotation.label_types.base import short
from apps.annotation.models import Merged, Recheck, Task
from apps.annotation.reading import answer_said, class_said
from apps.annotation.selectors import setting_of
from apps.catalog.models import Version
from apps.core import audit, turns
from apps.core.errors import Conflict, Unavailable
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.evaluation.selectors import production_of
from apps.gateway.models import Call, Outcome
from apps.gateway.selectors import moment_of
from apps.instances.models import Deployment
from apps.releases.again import NotAskable, ask_again, line_to
from apps.releases.models import Release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from apps.accounts.models import User
    from atrium.http import Http

MOST_BY_ITSELF = 500
KINDS = ("single", "spans", "rows")
"""The label types whose values a model can answer; whether other answers are right, people say."""
_AT_ONCE = 50
_PATIENCE = timedelta(hours=1)
_AROUND = timedelta(minutes=5)
_LONGEST_ANSWER = 200
_SILENCES = 2
"""So many inputs in a row without an answer, and the rest waits for the next round: the gateway may be away."""


@transaction.atomic
def ask(task: Task, request_id: UUID, *, by: User) -> Recheck:
    """Ask the version in production the same again, unless it has been. Whoever calls may see the call.

    Raises Conflict where there is nothing to hold the answer against, or nobody to ask.
    """
    task = Task.objects.select_for_update(of=("self",)).select_related("project__capability").get(pk=task.pk)
    if task.status != Task.Status.ACCEPTED or task.project.kind not in KINDS:
        raise Conflict(_("No label has been accepted for this call that an answer could be held against."))
    deployment = production_of(task.project.capability)
    if deployment is None:
        raise Conflict(_("No version of “%(name)s” is in production.") % {"name": task.project.capability})
    found, made = Recheck.objects.get_or_create(
        task=task,
        request_id=request_id,
        version=deployment.version,
        defaults=_expected(task) | {"asked_by": by, "asked_at": timezone.now()},
    )
    if made:
        audit.record("annotation.recheck.waiting", found, by=by, call=str(request_id))
    elif found.status == Recheck.Status.FAILED or (found.status != Recheck.Status.WAITING and found.outdated):
        facts = _expected(task) | {"asked_by": by, "asked_at": timezone.now(), "tried_at": None}
        Recheck.lifecycle.move(found, Recheck.Status.WAITING, by=by, answer="", reason="", told={}, **facts)
    return found


def _expected(task: Task) -> dict[str, Any]:
    return {"expected": task.label, "expected_value": task.value}


def on_released(key: str, _facts: Mapping[str, Any]) -> None:
    """A version goes to production: what callers called wrong before is asked of it."""
    release = Release.objects.select_related("version__capability").filter(pk=key).first()
    if release is not None:
        ask_all(release.version)


def ask_all(version: Version) -> None:
    """Ask a version the newest inputs that were called wrong and whose labels are in a data set."""
    wrong = Outcome.objects.filter(kind=Outcome.Kind.FEEDBACK, correct=False).values("request_id")
    tasks = Task.objects.filter(
        project__capability=version.capability_id,
        project__kind__in=KINDS,
        status=Task.Status.ACCEPTED,
        dataset_version__isnull=False,
    )
    own = tasks.filter(request_id__in=wrong).order_by("-pk").values_list("pk", "request_id", "label", "value")
    merged = Merged.objects.filter(task__in=tasks, request_id__in=wrong).order_by("-pk")
    others = merged.values_list("task_id", "request_id", "task__label", "task__value")
    found = [*own[:MOST_BY_ITSELF], *others[:MOST_BY_ITSELF]][:MOST_BY_ITSELF]
    now = timezone.now()
    Recheck.objects.bulk_create(
        [
            Recheck(
                task_id=task,
                request_id=call,
                version=version,
                expected=label,
                expected_value=value,
                asked_at=now,
            )
            for task, call, label, value in found
        ],
        ignore_conflicts=True,
    )


def proceed_all() -> None:
    """Ask whatever waits; harmless when repeated. Call it outside a transaction."""
    if not Recheck.objects.filter(status=Recheck.Status.WAITING).exists():
        return
    with turns.only_one(turns.RECHECKS, 0) as mine:
        if mine:
            waiting = Recheck.objects.filter(status=Recheck.Status.WAITING)
            waiting = waiting.order_by(F("tried_at").asc(nulls_first=True), "pk")
            rows = list(waiting.select_related("version__capability__team", "task__project")[:_AT_ONCE])
            rows.sort(key=lambda row: row.version_id)
            for _version, some in groupby(rows, key=lambda row: row.version_id):
                _ask_version(list(some))


def _ask_version(rows: list[Recheck]) -> None:
    version = rows[0].version
    running = Deployment.objects.filter(
        version=version, desired=Deployment.Desired.RUNNING, status=Deployment.Status.READY
    ).select_related("capability__team")
    deployment = running.order_by("-pk").first()
    if deployment is None:
        for row in rows:
            _silent(row, _("The version does not run any more."))
        return
    silences = 0
    with line_to(deployment, for_="inputs asked again", by=None) as http:
        for row in rows:
            try:
                _ask(http, row)
                silences = 0
            except Unavailable as why:
                _silent(row, why.message)
                silences += 1
            if silences == _SILENCES:
                return


def _silent(row: Recheck, why: str) -> None:
    """Nobody answered: its turn comes again after all others, unless that was so before and an hour has passed."""
    before, now = row.tried_at, timezone.now()
    if before is not None and row.asked_at < now - _PATIENCE:
        _end(row, Recheck.Status.FAILED, why=why)
    else:
        Recheck.objects.filter(pk=row.pk).update(tried_at=now)


def _ask(http: Http, row: Recheck) -> None:
    call = call_of(row.request_id)
    if call is None:
        _end(row, Recheck.Status.FAILED, why=_("The log does not keep this call any more."))
        return
    answered_by = Version.objects.filter(capability=row.version.capability, number=call.version).first()
    try:
        said = ask_again(http, call, row.version, answered_by)
    except NotAskable as why:
        _end(row, Recheck.Status.FAILED, why=why.args[0])
        return
    row.answer_id = said.answer_id
    found = None if said.failure else _held(said.outputs, row)
    if found is None:
        _end(row, Recheck.Status.FAILED, why=said.failure or _none(row))
    else:
        row.answer, right = found
        _end(row, Recheck.Status.RIGHT if right else Recheck.Status.WRONG)


def _held(outputs: Sequence[dict[str, Any]], row: Recheck) -> tuple[str, bool] | None:
    """The answer in words and whether it means what the label means; None where it is no value of the label type."""
    project = row.task.project
    kind = type_named(project.kind)
    if kind.slug == "single":
        said = class_said(outputs, row.version)[:_LONGEST_ANSWER]
        return (said, said == row.expected) if said else None
    answer, specs = answer_said(outputs, row.version), row.version.signature.get("outputs", [])
    value = kind.proposed(answer, specs, setting_of(project, row.task.inputs))
    if value is None:
        return None
    return short(kind.text(value)), kind.likeness(value, row.expected_value) >= kind.agree_at


def _none(row: Recheck) -> str:
    if row.task.project.kind == "single":
        return _("Its answer names no class.")
    return _("Its answer is none that could be held against the label.")


def call_of(request_id: UUID) -> Call | None:
    """A call that was answered, with its bodies, if the log still has it."""
    around = moment_of(request_id)
    rows = Call.objects.filter(request_id=request_id, shadow=False)
    near: Call | None = rows.filter(at__range=(around - _AROUND, around + _AROUND)).first()
    return near or rows.first()


def _end(row: Recheck, status: str, why: str = "") -> None:
    words, told = kept(why, most=500)
    Recheck.lifecycle.move(
        row,
        status,
        by=None,
        answer=row.answer,
        answer_id=row.answer_id,
        reason=words,
        told=told,
        ended_at=timezone.now(),
    )
