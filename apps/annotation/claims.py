"""Who labels what next: one statement takes a free place, and a token fences off whoever came too late."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.annotation.models import Annotation, Project, Slot, Task

if TYPE_CHECKING:
    from apps.accounts.models import User

LEASE = timedelta(minutes=5)

_FREE = """
    SELECT s.id FROM annotation_slot s
    WHERE s.project_id = %(project)s AND s.status <> 'done'
      AND (s.status = 'open' OR s.leased_until < now())
      AND NOT EXISTS (SELECT 1 FROM annotation_slot o
                      WHERE o.task_id = s.task_id AND o.user_id = %(user)s AND o.id <> s.id)
      AND NOT EXISTS (SELECT 1 FROM annotation_annotation a
                      WHERE a.task_id = s.task_id AND a.user_id = %(user)s)
      {beyond}
    ORDER BY s.priority DESC, s.id
    FOR UPDATE OF s SKIP LOCKED LIMIT 1
"""

# A person who has done much would pass over all of it at each claim, so the search begins behind the last place
# taken: first what is more urgent, then what follows; whatever was given back before comes last.
_CLAIM = """
WITH held AS MATERIALIZED (
    SELECT id FROM annotation_slot
    WHERE project_id = %(project)s AND user_id = %(user)s AND status = 'leased' AND leased_until > now()
    ORDER BY leased_until DESC LIMIT 1
), last AS MATERIALIZED (
    SELECT priority, id FROM annotation_slot
    WHERE project_id = %(project)s AND user_id = %(user)s ORDER BY id DESC LIMIT 1
), taken AS (
    UPDATE annotation_slot SET status = 'leased', user_id = %(user)s,
           leased_until = now() + make_interval(secs => %(lease)s), token = token + 1
    WHERE NOT EXISTS (SELECT 1 FROM held) AND id = COALESCE(
        ({more_urgent}),
        ({behind}),
        ({any_free}))
    RETURNING id
)
SELECT id FROM held UNION ALL SELECT id FROM taken
""".format(  # noqa: S608  only the constants of this module
    more_urgent=_FREE.format(beyond="AND s.priority > (SELECT priority FROM last)"),
    behind=_FREE.format(
        beyond="AND s.priority = (SELECT priority FROM last) AND s.id > (SELECT id FROM last)"
    ),
    any_free=_FREE.format(beyond=""),
)
_ATTEMPTS = 5


def claim_next(project: Project, *, by: User) -> Slot | None:
    """The place this person holds already, else the next free one of a task they have not seen; None when none is.

    A place whose lease has run out is free again; its former holder's token does not fit any more.
    """
    asked = {"user": by.pk, "project": project.pk, "lease": LEASE.total_seconds()}
    for _attempt in range(_ATTEMPTS):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_CLAIM, asked)
                row = cursor.fetchone()
        except IntegrityError:  # two tabs of one person reached for two places of one task
            continue
        # What was taken is read again, since the statement itself saw it as it was before.
        return Slot.objects.select_related("task").get(pk=row[0]) if row else None
    return None


def extend(slot_id: int, token: int, *, by: User) -> bool:
    """The heartbeat of an open labelling page. False when the place is lost: somebody else may have it now."""
    mine = Slot.objects.filter(pk=slot_id, user=by, token=token, status="leased")
    return bool(mine.update(leased_until=timezone.now() + LEASE))


def release(slot_id: int, token: int, *, by: User) -> None:
    """Give a place back unlabelled."""
    mine = Slot.objects.filter(pk=slot_id, user=by, token=token, status="leased")
    mine.update(status="open", user=None, leased_until=None, token=F("token") + 1)


_KEEP = """
WITH kept AS (
    UPDATE annotation_slot SET status = 'done', leased_until = NULL
    WHERE id = %(slot)s AND user_id = %(user)s AND token = %(token)s AND status = 'leased' RETURNING id
)
INSERT INTO annotation_annotation (task_id, user_id, label, skipped, comment, seconds, extra, at)
VALUES (%(task)s, %(user)s, %(label)s, %(skipped)s, %(comment)s, %(seconds)s,
        NOT EXISTS (SELECT 1 FROM kept), now())
ON CONFLICT (task_id, user_id) DO NOTHING RETURNING id, extra, at
"""
_DONE = """
SELECT array_agg(a.label ORDER BY a.id) FILTER (WHERE NOT a.skipped)
FROM annotation_annotation a WHERE a.task_id = %(task)s
HAVING NOT EXISTS (SELECT 1 FROM annotation_slot s WHERE s.task_id = %(task)s AND s.status <> 'done')
"""


def keep(annotation: Annotation, slot_id: int, token: int) -> bool:
    """Write an annotation and mark its place done, in one statement; False when this person has said it before.

    A token that does not fit any more makes it an extra vote and leaves the place to whoever has it now.
    """
    told: dict[str, int | float | str | bool] = {
        "slot": slot_id,
        "token": token,
        "task": annotation.task_id,
        "user": annotation.user_id,
        "label": annotation.label,
        "skipped": annotation.skipped,
        "comment": annotation.comment,
        "seconds": annotation.seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, told)
        row = cursor.fetchone()
    if row is None:
        return False
    annotation.pk, annotation.extra, annotation.at = row
    return True


def votes_when_done(task: Task) -> list[str] | None:
    """The labels of a task whose every place is done, in their order; None while one is not."""
    with connection.cursor() as cursor:
        cursor.execute(_DONE, {"task": task.pk})
        row = cursor.fetchone()
    return None if row is None else list(row[0] or [])
