"""Forecast and what-if for the subscriber; who still calls, and the end, for the provider."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from apps.catalog.services import deprecate_capability
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.gateway import partitions, snapshot
from apps.gateway.dataplane.snapshot import Capability as Pictured
from apps.gateway.models import Call
from apps.store import services, usage_report
from apps.store.usage_report import SPANS, Quota, callers
from tests.factories import make_plan, make_usage


@pytest.fixture
def as_cy(cy) -> Client:
    client = Client()
    client.force_login(cy)
    return client


@pytest.fixture
def key(subscription, cy):
    return services.issue_key(subscription, by=cy)[0]


def use(key, count: int, *, ago: timedelta = timedelta(), version: str = "1.0.0", outcome: str = "") -> None:
    make_usage(
        key.grant.capability, grant_id=key.grant_id, hours_ago=ago / timedelta(hours=1), outcome=outcome,
        latencies=(1.0,) * count, deployment=hash(version) % 1000, version=version,
    )  # fmt: skip


def log(key, moments) -> None:
    for day in {at.date() for at in moments}:
        partitions.make(day)
    Call.objects.bulk_create(
        Call(
            request_id=uuid4(), at=at, grant_id=key.grant_id, capability_id=key.grant.capability_id, deployment_id=1,
            version="1.0.0", subject="x", status=200, error_kind="", latency_ms=1.0, stage_weight=1.0, shadow=False,
            digested=True,
        )
        for at in moments
    )  # fmt: skip


def test_a_quota_that_will_not_last_says_until_when():
    now = timezone.now()
    half = Quota("x", 800, 1000, now - timedelta(hours=12), now + timedelta(hours=12))
    assert half.forecast == pytest.approx(1600, rel=0.01)
    assert half.runs_out_at - now == pytest.approx(timedelta(hours=3), abs=timedelta(minutes=1))
    assert Quota("x", 300, 1000, half.start, half.end).runs_out_at is None
    assert Quota("x", 300, 1000, now, now + timedelta(days=1)).forecast is None  # too early to say
    used_up = Quota("x", 1000, 1000, half.start, half.end)
    assert used_up.exhausted
    assert not half.exhausted


def test_what_if_replays_the_own_calls_under_another_plan(as_cy, subscription, key, digits, ada):
    small = make_plan(digits, ada, "small", limits={"per_day": 3})
    at = timezone.now().replace(hour=12, minute=0) - timedelta(days=3)
    log(key, [at + timedelta(seconds=n) for n in range(10)])
    use(key, 10, ago=timedelta(days=3))

    told = as_cy.get(f"/api/v1/subscriptions/{subscription.pk}/what-if/?plan={small.pk}").json()
    assert (told["calls"], told["refused"], told["by_limit"], told["exact"]) == (10, 7, {"per_day": 7}, True)
    page = as_cy.get(f"/subscriptions/{subscription.pk}/what-if/?plan={small.pk}").text
    assert "7 of 10 calls would have been refused" in page


def test_very_many_calls_are_replayed_by_hours(subscription, key, monkeypatch):
    monkeypatch.setattr(usage_report, "MOST_REPLAYED", 100)
    use(key, 5000, ago=timedelta(hours=30))
    found = usage_report.what_if(subscription, subscription.plan.allowed)
    assert (found.calls, found.refused.total()) == (5000, 4000)


def test_what_if_without_calls_says_so(as_cy, subscription):
    assert "no calls" in as_cy.get(f"/subscriptions/{subscription.pk}/what-if/").text


def test_the_provider_sees_who_calls_which_version(digits, key, ada, as_cy):
    use(key, 7, version="1.0.0")
    use(key, 3, version="1.1.0")
    use(key, 2, version="1.1.0", outcome="rate-exceeded", ago=timedelta(hours=1))
    rows = [(row.team, row.version, row.calls, row.failed) for row in callers(digits, SPANS[0])]
    assert rows == [("Transport", "1.0.0", 7, 0), ("Transport", "1.1.0", 5, 2)]

    client = Client()
    client.force_login(ada)
    assert "Who calls which version" in client.get("/store/digits/usage/").text
    assert client.get("/store/digits/callers.csv").text.splitlines()[1].startswith("Transport,")
    assert "Who calls which version" not in as_cy.get("/store/digits/usage/").text
    assert as_cy.get("/store/digits/callers.csv").status_code == 403


def test_answers_of_a_deprecated_capability_say_so_and_when_it_ends(digits, ada):
    day = timezone.localdate() + timedelta(days=60)
    deprecate_capability(digits, by=ada, note="Use digits-2", retires_on=day)
    told = snapshot.picture()["capabilities"]["digits"]
    headers = dict(Pictured.parse("digits", told).farewell)
    assert headers[b"deprecation"] == f"@{told['deprecated']}".encode()
    assert headers[b"sunset"].decode().endswith("00:00:00 GMT")
    assert day.strftime("%d %b %Y") in headers[b"sunset"].decode()


def test_what_is_offered_carries_no_farewell(digits):
    assert Pictured.parse("digits", snapshot.picture()["capabilities"]["digits"]).farewell == ()


def test_it_goes_only_when_nobody_called_it_for_the_chosen_time(digits, subscription, key, ada, cy):
    with pytest.raises(Conflict, match="Deprecate it first"):
        services.retire_capability(digits, quiet_days=7, by=ada)
    deprecate_capability(digits, by=ada)
    use(key, 4, ago=timedelta(days=5))
    with pytest.raises(Conflict, match=r"Transport \(4\)"):
        services.retire_capability(digits, quiet_days=7, by=ada)
    with pytest.raises(NotAllowed):
        services.retire_capability(digits, quiet_days=3, by=cy)
    with pytest.raises(Invalid, match="1 to 90"):
        services.retire_capability(digits, quiet_days=0, by=ada)

    services.retire_capability(digits, quiet_days=3, by=ada)
    digits.refresh_from_db()
    subscription.refresh_from_db()
    key.grant.refresh_from_db()
    assert (digits.status, subscription.status, key.grant.status) == ("retired", "cancelled", "revoked")
    assert "digits" not in snapshot.picture()["capabilities"]


def test_retiring_over_page_and_api(digits, ada):
    deprecate_capability(digits, by=ada)
    client = Client()
    client.force_login(ada)
    assert "Retire it for good" in client.get("/store/digits/usage/").text
    client.post("/store/digits/retire/", {"quiet_days": "x"})
    digits.refresh_from_db()
    assert digits.status == "deprecated"
    assert (
        client.post("/api/v1/store/digits/retire/", {"quiet_days": 7}, "application/json").status_code == 204
    )
    digits.refresh_from_db()
    assert digits.status == "retired"
