"""From logged calls to tasks, by the rules of a project and the parsing rules of the capability's version.

Which calls are taken is a matter of their request id alone (a hash of rule and id against the share), so that a
pull that is repeated after a kill takes the same ones, and each task knows the probability it was taken with.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.annotation.models import Merged, Project, PullRule, Slot, Task
from apps.annotation.queue import put_in_order
from apps.annotation.reading import Unreadable, out_of_range, read_call
from apps.gateway.models import Call, Outcome
from apps.gateway.selectors import calls, outcomes_of
from apps.requests.services import notify

log = logging.getLogger(__name__)
MOST_PER_PULL = 500
_OVERLAPPING = timedelta(minutes=2)
_NEAR = timedelta(minutes=1)
_SCANNED = MOST_PER_PULL * 4
_PRIORITY = {
    PullRule.Kind.CONFIDENT: 25,
    PullRule.Kind.COMPLAINED: 20,
    PullRule.Kind.DISAGREEING: 15,
    PullRule.Kind.OUTSIDE: 10,
    PullRule.Kind.UNCERTAIN: 10,
    PullRule.Kind.RANDOM: 0,
}
_OF_COMPLAINTS = (PullRule.Kind.COMPLAINED, PullRule.Kind.CONFIDENT)
SHOWN = 10


@dataclass(frozen=True)
class Pulled:
    """What one pull did: new tasks, calls that equal a task already there, and calls that could not be read."""

    tasks: int
    merged: int
    unread: int


def pull_due() -> None:
    """Pull for every active rule whose time has come."""
    now = timezone.now()
    rules = PullRule.objects.filter(active=True, project__status=Project.Status.OPEN).select_related(
        "project__capability"
    )
    for rule in rules.order_by("pk")[:200]:
        if rule.pulled_at is None or now - rule.pulled_at >= timedelta(seconds=rule.every_s):
            pull(rule)


def pull(rule: PullRule) -> Pulled:
    """Turn the calls since the last pull that match the rule into tasks. Repeating it makes nothing twice."""
    started = timezone.now()
    made = merged = 0
    failures: list[str] = []
    scanned = _scanned(rule)
    for call in _chosen_of(rule, scanned):
        try:
            if not _fits(rule, call):
                continue
            new = _take(rule, call, _complaint(call))
        except Unreadable as error:
            failures.append(_("call %(id)s: %(why)s") % {"id": call.request_id, "why": error})
            continue
        made, merged = made + new, merged + (not new)
    # What lies beyond a full scan is the next pull's: complaints come in the order of their calls, so those wait.
    if len(scanned) == _SCANNED:
        full = rule.kind in _OF_COMPLAINTS
        started = (rule.pulled_at if full else scanned[-1].at) or started
    _conclude(rule, started, failures)
    return Pulled(made, merged, len(failures))


@dataclass(frozen=True)
class Preview:
    """What a rule would take now: how many of how many calls that were looked at, some of them, and why."""

    looked_at: int
    taken: int
    some: list[tuple[Call, str]]
    unread: list[str]


def preview(project: Project, *, kind: str, share: float, below: float | None = None) -> Preview:
    """Try a rule on the calls of the last week without keeping anything."""
    rule = PullRule(project=project, kind=kind, share=share, below=below)
    scanned, fitting, unread = _scanned(rule), [], []
    for call in scanned:
        try:
            if _fits(rule, call):
                read_call(call, project)
                fitting.append(call)
        except Unreadable as error:
            unread.append(_("call %(id)s: %(why)s") % {"id": call.request_id, "why": error})
    some = [(call, _reason(rule, call)) for call in fitting[:SHOWN]]
    return Preview(len(scanned), round(len(fitting) * share), some, unread[:SHOWN])


def _scanned(rule: PullRule) -> list[Call]:
    """The calls of a rule's kind since the last pull that are no task yet, at most `_SCANNED`, oldest first."""
    first = timezone.now() if rule.project.pk is None else rule.project.created_at
    since = rule.pulled_at - _OVERLAPPING if rule.pulled_at else first - timedelta(days=7)
    known = Task.objects.filter(project=rule.project).values("request_id")
    counted = Merged.objects.filter(project=rule.project).values("request_id")
    capability = rule.project.capability
    if rule.kind in _OF_COMPLAINTS:
        # A complaint may come days after its call: what counts is when it came.
        wrong = Outcome.objects.filter(kind=Outcome.Kind.FEEDBACK, correct=False, at__gte=since)
        rows = calls(capability=capability, failed=False).filter(request_id__in=wrong.values("request_id"))
    else:
        rows = calls(capability=capability, failed=False, since=since).filter(digested=True)
    limit = rule.below if rule.below is not None else 0.6
    if rule.kind == PullRule.Kind.UNCERTAIN:
        rows = rows.filter(score__lt=limit)
    elif rule.kind == PullRule.Kind.CONFIDENT:
        rows = rows.filter(score__gte=limit)
    rows = rows.exclude(request_id__in=known).exclude(request_id__in=counted)
    return list(rows.defer(None).order_by("at")[:_SCANNED])


