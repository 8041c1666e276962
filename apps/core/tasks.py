"""What core does in the background."""

from datetime import timedelta

from django.utils import timezone

from apps.core import audit, background, collecting, events, mail
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


@background.every(10, "core.beat", by_message=True)
def worker_alive() -> None:
    """Beat reaches a worker: both are alive."""
    beat("worker")


@background.every(3600, "core.forget_idempotency_keys")
def forget_idempotency_keys() -> None:
    """Answers to repeated requests are kept for a day."""
    IdempotentRequest.objects.filter(at__lt=timezone.now() - timedelta(days=1)).delete()


@background.task("core.send_mail")
def send_mail(pk: int) -> None:
    """Send one letter right after its commit."""
    mail.send(pk)


@background.every(20, "core.send_due_mail")
def send_due_mail() -> None:
    """Send what a server refused, or what the broker lost."""
    mail.send_due()


@background.every(86400, "core.forget_mail")
def forget_mail() -> None:
    """Old letters are forgotten."""
    mail.forget()


@background.every(86400, "core.collect_objects")
def collect_objects() -> None:
    """Remove stored files that nothing names any more."""
    found = collecting.collect()
    beat("stored files", **vars(found))
