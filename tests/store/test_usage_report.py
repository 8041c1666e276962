"""The usage report: the database adds the hours up, and the sums are those of the rows."""

import csv
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.gateway.models import Grant, UsageOfCapability, UsageOfKey
from apps.gateway.selectors import percentile, usage, usage_by_period
from apps.instances.services import deploy_version
from apps.store import usage_report
from apps.store.services import issue_key, subscribe
from tests.factories import make_packaged_version, make_plan, make_ready_deployment, make_usage

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("span", usage_report.SPANS, ids=lambda span: span.name)
def test_the_periods_add_up_to_the_rows(digits, ada, span):
    for hours_ago in (0, 1, 5, 6, 30, 200):
        make_usage(digits, hours_ago=hours_ago, latencies=(1.0 + hours_ago, 50.0))
        make_usage(digits, hours_ago=hours_ago, outcome="rate_limited", latencies=(0.2,))
    since = timezone.now() - span.length
    rows = usage(capability=digits, since=since)
    good = [row for row in rows if not row.error_kind]

    report = usage_report.for_capability(ada, digits, span)

    assert report.calls == sum(row.count for row in rows)
    assert report.kinds == {"rate_limited": len(rows) - len(good)}
    assert report.overall["p95"] == percentile([row.histogram for row in good], 0.95)


def test_a_subscriber_sees_the_calls_with_the_own_keys_alone(subscription, digits, cy):
    mine = issue_key(subscription, by=cy)[0].grant_id
    make_usage(digits, grant_id=mine)
    make_usage(digits, grant_id=mine + 1000)

    assert usage_report.for_capability(cy, digits, usage_report.span_of("day")).calls == 2
    assert usage_report.for_subscription(subscription, usage_report.span_of("day")).calls == 2


def test_a_subscriptions_usage_by_rest_is_the_one_of_its_file(client, subscription, digits, cy):
    mine = issue_key(subscription, by=cy)[0].grant_id
    make_usage(digits, grant_id=mine)
    make_usage(digits, grant_id=mine, outcome="rate_limited", latencies=(0.2,))
    make_usage(digits, grant_id=mine + 1000)
    client.force_login(cy)

    told = client.get(f"/api/v1/subscriptions/{subscription.pk}/usage/?span=week").json()

    assert (told["failed"], told["errors"]) == (1, {"rate_limited": 1})
    file = client.get(f"/subscriptions/{subscription.pk}/usage.csv?span=week").content.decode()
    _head, *lines = csv.reader(file.splitlines())
    assert told["calls"] == sum(int(line[1]) + int(line[2]) for line in lines)


def test_the_quota_counts_what_the_model_was_asked(digits, transport, cy, ada):
    plan = make_plan(digits, ada, "monthly", limits={"per_month": 1000})
    key, _secret = issue_key(subscribe(plan, transport, by=cy), by=cy)
    make_usage(digits, grant_id=key.grant_id, latencies=(1.0, 2.0, 3.0))
    make_usage(digits, grant_id=key.grant_id, outcome="rate_limited", latencies=(0.1,))

    (month,) = usage_report.quotas_of(key.subscription)

    assert (month.used, month.limit) == (3, 1000)


def test_a_shadows_calls_are_nobodys(digits):
    make_usage(digits, grant_id=0)

    assert not usage_by_period(
        since=timezone.now() - timedelta(days=1), period=timedelta(hours=1), capability=digits
    )


def test_the_callers_are_counted_by_days_and_the_first_day_by_its_hours(digits, subscription, cy):
    key, _secret = issue_key(subscription, by=cy)
    for hours_ago in range(0, 9 * 24, 5):
        make_usage(digits, hours_ago=hours_ago, grant_id=key.grant_id, latencies=(1.0,) * (hours_ago + 1))
        make_usage(digits, hours_ago=hours_ago, grant_id=key.grant_id, outcome="input", latencies=(1.0,))
    for span in usage_report.SPANS:
        since = timezone.now() - span.length
        rows = [row for row in usage(capability=digits, since=since) if row.hour >= since]

        (caller,) = usage_report.callers(digits, span)

        assert caller.calls == sum(row.count for row in rows)
        assert caller.failed == sum(row.count for row in rows if row.error_kind)
        assert caller.last == max(row.hour for row in rows)


