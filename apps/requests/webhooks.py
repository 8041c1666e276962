"""Webhooks: teams are told at their own addresses what happens, signed, repeated until taken, with a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import Role, User
from apps.accounts.policy import may_act_as
from apps.accounts.selectors import teams_of
from apps.core import audit, background, secrets
from apps.core.errors import Invalid, NotFound
from apps.core.policy import Verdict, require
from apps.core.telling import kept, spoken
from apps.requests import posting
from apps.requests.models import Delivery, Webhook

if TYPE_CHECKING:
    from apps.accounts.models import Team

KEEPERS = (Role.CONSUMER, Role.DEVELOPER, Role.OPERATOR)
PAUSES_S = (5, 60, 300, 1800, 7200, 18_000, 36_000, 86_400)
_LEASE = timedelta(seconds=60)
_AT_ONCE = 20
PING = "webhook.ping"


@dataclass(frozen=True)
class Event:
    """What teams can be told of: its label, and the `data` of such a message as an example, every field in it."""

    name: str
    label: str | Promise
    example: Mapping[str, Any]

    @property
    def message(self) -> dict[str, Any]:
        """A whole message, as it is sent."""
        return {"type": self.name, "timestamp": "2026-11-28T08:00:00+00:00", "data": dict(self.example)}


_events: dict[str, Event] = {}


def register_event(name: str, label: str | Promise, example: Mapping[str, Any]) -> None:
    """Add an event that teams can choose, with the `data` of one; for an app's `ready()`."""
    _events[name] = Event(name, label, example)


def all_events() -> list[Event]:
    """Every event, by name."""
    return [_events[name] for name in sorted(_events)]


def event_choices() -> list[tuple[str, Any]]:
    """(name, label) of every event."""
    return [(event.name, event.label) for event in all_events()]


def described() -> dict[str, Any]:
    """The messages as the `webhooks` of an OpenAPI 3.1 document."""
    headers = [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": str(words),
            "schema": {"type": "string"},
        }
        for name, words in _HEADERS.items()
    ]
    return {event.name: {"post": _operation(event, headers)} for event in all_events()}


_HEADERS = {
    "webhook-id": gettext_lazy("Names the message; the same when it is sent again."),
    "webhook-timestamp": gettext_lazy("When it was sent, in seconds since 1970."),
    "webhook-signature": gettext_lazy("HMAC-SHA256 over id, timestamp and body, by Standard Webhooks."),
}


def _operation(event: Event, headers: list[dict[str, Any]]) -> dict[str, Any]:
    data = {
        "type": "object",
        "required": [*event.example],
        "properties": {name: {"examples": [value]} for name, value in event.example.items()},
    }
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": event.name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": data,
        },
    }
    content = {"application/json": {"schema": schema, "example": event.message}}
    return {
        "operationId": f"webhook_{event.name.replace('.', '_')}",
        "summary": str(event.label),
        "parameters": headers,
        "requestBody": {"required": True, "content": content},
        "responses": {
            "2XX": {"description": _("It is taken.")},
            "410": {"description": _("It wants no more messages: the webhook is switched off.")},
            "default": {"description": _("It is sent again, eight times over about two days.")},
        },
    }


def may_keep(user: User, team: Team) -> Verdict:
    """Whether a person may see and change the webhooks of a team."""
    return may_act_as(user, team, *KEEPERS)


def webhooks_visible_to(user: User) -> QuerySet[Webhook]:
    """The webhooks of the teams for which a person keeps them."""
    return Webhook.objects.filter(team__in=teams_of(user, *KEEPERS)).select_related("team", "created_by")


def get_webhook(pk: int, *, user: User) -> Webhook:
    """A webhook by its key. Raises NotFound for what the person may not know of."""
    webhook = webhooks_visible_to(user).filter(pk=pk).first()
    if webhook is None:
        raise NotFound(_("There is no webhook %(pk)s that you may see.") % {"pk": pk})
    return webhook


@transaction.atomic
def create_webhook(team: Team, url: str, events: Iterable[str], *, by: User) -> tuple[Webhook, str]:
    """Tell a team at an address from now on; the secret is returned this once. Raises Invalid."""
    require(may_keep(by, team))
    wanted = _checked(url, events)
    secret = posting.new_secret()
    webhook = Webhook.objects.create(
        team=team, url=url, events=wanted, secret=secrets.encrypt(secret), created_by=by
    )
    audit.record("requests.webhook.created", webhook, by=by, url=url, events=wanted)
    return webhook, secret


def _checked(url: str, events: Iterable[str]) -> list[str]:
    try:
        posting.checked(url)
    except posting.BadAddress as error:
        why = spoken(error.why.parts())
        raise Invalid(
            _("“%(url)s” cannot be told: %(why)s.") % {"url": url[:100], "why": why}, fields={"url": why}
        ) from error
    wanted = sorted(set(events))
    unknown = [name for name in wanted if name not in _events]
    if unknown or not wanted:
        raise Invalid(
            _("Choose at least one of the events: %(names)s.") % {"names": ", ".join(sorted(_events))},
            fields={"events": ", ".join(unknown) or _("is empty")},
        )
    return wanted