def _chosen_of(rule: PullRule, scanned: list[Call]) -> list[Call]:
    return [call for call in scanned if _chosen(rule, call)]


def _fits(rule: PullRule, call: Call) -> bool:
    """What the database cannot tell of a call. Raises Unreadable."""
    if rule.kind == PullRule.Kind.OUTSIDE:
        return bool(out_of_range(read_call(call, rule.project)))
    if rule.kind == PullRule.Kind.DISAGREEING:
        # A shadow's call has an id of its own; it is the one of the same bytes at the same time.
        near = (call.at - _NEAR, call.at + _NEAR)
        same = calls(capability=rule.project.capability, failed=False, shadow=True).filter(at__range=near)
        shadow = same.defer(None).filter(request=call.request).first()
        if shadow is None:
            return False
        answers = [read_call(each, rule.project).predicted for each in (call, shadow)]
        return answers[0] != answers[1]
    return True


def _chosen(rule: PullRule, call: Call) -> bool:
    digest = hashlib.sha256(f"{rule.pk}:{call.request_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < rule.share


def _complaint(call: Call) -> Outcome | None:
    known = outcomes_of([call.request_id]).get(call.request_id, [])
    wrong = [
        outcome for outcome in known if outcome.kind == Outcome.Kind.FEEDBACK and outcome.correct is False
    ]
    return wrong[-1] if wrong else None


def _reason(rule: PullRule, call: Call) -> str:
    if rule.kind == PullRule.Kind.COMPLAINED:
        return _("A caller said that the answer was wrong.")
    if rule.kind == PullRule.Kind.CONFIDENT:
        return _("A caller said that the answer was wrong, of which the model was %(score).0f %% sure.") % {
            "score": 100 * (call.score or 0)
        }
    if rule.kind == PullRule.Kind.DISAGREEING:
        return _("The shadow version answered otherwise.")
    if rule.kind == PullRule.Kind.OUTSIDE:
        names = ", ".join(out_of_range(read_call(call, rule.project))[:5])
        return (_("Outside the range that the version names: %(names)s.") % {"names": names})[:200]
    if rule.kind == PullRule.Kind.UNCERTAIN:
        return _("The model was only %(score).0f %% sure.") % {"score": 100 * (call.score or 0)}
    return _("Drawn at random, as a control.")


@transaction.atomic
def _take(rule: PullRule, call: Call, outcome: Outcome | None) -> bool:
    """Make the task of a call; an input that is there already counts for that one. True when it is new."""
    project = rule.project
    read = read_call(call, project)
    fingerprint = hashlib.sha256(orjson.dumps(read.inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()
    task, new = Task.objects.get_or_create(
        project=project,
        fingerprint=fingerprint,
        defaults={
            "request_id": call.request_id,
            "called_at": call.at,
            "version": call.version,
            "inputs": read.inputs,
            "answer": read.answer,
            "predicted": read.predicted,
            "confidence": read.confidence,
            "suggested": _suggested(outcome, project),
            "reason": _reason(rule, call),
            "rule_kind": rule.kind,
            "probability": rule.share,
            "priority": _PRIORITY[PullRule.Kind(rule.kind)],
        },
    )
    if not new:
        if task.request_id != call.request_id:
            _row, first = Merged.objects.get_or_create(
                project=project, request_id=call.request_id, defaults={"task": task}
            )
            Task.objects.filter(pk=task.pk).update(weight=F("weight") + int(first))
        return False
    Slot.objects.bulk_create(
        Slot(task=task, project=project, number=number, priority=task.priority)
        for number in range(project.overlap)
    )
    if project.order != Project.Order.PRIORITY:
        put_in_order(project, [task.pk])
    return True


def _suggested(outcome: Outcome | None, project: Project) -> str:
    expected: Any = outcome.expected if outcome else None
    if isinstance(expected, dict):
        expected = expected.get("class", expected.get("label"))
    known = {str(label["value"]) for label in project.labels}
    return str(expected) if str(expected) in known else ""


def _conclude(rule: PullRule, started: Any, failures: list[str]) -> None:
    error = "\n".join(failures[:20])
    if error and error != rule.error:
        notify(
            [rule.created_by],
            _("A pull rule of “%(project)s” could not read some calls") % {"project": rule.project.name},
            url=f"/annotation/{rule.project_id}/",
            body=failures[0],
        )
    PullRule.objects.filter(pk=rule.pk).update(pulled_at=started, error=error)
    rule.pulled_at, rule.error = started, error
