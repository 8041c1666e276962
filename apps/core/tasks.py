"""What core does in the background."""

from datetime import timedelta

from django.utils import timezone

from apps.core import audit, background, events
from apps.core.heartbeats import beat
from apps.core.models import IdempotentRequest


@background.every(1, "core.seal_audit")
def seal_audit() -> None:
    """Close the audit chain over what was appended since."""
    while audit.seal():
        pass


@background.task("core.deliver_event")
def deliver_event(event_id: int) -> None:
    """Deliver one event right after its commit."""
    events.deliver(event_id)


@background.every(2, "core.deliver_due")
def deliver_due() -> None:
    """Deliver what a kill or a failed handler left in the outbox."""
    events.deliver_due()


@background.every(5, "core.beat")
def worker_alive() -> None:
    """Beat reaches a worker: both are alive."""
    beat("worker")


@background.every(3600, "core.forget_idempotency_keys")
def forget_idempotency_keys() -> None:
    """Answers to repeated requests are kept for a day."""
    IdempotentRequest.objects.filter(at__lt=timezone.now() - timedelta(days=1)).delete()