def test_when_a_caller_called_last_is_as_exact_as_its_key(digits, subscription, cy):
    key, _secret = issue_key(subscription, by=cy)
    make_usage(digits, hours_ago=0, grant_id=key.grant_id)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for used, shown in (
        (hour + timedelta(seconds=1), hour + timedelta(seconds=1)),
        (hour - timedelta(1), hour),
    ):
        Grant.objects.filter(pk=key.grant_id).update(last_used_at=used)
        assert usage_report.callers(digits, usage_report.SPANS[0])[0].last == shown


def test_the_page_reads_as_many_rows_whatever_the_number_of_keys(digits):
    for grant_id in range(1, 30):
        for hours_ago in (0, 1):
            make_usage(digits, hours_ago=hours_ago, grant_id=grant_id)
    assert UsageOfCapability.objects.count() == 2
    assert UsageOfKey.objects.count() in {29, 58}  # two hours may lie on two days


def test_a_month_of_a_busy_capability_is_one_query(digits, ada, django_assert_num_queries):
    for hours_ago in range(40):
        make_usage(digits, hours_ago=hours_ago)
    since, day = timezone.now() - timedelta(days=30), timedelta(days=1)

    with django_assert_num_queries(1):
        rows = usage_by_period(since=since, period=day, capability=digits)

    assert len(rows) <= 3


def test_usage_is_told_by_the_version_and_the_site_that_answered(
    digits, subscription, cy, ada, ole, transport
):
    key, _secret = issue_key(subscription, by=cy)
    here = make_ready_deployment(digits.versions.get(), ole)
    there = deploy_version(
        make_packaged_version(digits, ada, "2.0.0"), kind="production", by=ole, site=transport.site
    )
    make_usage(digits, grant_id=key.grant_id, deployment=here.pk, latencies=(2.0,) * 3)
    make_usage(digits, grant_id=key.grant_id, deployment=there.pk, version="2.0.0", latencies=(50.0,))
    make_usage(digits, grant_id=key.grant_id, deployment=there.pk, version="2.0.0", outcome="runner-died")
    make_usage(digits, grant_id=key.grant_id, deployment=0, version="", outcome="rate-exceeded")

    report = usage_report.for_subscription(subscription, usage_report.SPANS[0])
    assert [(part.name, part.calls, part.failed) for part in report.sites] == [
        (here.site.name, 3, 0),
        (transport.site.name, 3, 2),
        ("refused before", 2, 2),
    ]
    assert {part.name for part in report.versions} == {"1.0.0", "2.0.0", "refused before"}
    assert report.sites[1].percentile(0.5) > 10 * report.sites[0].percentile(0.5)
    header, first, *_others = report.csv("site").splitlines()
    assert header == "site,answered,failed,p50_ms,p95_ms,p99_ms"
    assert first.startswith(f"{here.site.name},3,0,")
    assert report.csv("error").splitlines() == ["error,calls", "rate-exceeded,2", "runner-died,2"]
    assert report.document()["versions"][0].keys() == {
        "name",
        "answered",
        "failed",
        "p50_ms",
        "p95_ms",
        "p99_ms",
    }


def test_no_page_of_usage_reads_the_log_of_calls(
    digits, subscription, cy, ada, django_assert_max_num_queries
):
    issue_key(subscription, by=cy)
    make_usage(digits, grant_id=subscription.keys.get().grant_id)
    for user, paths in (
        (cy, (f"/subscriptions/{subscription.pk}/", "/subscriptions/", "/store/digits/usage/?span=month")),
        (ada, ("/store/", "/store/digits/", "/store/digits/usage/", "/api/v1/store/digits/usage/?span=week")),
    ):
        client = Client()
        client.force_login(user)
        for path in paths:
            with CaptureQueriesContext(connection) as asked:
                assert client.get(path).status_code == 200
            assert not [each["sql"] for each in asked if '"gateway_call"' in each["sql"]], path