@transaction.atomic
def remove_webhook(webhook: Webhook, *, by: User) -> None:
    """Tell nothing there any more; its log goes too."""
    require(may_keep(by, webhook.team))
    audit.record("requests.webhook.removed", webhook, by=by, url=webhook.url)
    webhook.delete()


@transaction.atomic
def switch_webhook(webhook: Webhook, *, on: bool, by: User) -> None:
    """Stop telling for a while, or start again."""
    require(may_keep(by, webhook.team))
    webhook.active, webhook.why_off = on, ""
    webhook.save(update_fields=["active", "why_off"])
    audit.record("requests.webhook.switched", webhook, by=by, on=on)


def emit(teams: Iterable[int], event: str, key: str, data: Mapping[str, Any]) -> int:
    """Queue a message for every webhook of these teams that wants it. `key` makes it once, however often it is called.

    The message is `{"type", "timestamp", "data"}`. Returns how many are new.
    """
    payload = {"type": event, "timestamp": timezone.now().isoformat(), "data": dict(data)}
    hooks = Webhook.objects.filter(team__in=set(teams), active=True, events__contains=[event])
    return sum(_queue(hook, event, key, payload) for hook in hooks)


def _queue(hook: Webhook, event: str, key: str, payload: Mapping[str, Any]) -> bool:
    delivery, made = Delivery.objects.get_or_create(
        webhook=hook,
        key=key[:120],
        defaults={
            "message_id": f"msg_{uuid4().hex}",
            "event": event,
            "payload": payload,
            "next_attempt_at": timezone.now(),
        },
    )
    if made:
        transaction.on_commit(lambda: background.enqueue("requests.deliver", delivery.pk))
    return made


def ping(webhook: Webhook, *, by: User) -> None:
    """Send a test message."""
    require(may_keep(by, webhook.team))
    data = {"webhook": webhook.pk, "by": by.get_username()}
    _queue(
        webhook,
        PING,
        f"ping:{uuid4().hex}",
        {"type": PING, "timestamp": timezone.now().isoformat(), "data": data},
    )


@transaction.atomic
def redeliver(delivery: Delivery, *, by: User) -> None:
    """Send a message again, with the same id, so that the receiver can tell."""
    require(may_keep(by, delivery.webhook.team))
    Delivery.objects.filter(pk=delivery.pk).update(
        status=Delivery.Status.PENDING, attempts=0, next_attempt_at=timezone.now(), error=""
    )
    audit.record("requests.delivery.repeated", delivery, by=by)
    transaction.on_commit(lambda: background.enqueue("requests.deliver", delivery.pk))


def deliver(pk: int) -> bool:
    """Try one message, if it is due and nobody else tries it. Returns whether it was taken."""
    now = timezone.now()
    due = Delivery.objects.filter(pk=pk, status=Delivery.Status.PENDING, next_attempt_at__lte=now)
    if not due.update(next_attempt_at=now + _LEASE):
        return False
    delivery = Delivery.objects.select_related("webhook").get(pk=pk)
    hook = delivery.webhook
    body = orjson.dumps(delivery.payload)
    answer = posting.post(hook.url, secrets.decrypt(hook.secret), delivery.message_id, body)
    _note(delivery, answer)
    return answer.taken


def _note(delivery: Delivery, answer: posting.Answer) -> None:
    now, attempts = timezone.now(), delivery.attempts + 1
    facts: dict[str, Any] = {
        "attempts": attempts,
        "answer_status": answer.status or None,
        "error": "",
        "took_ms": answer.took_ms,
        "next_attempt_at": None,
    }
    if answer.error is not None:
        words, told = kept(spoken(answer.error.parts()), most=300)
        facts |= {"error": words, "told": told}
    gone = answer.status == 410
    if answer.taken:
        facts |= {"status": Delivery.Status.DELIVERED, "delivered_at": now}
    elif gone or attempts > len(PAUSES_S):
        facts |= {"status": Delivery.Status.FAILED}
    else:
        facts |= {"next_attempt_at": now + timedelta(seconds=PAUSES_S[attempts - 1])}
    Delivery.objects.filter(pk=delivery.pk).update(**facts)
    if gone:
        why = _("The receiver answered 410: it wants no more messages.")
        Webhook.objects.filter(pk=delivery.webhook_id).update(active=False, why_off=why)


def deliver_due() -> int:
    """Try what is due, oldest first: the retries, and what the broker lost. Returns how many were taken."""
    due = Delivery.objects.filter(
        status=Delivery.Status.PENDING, next_attempt_at__lte=timezone.now(), webhook__active=True
    )
    return sum(
        deliver(pk) for pk in list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:_AT_ONCE])
    )
