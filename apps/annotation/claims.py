"""Who labels what next: one statement takes a free place, and a token fences off whoever came too late."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.annotation.models import Project, Slot

if TYPE_CHECKING:
    from apps.accounts.models import User

LEASE = timedelta(minutes=5)

_CLAIM = """
UPDATE annotation_slot SET status = 'leased', user_id = %(user)s,
       leased_until = now() + make_interval(secs => %(lease)s),
       token = token + 1
WHERE id = (
    SELECT s.id FROM annotation_slot s
    WHERE s.project_id = %(project)s AND s.status <> 'done'
      AND (s.status = 'open' OR s.leased_until < now())
      AND NOT EXISTS (SELECT 1 FROM annotation_slot o
                      WHERE o.task_id = s.task_id AND o.user_id = %(user)s AND o.id <> s.id)
      AND NOT EXISTS (SELECT 1 FROM annotation_annotation a
                      WHERE a.task_id = s.task_id AND a.user_id = %(user)s)
    ORDER BY s.priority DESC, s.id
    FOR UPDATE OF s SKIP LOCKED LIMIT 1
)
RETURNING id
"""


def claim_next(project: Project, *, by: User) -> Slot | None:
    """The place this person holds already, else the next free one of a task they have not seen; None when none is.

    A place whose lease has run out is free again; its former holder's token does not fit any more.
    """
    held = Slot.objects.filter(project=project, user=by, status="leased", leased_until__gt=timezone.now())
    mine = held.select_related("task").order_by("-leased_until").first()
    if mine is not None:
        return mine
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"user": by.pk, "project": project.pk, "lease": LEASE.total_seconds()})
        row = cursor.fetchone()
    return Slot.objects.select_related("task").get(pk=row[0]) if row else None


def extend(slot_id: int, token: int, *, by: User) -> bool:
    """The heartbeat of an open labelling page. False when the place is lost: somebody else may have it now."""
    mine = Slot.objects.filter(pk=slot_id, user=by, token=token, status="leased")
    return bool(mine.update(leased_until=timezone.now() + LEASE))


def release(slot_id: int, token: int, *, by: User) -> None:
    """Give a place back unlabelled."""
    mine = Slot.objects.filter(pk=slot_id, user=by, token=token, status="leased")
    mine.update(status="open", user=None, leased_until=None, token=F("token") + 1)
