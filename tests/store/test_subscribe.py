from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.catalog.services import deprecate_capability, withdraw_capability
from apps.core.errors import Conflict, IllegalMove, Invalid, NotAllowed
from apps.core.models import AuditEntry
from apps.gateway.models import Grant
from apps.requests.models import Notification
from apps.requests.services import decide, who_can_still_decide
from apps.store import services
from apps.store.models import Subscription
from tests.factories import make_plan, make_user


def test_an_automatic_plan_is_granted_at_once(free, transport, cy):
    subscription = services.subscribe(free, transport, by=cy)

    assert subscription.status == "granted"
    assert subscription.granted_at is not None
    assert AuditEntry.objects.filter(action="store.subscription.granted").exists()


def test_a_second_click_finds_the_first_subscription(free, transport, cy):
    first = services.subscribe(free, transport, by=cy)

    assert services.subscribe(free, transport, by=cy) == first
    assert Subscription.objects.count() == 1


def test_an_outsider_cannot_subscribe_a_team(free, transport, ada):
    with pytest.raises(NotAllowed, match="Transport"):
        services.subscribe(free, transport, by=ada)


@pytest.mark.parametrize("end", [deprecate_capability, withdraw_capability])
def test_what_is_no_longer_on_offer_takes_no_new_subscriptions(free, digits, transport, ada, cy, end):
    end(digits, by=ada)
    free.refresh_from_db()
    with pytest.raises(NotAllowed, match="not on offer"):
        services.subscribe(free, transport, by=cy)


def test_a_plan_with_approval_waits_for_the_providers_operator(standard, transport, cy, ole):
    subscription = services.subscribe(standard, transport, by=cy, use_case="Read meter photos")

    assert subscription.status == "pending"
    assert who_can_still_decide(subscription.ticket) == [ole]
    assert Notification.objects.filter(user=ole).exists()
    with pytest.raises(Conflict, match="granted"):
        services.issue_key(subscription, by=cy)

    decide(subscription.ticket, True, by=ole)
    subscription.refresh_from_db()
    assert subscription.status == "granted"


def test_a_plan_with_approval_needs_a_use_case(standard, transport, cy):
    with pytest.raises(Invalid) as caught:
        services.subscribe(standard, transport, by=cy)
    assert "use_case" in caught.value.fields


def test_a_rejected_subscription_ends(standard, transport, cy, ole):
    subscription = services.subscribe(standard, transport, by=cy, use_case="Try")
    decide(subscription.ticket, False, "not for this", by=ole)

    subscription.refresh_from_db()
    assert subscription.status == "rejected"
    assert subscription.ended_at is not None


def test_four_eyes_need_two_people_of_the_providing_team(digits, ada, ole, transport, cy):
    plan = make_plan(digits, ada, "large", approval="four_eyes")
    subscription = services.subscribe(plan, transport, by=cy, use_case="Everything")

    decide(subscription.ticket, True, by=ada)
    subscription.refresh_from_db()
    assert subscription.status == "pending"
    decide(subscription.ticket, True, by=ole)
    subscription.refresh_from_db()
    assert subscription.status == "granted"


def test_a_plan_that_nobody_could_approve_is_refused(digits, ada):
    plan = services.create_plan(digits, "large", by=ada, limits={}, approval="four_eyes")
    with pytest.raises(Invalid, match="Operator"):
        services.publish_plan(plan, by=ada)


def test_taking_back_a_request_cancels_the_subscription(standard, transport, cy):
    subscription = services.subscribe(standard, transport, by=cy, use_case="Try")
    services.cancel_subscription(subscription, by=cy)

    subscription.ticket.refresh_from_db()
    assert (subscription.status, subscription.ticket.status) == ("cancelled", "withdrawn")


def test_after_the_end_the_team_can_subscribe_again(subscription, free, transport, cy):
    services.cancel_subscription(subscription, by=cy)
    assert services.subscribe(free, transport, by=cy).pk != subscription.pk


def test_a_key_is_shown_once_and_kept_as_a_hash(subscription, cy):
    key, secret = services.issue_key(subscription, by=cy, label="billing")

    assert secret.startswith("atk_")
    assert key.grant.pool == subscription.pool
    assert key.grant.limits == {"per_day": 1000, "rate_per_s": 5}
    assert secret not in str(Grant.objects.values().get(pk=key.grant_id))


def test_a_double_click_makes_one_key(subscription, cy):
    services.issue_key(subscription, by=cy, once="a-word")
    with pytest.raises(Conflict, match="first click"):
        services.issue_key(subscription, by=cy, once="a-word")
    assert subscription.keys.count() == 1


