"""A key ends when it was told to, at most with its subscription; a rotated one works on for as long as was chosen."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.core.errors import Invalid
from apps.gateway.models import Grant
from apps.store import services
from apps.store.models import Subscription
from tests.factories import make_plan

DAY = timedelta(days=1)


@pytest.fixture
def yearly(digits, ada, transport, cy) -> Subscription:
    """A subscription that ends in a year."""
    return services.subscribe(make_plan(digits, ada, "yearly", valid_days=365), transport, by=cy)


@pytest.fixture
def as_cy(cy) -> Client:
    client = Client()
    client.force_login(cy)
    return client


def test_a_key_ends_when_it_was_told_to(yearly, cy):
    end = timezone.now() + 30 * DAY

    assert services.issue_key(yearly, by=cy, expires_at=end)[0].grant.expires_at == end
    assert services.issue_key(yearly, by=cy)[0].grant.expires_at == yearly.expires_at


def test_no_key_outlives_its_subscription_or_is_born_dead(yearly, cy):
    for end in (yearly.expires_at + DAY, timezone.now() - DAY):
        with pytest.raises(Invalid):
            services.issue_key(yearly, by=cy, expires_at=end)
    assert not yearly.keys.exists()


def test_a_renewal_leaves_the_end_that_was_chosen(yearly, cy):
    end = timezone.now() + 30 * DAY
    key, _secret = services.issue_key(yearly, by=cy, expires_at=end)
    other, _secret = services.issue_key(yearly, by=cy)
    Subscription.objects.filter(pk=yearly.pk).update(expires_at=timezone.now() + 60 * DAY)
    Grant.objects.filter(pk=other.grant_id).update(
        expires_at=Subscription.objects.get(pk=yearly.pk).expires_at
    )
    yearly.refresh_from_db()
    services.renew_subscription(yearly, by=cy)

    assert Grant.objects.get(pk=other.grant_id).expires_at > timezone.now() + 300 * DAY
    assert Grant.objects.get(pk=key.grant_id).expires_at == end


@pytest.mark.parametrize("hours", [0, 1, 720])
def test_the_old_key_works_on_for_the_chosen_time(subscription, cy, hours):
    old, _secret = services.issue_key(subscription, by=cy)
    before = timezone.now()
    new, _secret = services.rotate_key(
        old, by=cy, overlap=timedelta(hours=hours), expires_at=before + 90 * DAY
    )

    end = Grant.objects.get(pk=old.grant_id).expires_at
    assert before <= end - timedelta(hours=hours) <= timezone.now()
    assert new.grant.expires_at == before + 90 * DAY


@pytest.mark.parametrize("hours", [-1, 721])
def test_an_overlap_is_none_to_thirty_days(subscription, cy, hours):
    old, _secret = services.issue_key(subscription, by=cy)

    with pytest.raises(Invalid, match="30 days"):
        services.rotate_key(old, by=cy, overlap=timedelta(hours=hours))
    assert subscription.keys.count() == 1


def test_the_page_takes_a_day_and_an_overlap(yearly, cy, as_cy):
    place = f"/subscriptions/{yearly.pk}/"
    day = timezone.localdate() + 30 * DAY
    assert as_cy.post(f"{place}keys/", {"expires_on": day.isoformat()}).status_code == 200
    old = yearly.keys.get()
    assert timezone.localdate(old.grant.expires_at) == day

    last = timezone.localdate(yearly.expires_at).isoformat()
    fields = {"overlap_hours": "0", "expires_on": last}
    assert as_cy.post(f"{place}keys/{old.pk}/rotate/", fields).status_code == 200
    assert Grant.objects.get(pk=old.grant_id).expires_at <= timezone.now()
    assert yearly.keys.get(replaces=old).grant.expires_at == yearly.expires_at


@pytest.mark.parametrize(
    "fields", [{"expires_on": "soon"}, {"expires_on": "2001-01-01"}, {"overlap_hours": "5"}]
)
def test_the_page_refuses_what_cannot_be(subscription, as_cy, fields):
    place = f"/subscriptions/{subscription.pk}/keys/"
    assert as_cy.post(place, fields).status_code == 422
    assert not subscription.keys.exists()


def test_a_script_chooses_both(yearly, cy, as_cy):
    place = f"/api/v1/subscriptions/{yearly.pk}/keys/"
    end = (timezone.now() + 9 * DAY).isoformat()
    made = as_cy.post(place, {"expires_at": end}, content_type="application/json").json()
    rotated = as_cy.post(
        f"{place}{made['id']}/rotate/",
        {"overlap_hours": 720, "expires_at": end},
        content_type="application/json",
    )

    assert rotated.status_code == 201
    assert Grant.objects.get(prefix=made["prefix"]).expires_at.isoformat() == end
    wrong = as_cy.post(
        f"{place}{rotated.json()['id']}/rotate/", {"overlap_hours": 721}, content_type="application/json"
    )
    assert wrong.status_code == 422
