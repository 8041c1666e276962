"""Events: something happened, told upwards without importing upwards.

`publish` writes the outbox row inside the transaction. Delivery is at least once, in the worker, after the
commit; handlers must be idempotent. A handler that raises is tried again with growing pauses.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.core import background
from apps.core.models import Event

log = logging.getLogger(__name__)

Handler = Callable[[str, dict[str, Any]], None]
_handlers: defaultdict[str, list[Handler]] = defaultdict(list)
_LONGEST_PAUSE_S = 600


def on(name: str, handler: Handler) -> None:
    """Register a handler, called as `handler(key, facts)`; for an app's `ready()`. Registering twice is once."""
    if handler not in _handlers[name]:
        _handlers[name].append(handler)


def publish(name: str, key: object, **facts: Any) -> None:
    """Tell that `name` happened to the row `key`. Call it inside the transaction; delivered on commit."""
    if not _handlers.get(name):
        return
    event = Event.objects.create(name=name, key=str(key), facts=facts)
    transaction.on_commit(lambda: background.enqueue("core.deliver_event", event.pk))


def deliver(event_id: int) -> bool:
    """Run the handlers of one outbox row, and remove it. False when it is gone, locked, or has to be repeated."""
    with transaction.atomic():
        event = Event.objects.select_for_update(skip_locked=True).filter(pk=event_id).first()
        if event is None:
            return False
        try:
            with transaction.atomic():
                for handler in _handlers[event.name]:
                    handler(event.key, dict(event.facts))
        except Exception as error:
            log.exception(
                "event %s %s: a handler failed, attempt %d", event.name, event.key, event.attempts + 1
            )
            pause = min(2**event.attempts, _LONGEST_PAUSE_S)
            Event.objects.filter(pk=event.pk).update(
                attempts=event.attempts + 1,
                next_attempt_at=timezone.now() + timedelta(seconds=pause),
                error=repr(error)[:2000],
            )
            return False
        event.delete()
        return True


def deliver_due(limit: int = 200) -> int:
    """Deliver what is due and not delivered yet: the safety net behind `publish`. Returns how many."""
    overdue = timezone.now() - timedelta(seconds=2)
    due = (
        Event.objects.filter(next_attempt_at__lt=overdue).order_by("pk").values_list("pk", flat=True)[:limit]
    )
    return sum(deliver(event_id) for event_id in due)
