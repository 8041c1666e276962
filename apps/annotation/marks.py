"""What annotation knows of a logged call, for the call's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.annotation.models import Merged
from apps.annotation.selectors import as_told, tasks_visible_to
from apps.datasets.selectors import datasets_visible_to
from apps.gateway.actions import Mark

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.gateway.models import Call

_MOST = 20


def tasks_of_call(user: User, call: Call) -> list[Mark]:
    """The tasks that stand for a call with what is decided of them, and the data set versions that hold the label.

    As far as this person may know: to whoever may still be asked a task looks open.
    """
    equal = Merged.objects.filter(request_id=call.request_id).values("task")
    rows = tasks_visible_to(user).filter(Q(request_id=call.request_id) | Q(pk__in=equal))
    found = rows.select_related("project__team", "dataset_version__dataset").order_by("pk")[:_MOST]
    tasks = [as_told(task) for task in found]
    marks = []
    for task in tasks:
        told = {"number": task.pk, "project": task.project.name, "state": task.get_status_display()}
        words = _("Task %(number)d of “%(project)s”: %(state)s") % told
        if task.label:
            words = f"{words}, {task.label}"
        marks.append(Mark(words, reverse("annotation:review", args=[task.pk]), "tags"))
    versions = {task.dataset_version for task in tasks if task.dataset_version is not None}
    if versions:
        readable = datasets_visible_to(user).filter(pk__in={version.dataset_id for version in versions})
        seen = set(readable.values_list("pk", flat=True))
        marks += [
            Mark(
                str(version),
                reverse("datasets:version", args=[version.dataset.slug, version.number]),
                "database",
            )
            for version in sorted(versions, key=lambda version: version.pk)
            if version.dataset_id in seen
        ]
    return marks
