"""Whoever uses a subscription's keys hears of what happens to it, in their own language; who did it knows."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Membership
from apps.catalog.services import deprecate_capability
from apps.requests.models import Notification
from apps.store import services
from apps.store.models import Subscription
from tests.factories import make_user


@pytest.fixture
def colleague(transport):
    """Another consumer of the subscribing team."""
    return make_user("colleague", team=transport, role="consumer")


def lines(user) -> list[tuple[str, str]]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("title", "body"))


def test_suspension_and_resumption_reach_the_team(subscription, cy, ole, colleague):
    services.suspend_subscription(subscription, by=ole, reason="Too many calls")
    services.resume_subscription(subscription, by=ole)

    told = [
        ("Digits was suspended for Transport", "Too many calls"),
        ("Digits: the subscription of Transport works again", ""),
    ]
    assert lines(colleague) == told
    assert lines(cy)[-2:] == told
    assert lines(ole) == []


def test_an_end_by_the_provider_reaches_the_team_and_one_by_a_colleague_the_others(
    subscription, free, transport, cy, ole, colleague
):
    services.cancel_subscription(subscription, by=ole)
    again = services.subscribe(free, transport, by=cy)
    services.cancel_subscription(again, by=colleague)

    ended = ("Digits: the subscription of Transport was ended", "")
    assert lines(colleague) == [ended]
    assert lines(cy).count(ended) == 2


def test_the_retirement_of_a_capability_is_the_reason(digits, subscription, ada, ole, colleague):
    deprecate_capability(digits, by=ada, note="Use another one")
    services.retire_capability(digits, quiet_days=1, by=ole)

    assert lines(colleague)[-1] == (
        "Digits: the subscription of Transport was ended",
        "The capability was retired.",
    )


def test_an_expiry_says_what_to_do_and_leaves_out_who_left(subscription, colleague, transport):
    gone = make_user("gone", team=transport, role="consumer")
    Membership.objects.filter(user=gone).delete()
    Subscription.objects.filter(pk=subscription.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    services.expire_due()

    [(title, body)] = lines(colleague)
    assert title == "Digits: the subscription of Transport has expired"
    assert "Subscribe again" in body
    assert lines(gone) == []


def test_each_reads_it_in_their_own_language(subscription, ole, colleague, compiled_messages):
    colleague.language = "zh-hans"
    colleague.save(update_fields=["language"])
    services.cancel_subscription(subscription, by=ole)

    assert lines(colleague)[0][0] == "Digits：Transport 的订阅已终止"