def test_an_outsider_makes_no_key(subscription, ada):
    with pytest.raises(NotAllowed):
        services.issue_key(subscription, by=ada)


def test_a_rotated_key_works_on_for_a_day_beside_its_successor(subscription, cy):
    old, secret = services.issue_key(subscription, by=cy)
    new, fresh = services.rotate_key(old, by=cy)

    old.grant.refresh_from_db()
    assert fresh != secret
    assert old.grant.status == "active"
    assert timedelta(hours=23) < old.grant.expires_at - timezone.now() < timedelta(hours=25)
    assert new.grant.pool == old.grant.pool
    with pytest.raises(Conflict, match="rotated"):
        services.rotate_key(old, by=cy)


def test_revoking_twice_is_revoking_once(subscription, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    services.revoke_key(key, by=cy)
    services.revoke_key(key, by=cy)

    key.grant.refresh_from_db()
    assert key.grant.status == "revoked"


def test_too_many_keys_are_refused_with_the_number(subscription, cy, monkeypatch):
    monkeypatch.setattr("apps.store.services.keys.MOST_KEYS", 1)
    services.issue_key(subscription, by=cy)
    with pytest.raises(Conflict, match="1 keys"):
        services.issue_key(subscription, by=cy)


def test_the_provider_suspends_and_resumes_every_key(subscription, cy, ole):
    key, _secret = services.issue_key(subscription, by=cy)
    services.suspend_subscription(subscription, by=ole, reason="Too many wrong calls")
    key.grant.refresh_from_db()
    assert (subscription.status, key.grant.status) == ("suspended", "suspended")
    assert Notification.objects.filter(user=cy, body="Too many wrong calls").exists()

    services.resume_subscription(subscription, by=ole)
    key.grant.refresh_from_db()
    assert (subscription.status, key.grant.status) == ("granted", "active")


def test_the_subscriber_cannot_lift_a_suspension(subscription, cy, ole):
    services.suspend_subscription(subscription, by=ole, reason="Abuse")
    with pytest.raises(NotAllowed):
        services.resume_subscription(subscription, by=cy)


def test_cancelling_revokes_every_key(subscription, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    services.cancel_subscription(subscription, by=cy)

    key.grant.refresh_from_db()
    assert key.grant.status == "revoked"
    with pytest.raises(IllegalMove):
        services.cancel_subscription(subscription, by=cy)


def test_a_subscription_ends_when_its_time_is_over(subscription, cy):
    key, _secret = services.issue_key(subscription, by=cy)
    Subscription.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert services.expire_due() == 1

    key.grant.refresh_from_db()
    subscription.refresh_from_db()
    assert (subscription.status, key.grant.status) == ("expired", "revoked")


def test_a_plan_cannot_take_the_name_of_another(digits, free, ada):
    with pytest.raises(Invalid, match="free"):
        services.create_plan(digits, "free", by=ada, limits={})


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"per_week": 5}, "per_week"),
        ({"per_day": 0}, "per_day"),
        ({"per_day": "many"}, "per_day"),
        ({"burst": 5}, "burst"),
        ({"per_day": 10, "per_month": 5}, "per_day"),
        ({"concurrent": True}, "concurrent"),
    ],
)
def test_an_impossible_limit_is_named(digits, ada, limits, name):
    with pytest.raises(Invalid, match=name):
        services.create_plan(digits, "odd", by=ada, limits=limits)


def test_only_the_providing_team_offers_plans(digits, transport):
    eve = make_user("eve", team=transport, role=Role.DEVELOPER)
    with pytest.raises(NotAllowed):
        services.create_plan(digits, "mine", by=eve, limits={})


def test_the_trial_key_is_derived_and_belongs_to_one_person(digits, ada, cy):
    grant, secret = services.trial_grant(cy, digits)
    again, same = services.trial_grant(cy, digits)
    other, another = services.trial_grant(ada, digits)

    assert (grant, secret) == (again, same)
    assert grant.kind == "trial"
    assert another != secret
    assert other.pool != grant.pool


def test_the_trial_follows_the_published_trial_plan(digits, ada, cy):
    before, secret = services.trial_grant(cy, digits)
    make_plan(digits, ada, "trial", trial=True, limits={"per_day": 7})
    after, fresh = services.trial_grant(cy, digits)

    assert after.limits == {"per_day": 7}
    assert fresh != secret
    assert after.pool == before.pool
