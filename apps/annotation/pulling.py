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

from apps.annotation.models import Project, PullRule, Slot, Task
from apps.annotation.queue import put_in_order
from apps.annotation.reading import Unreadable, read_call
from apps.gateway.models import Call, Outcome
from apps.gateway.selectors import calls, outcomes_of
from apps.requests.services import notify

log = logging.getLogger(__name__)
MOST_PER_PULL = 500
_OVERLAPPING = timedelta(minutes=2)
_PRIORITY = {PullRule.Kind.COMPLAINED: 20, PullRule.Kind.UNCERTAIN: 10, PullRule.Kind.RANDOM: 0}


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
    for call in _matching(rule):
        outcome = _complaint(call)
        try:
            new = _take(rule, call, outcome)
        except Unreadable as error:
            failures.append(_("call %(id)s: %(why)s") % {"id": call.request_id, "why": error})
            continue
        made, merged = made + new, merged + (not new)
    _conclude(rule, started, failures)
    return Pulled(made, merged, len(failures))


def _matching(rule: PullRule) -> list[Call]:
    since = rule.pulled_at - _OVERLAPPING if rule.pulled_at else rule.project.created_at - timedelta(days=7)
    known = Task.objects.filter(project=rule.project).values("request_id")
    capability = rule.project.capability
    if rule.kind == PullRule.Kind.COMPLAINED:
        # A complaint may come days after its call: what counts is when it came.
        wrong = Outcome.objects.filter(kind=Outcome.Kind.FEEDBACK, correct=False, at__gte=since)
        rows = calls(capability=capability, failed=False).filter(request_id__in=wrong.values("request_id"))
    else:
        rows = calls(capability=capability, failed=False, since=since).filter(digested=True)
    if rule.kind == PullRule.Kind.UNCERTAIN:
        rows = rows.filter(score__lt=rule.below if rule.below is not None else 0.6)
    found = rows.exclude(request_id__in=known).defer(None).order_by("at")[: MOST_PER_PULL * 4]
    return [call for call in found if _chosen(rule, call)][:MOST_PER_PULL]


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
            Task.objects.filter(pk=task.pk).update(weight=F("weight") + 1)
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
