"""What webhooks hear of a release: its end, on either way."""

import pytest

from apps.core import events
from apps.core.models import Event
from apps.releases.announcing import EXAMPLE
from apps.releases.models import Release
from apps.releases.rollout import roll_back
from apps.requests import webhooks
from apps.requests.models import Delivery
from apps.store.models import Plan, Subscription


@pytest.fixture
def hooks(radio, transport, ada, cy, digits):
    """The provider and a subscriber want both."""
    plan = Plan.objects.create(capability=digits, name="free", created_by=ada)
    Subscription.objects.create(
        plan=plan, capability=digits, team=transport, requested_by=cy, status="granted"
    )
    for team, user in ((radio, ada), (transport, cy)):
        names = ["release.released", "release.rolled_back"]
        webhooks.create_webhook(team, "https://example.org/", names, by=user)


def deliver() -> None:
    for pk in list(Event.objects.filter(name__startswith="releases.").values_list("pk", flat=True)):
        events.deliver(pk)


def test_both_sides_hear_that_a_release_went_back_and_why(rolling, hooks, ole):
    Event.objects.all().delete()
    roll_back(rolling, by=ole, reason="the help desk is red")
    deliver()

    assert Delivery.objects.count() == 2
    message = Delivery.objects.first()
    assert message.event == "release.rolled_back"
    data = message.payload["data"]
    assert set(data) == set(EXAMPLE)
    assert (data["capability"], data["version"], data["before"]) == ("digits", "1.1.0", "1.0.0")
    assert "the help desk is red" in data["reason"]


def test_a_release_that_went_the_whole_way_is_told_once(rolling, hooks):
    first = Release.objects.get(status="released")
    for _delivery in range(2):
        events.publish("releases.released", first.pk)
        deliver()

    told = Delivery.objects.filter(event="release.released").values_list("payload", flat=True)
    assert [(each["data"]["version"], each["data"]["reason"]) for each in told] == [("1.0.0", "")] * 2
