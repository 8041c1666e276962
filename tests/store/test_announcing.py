"""What webhooks hear of subscriptions and versions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.catalog.services import deprecate_capability, deprecate_version, retire_version
from apps.core import schema
from apps.core.models import Event
from apps.requests import webhooks
from apps.requests.models import Delivery, Notification
from apps.requests.services import decide
from apps.store import announcing, services
from apps.store.models import Subscription
from apps.store.tasks import HANDLERS
from tests.factories import make_plan, make_ready_deployment, make_usage


@pytest.fixture
def hooks(transport, radio, cy, ada):
    """Both sides want everything."""
    for team, user in ((transport, cy), (radio, ada)):
        webhooks.create_webhook(team, "https://example.org/", announcing.EVENTS, by=user)


def told() -> list[tuple[str, str]]:
    rows = Delivery.objects.order_by("pk").values_list("event", "webhook__team__slug")
    return sorted(rows)


def hear(name: str, key: object, **facts: object) -> None:
    for event, handler in HANDLERS:
        if event == name:
            handler(str(key), facts)


@contextmanager
def heard() -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """What the events that are published within lead to."""
    before = set(Event.objects.values_list("pk", flat=True))
    yield told
    for event in Event.objects.exclude(pk__in=before).order_by("pk"):
        hear(event.name, event.key, **event.facts)


def test_both_sides_hear_of_a_grant_once(hooks, subscription):
    for _delivery in range(2):
        hear("store.subscription_granted", subscription.pk)
    assert told() == [("subscription.granted", "radio"), ("subscription.granted", "transport")]
    data = Delivery.objects.first().payload["data"]
    assert (data["capability"], data["team"], data["status"]) == ("digits", "transport", "granted")


def test_a_rejection_carries_the_reason(hooks, standard, transport, cy, ole):
    subscription = services.subscribe(standard, transport, by=cy, use_case="x")
    decide(subscription.ticket, False, "Not for this", by=ole)
    hear("store.subscription_rejected", subscription.pk)
    assert Delivery.objects.first().payload["data"]["reason"] == "Not for this"


def test_two_suspensions_are_two_messages(hooks, subscription):
    for at in ("2026-01-01", "2026-02-01", "2026-02-01"):
        hear("store.subscription_suspended", subscription.pk, at=at)
    assert len(told()) == 4


def test_subscribers_hear_of_a_version_when_it_answers(hooks, subscription, digits, ole):
    deployment = make_ready_deployment(digits.versions.get(), ole)
    for _delivery in range(2):
        hear("instances.weights_changed", digits.pk, after={str(deployment.pk): 100})
    assert told() == [("version.live", "radio"), ("version.live", "transport")]


def test_a_row_that_is_gone_is_no_error(hooks):
    hear("store.subscription_ended", 424242)
    assert told() == []


def test_the_provider_hears_that_somebody_asks(hooks, standard, transport, cy):
    asked = services.subscribe(standard, transport, by=cy, use_case="x")
    hear("store.subscription_requested", asked.pk)
    assert told() == [("subscription.requested", "radio"), ("subscription.requested", "transport")]
    assert Delivery.objects.first().payload["data"]["status"] == "pending"


def test_both_sides_hear_that_a_subscription_ends_soon(hooks, subscription):
    Subscription.objects.filter(pk=subscription.pk).update(expires_at=timezone.now() + timedelta(days=29))
    with heard() as told_now:
        assert services.tell_of_ends() == 1
        assert services.tell_of_ends() == 0
    assert told_now() == [("subscription.expiring", "radio"), ("subscription.expiring", "transport")]


def test_a_used_up_quota_is_told_once_a_day(hooks, subscription, digits, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    with heard() as told_now:
        make_usage(digits, grant_id=key.grant_id, latencies=(1.0,) * 999)
        assert services.tell_of_quotas() == 0  # nobody was refused
        make_usage(digits, grant_id=key.grant_id, outcome="quota-exceeded", deployment=2)
        assert (
            services.tell_of_quotas() == 0
        )  # one call is left: another limit refused it, or the count is behind
        make_usage(digits, grant_id=key.grant_id, latencies=(1.0,), deployment=3)
        assert services.tell_of_quotas() == 1
        assert services.tell_of_quotas() == 0
    assert told_now() == [
        ("subscription.quota_exhausted", "radio"),
        ("subscription.quota_exhausted", "transport"),
    ]
    data = Delivery.objects.first().payload["data"]
    assert (data["limit"], data["allowed"], data["used"]) == ("per_day", 1000, 1000)
    note = Notification.objects.get(user=cy, title__contains="used up")
    assert note.title == "Digits: the 1000 calls of today are used up"
    assert data["until"][:10] in note.body


def test_a_refusal_for_the_rate_is_no_used_up_quota(subscription, digits, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    make_usage(digits, grant_id=key.grant_id, latencies=(1.0,) * 1000)
    make_usage(digits, grant_id=key.grant_id, outcome="rate-exceeded", deployment=2)
    assert services.tell_of_quotas() == 0


def test_subscribers_hear_that_a_version_is_retired(hooks, subscription, digits, ada):
    version = digits.versions.get()
    with heard() as told_now:
        retire_version(version, by=ada)
    assert told_now() == [("version.retired", "radio"), ("version.retired", "transport")]


def test_the_example_of_each_event_has_the_fields_of_what_is_sent(
    hooks, subscription, standard, free, digits, transport, ada, ole, cy
):
    asked = services.subscribe(standard, transport, by=cy, use_case="x")
    facts = {"limit": "per_day", "allowed": 1, "used": 1, "since": "2026-01-01", "until": "2026-01-02"}
    for what in ("requested", "granted", "rejected", "changed", "suspended", "resumed", "expiring", "ended"):
        hear(f"store.subscription_{what}", asked.pk, at="x")
    hear("store.subscription_quota_exhausted", subscription.pk, **facts)
    version = digits.versions.get()
    hear("instances.weights_changed", digits.pk, after={str(make_ready_deployment(version, ole).pk): 100})
    services.withdraw_plan(free, by=ada, successor=make_plan(digits, ada, "larger", limits={"per_day": 5000}))
    hear("store.plan_withdrawn", free.pk)
    deprecate_version(version, by=ada)
    hear("catalog.version_deprecated", version.pk)
    hear("catalog.version_retired", version.pk)
    deprecate_capability(digits, by=ada)
    hear("catalog.capability_deprecated", digits.pk)

    sent = {message.event: message.payload["data"] for message in Delivery.objects.all()}
    assert {event: set(data) for event, data in sent.items()} == {
        event: set(example) for event, example in announcing.EXAMPLES.items()
    }
    successor = announcing.EXAMPLES["plan.withdrawn"]["successor"]
    assert set(sent["plan.withdrawn"]["successor"]) == set(successor)


def test_each_event_stands_on_the_page_and_in_the_openapi_document(client, ada, monkeypatch):
    monkeypatch.setattr(schema, "_made", {})
    client.force_login(ada)
    page = client.get("/webhooks/").text
    described = client.get("/api/schema/?format=json").json()["webhooks"]
    for event in webhooks.all_events():
        assert f"<code>{event.name}</code>" in page
        message = described[event.name]["post"]["requestBody"]["content"]["application/json"]
        assert message["example"]["type"] == event.name
        assert event.example
        assert message["schema"]["properties"]["data"]["required"] == [*event.example]
