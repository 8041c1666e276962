"""What webhooks are told of annotation: tasks that came, labels, decisions.

Labels are told by a look at what is new every few seconds, not by those who write them: nobody who labels waits.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.annotation.models import Annotation, Decision, Project
from apps.core import events
from apps.requests import webhooks
from apps.requests.models import Delivery, Webhook

if TYPE_CHECKING:
    from django.db.models import QuerySet

TASKS, LABEL, DECIDED = "task.added", "annotation.created", "task.decided"
_TASK = {"id": 731, "task": 52, "project": 4}
EXAMPLES: dict[str, dict[str, Any]] = {
    TASKS: {"project": 4, "name": "Digits that were not sure", "tasks": 25, "by": "uncertain"},
    LABEL: _TASK | {"label": "7", "value": "7", "skipped": False, "user": "annotator"},
    DECIDED: _TASK | {"decision": "accepted", "label": "7", "value": "7", "by": "qa"},
}
_KEPT = timedelta(days=3)
_AT_ONCE = 500
_AGAIN = 200
"""So many rows before the last one that was told are looked at again: they may have been committed later."""


def register() -> None:
    """Offer the events; called once when the app is ready."""
    webhooks.register_event(TASKS, _("New annotation tasks"), EXAMPLES[TASKS])
    webhooks.register_event(LABEL, _("Somebody labelled a task"), EXAMPLES[LABEL])
    webhooks.register_event(DECIDED, _("A reviewer decided on a task"), EXAMPLES[DECIDED])
    events.on("annotation.tasks_added", tell_of_tasks)


def tell_of_tasks(key: str, facts: dict[str, Any]) -> None:
    """Tell of the tasks that one pull or import made."""
    project = Project.objects.filter(pk=facts["project"]).first()
    if project is not None:
        data = {"project": project.pk, "name": project.name, "tasks": facts["tasks"], "by": facts["how"]}
        webhooks.emit([project.team_id], TASKS, f"{TASKS}:{key}", data)


def tell_all() -> None:
    """Tell every webhook that wants to know of the labels and decisions since the last one it was told of."""
    recent = timezone.now() - _KEPT
    for hook in Webhook.objects.filter(active=True, events__overlap=[LABEL, DECIDED]).order_by("pk")[:200]:
        since = max(hook.created_at, recent)
        if LABEL in hook.events:
            rows = Annotation.objects.filter(task__project__team=hook.team_id, at__gte=since)
            _tell(hook, LABEL, rows.select_related("task", "user"))
        if DECIDED in hook.events:
            decided = Decision.objects.filter(task__project__team=hook.team_id, at__gte=since)
            _tell(hook, DECIDED, decided.select_related("task", "by"))


def _tell(hook: Webhook, event: str, rows: QuerySet[Any]) -> None:
    told = Delivery.objects.filter(webhook=hook, event=event)
    last = told.order_by("-pk").first()
    after = int(last.payload["data"]["id"]) - _AGAIN if last else 0
    found = list(rows.filter(pk__gt=after).order_by("pk")[:_AT_ONCE])
    keys = {f"{event}:{row.pk}" for row in found}
    known = set(told.filter(key__in=keys).values_list("key", flat=True))
    for row in found:
        if f"{event}:{row.pk}" not in known:
            data = {"id": row.pk, "task": row.task_id, "project": row.task.project_id}
            webhooks.emit([hook.team_id], event, f"{event}:{row.pk}", data | _facts(row))


def _facts(row: Annotation | Decision) -> dict[str, Any]:
    if isinstance(row, Decision):
        return {"decision": row.what, "label": row.label, "value": row.value, "by": row.by.get_username()}
    return {"label": row.label, "value": row.value, "skipped": row.skipped, "user": row.user.get_username()}
