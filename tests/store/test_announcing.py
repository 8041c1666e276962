"""What webhooks hear of subscriptions and versions."""

import pytest

from apps.requests import webhooks
from apps.requests.models import Delivery
from apps.requests.services import decide
from apps.store import announcing, services
from apps.store.tasks import HANDLERS
from tests.factories import make_ready_deployment


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
