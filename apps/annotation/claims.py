"""Who labels what next: one call takes a free place, and a token fences off whoever came too late.

The statements themselves are functions of the database (migration 0006), so that they are planned once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.annotation.models import Annotation, Golden, Project, Slot, Task
from apps.core.errors import Conflict

if TYPE_CHECKING:
    from apps.accounts.models import User

LEASE = timedelta(minutes=5)

CLAIM = """
SELECT coalesce(annotation_golden(%(project)s, %(user)s, %(lease)s, false),
                annotation_claim(%(project)s, %(user)s, %(lease)s))
"""
_AHEAD = "SELECT annotation_ahead(%(project)s, %(user)s, %(lease)s)"
_ATTEMPTS = 5


def claim_next(project: Project, *, by: User) -> Slot | None:
    """The place this person holds already, else the next free one of a task they have not seen; None when none is.

    A place whose lease has run out is free again; its former holder's token does not fit any more.
    """
    return _claim(CLAIM, project, by)


def claim_ahead(project: Project, *, by: User) -> Slot | None:
    """A place to come after the one this person is at, so that its task is there at once; None when none is.

    It yields to a person for whom nothing else is left, so it is theirs for sure only once `take_up` has said so.
    """
    return _claim(_AHEAD, project, by)


def take_up(slot_id: int, token: int, *, by: User) -> bool:
    """Go on with the place held ahead; call it inside a transaction. False when it is lost, or somebody writes it at
    this moment: then claim the next one.

    It waits for nobody: its transaction may hold the place just answered, and whoever puts a queue in order holds the
    places of a project one after the other.
    """
    mine = Slot.objects.filter(pk=slot_id, user=by, token=token, status="leased", ahead=True)
    free = Slot.objects.filter(pk__in=mine.select_for_update(skip_locked=True).values("pk"))
    return bool(free.update(ahead=False, leased_until=timezone.now() + LEASE))


def _claim(statement: str, project: Project, by: User) -> Slot | None:
    asked: dict[str, Any] = {"user": by.pk, "project": project.pk, "lease": LEASE}
    for _attempt in range(_ATTEMPTS):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement, asked)
                taken = cursor.fetchone()[0]
        except IntegrityError:  # two tabs of one person reached for two places of one task
            continue
        return Slot.objects.select_related("task").get(pk=taken) if taken else None
    return None


def held(project: Project, *, by: User) -> Slot | None:
    """The place that a person is at in a project, if any; not the one held ahead."""
    now = timezone.now()
    mine = Slot.objects.filter(project=project, user=by, status="leased", leased_until__gt=now, ahead=False)
    return mine.order_by("-leased_until").first()


def extend(slot_id: int, token: int, *, by: User) -> bool:
    """The heartbeat of an open labelling page, for the place held ahead too. False when the place is lost: somebody
    else may have it now."""
    mine = Slot.objects.filter(user=by, status="leased")
    until = timezone.now() + LEASE
    kept = mine.filter(pk=slot_id, token=token).update(leased_until=until)
    if kept:
        here = Slot.objects.filter(pk=slot_id).values("project")[:1]
        mine.filter(project=here, ahead=True, leased_until__gt=timezone.now()).update(leased_until=until)
    return bool(kept)


def release(slot_id: int, token: int, *, by: User, only_ahead: bool = False) -> None:
    """Give a place back unlabelled; with `only_ahead` just if it is still held ahead."""
    mine = Slot.objects.filter(pk=slot_id, user=by, token=token, status="leased")
    if only_ahead:
        mine = mine.filter(ahead=True)
    mine.update(status="open", user=None, leased_until=None, token=F("token") + 1, ahead=False)


_SAY = """
SELECT id, extra, at, votes FROM annotation_say(%(slot)s, %(token)s, %(user)s, %(task)s, %(label)s, %(value)s,
    %(skipped)s, %(flagged)s, %(comment)s, %(seconds)s)
"""


def keep(annotation: Annotation, slot_id: int, token: int) -> list[Any] | None:
    """Write an annotation and mark its place done; call it inside a transaction.

    A token that does not fit any more makes it an extra vote and leaves the place to whoever has it now. Returns
    the values of all people when this was the last place of an open task, else None. Raises Conflict when this
    person has said it before.
    """
    told: dict[str, int | float | str | bool] = {
        "slot": slot_id,
        "token": token,
        "task": annotation.task_id,
        "user": annotation.user_id,
        "label": annotation.label,
        "value": orjson.dumps(annotation.value).decode(),
        "skipped": annotation.skipped,
        "flagged": annotation.flagged,
        "comment": annotation.comment,
        "seconds": annotation.seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SAY, told)
        row = cursor.fetchone()
    if row is None:
        raise Conflict(_("You have labelled this task already."))
    annotation.pk, annotation.extra, annotation.at, votes = row
    return None if votes is None else list(orjson.loads(votes))


@transaction.atomic
def take_back(task: Task, *, by: User) -> Slot | None:
    """Undo: the person's label goes and they hold their place again, while the task is still open; else None.

    Golden tasks can be taken back too: what one cannot take back would be known to be golden.
    """
    locked = Task.objects.select_for_update().filter(pk=task.pk).first()
    golden = Golden.objects.filter(task=task).first()
    if locked is None or (locked.status != Task.Status.OPEN and golden is None):
        return None
    said = Annotation.objects.filter(task=locked, user=by)
    gone, _rows = (said.filter(at__gt=golden.made_at) if golden else said).delete()
    mine = Slot.objects.filter(task=locked, user=by, status=Slot.Status.DONE)
    changes = {"status": Slot.Status.LEASED, "leased_until": timezone.now() + LEASE, "token": F("token") + 1}
    if not gone or not mine.update(**changes):
        transaction.set_rollback(True)
        return None
    return Slot.objects.select_related("task").get(task=locked, user=by)
