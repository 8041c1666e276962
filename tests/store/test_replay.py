"""What another plan would have done, against cases that can be counted by hand."""

from datetime import UTC, datetime, timedelta

from apps.store.limits import Limits
from apps.store.replay import replay_calls, replay_hours

MONDAY = datetime(2026, 11, 2, 10, tzinfo=UTC)


def every(seconds: float, count: int, start: datetime = MONDAY) -> list[datetime]:
    return [start + timedelta(seconds=seconds * n) for n in range(count)]


def test_without_limits_everything_passes():
    found = replay_calls(every(0.001, 500), Limits())
    assert (found.calls, found.refused.total()) == (500, 0)


def test_a_bucket_lets_the_burst_pass_and_then_the_rate():
    found = replay_calls(every(0.1, 31), Limits(rate_per_s=2, burst=5))
    # 3 s at 2 a second refill 6 calls beside the 5 of the burst
    assert found.passed.total() == 11
    assert set(found.by_limit) == {"rate_per_s"}


def test_the_day_and_the_month_end_in_utc():
    late = MONDAY.replace(hour=23, minute=59)
    found = replay_calls(every(60, 3, late), Limits(per_day=1))
    assert (found.passed.total(), found.refused.total()) == (2, 1)
    found = replay_calls([MONDAY + timedelta(days=n) for n in range(40)], Limits(per_month=10))
    assert found.passed.total() == 20
    assert found.by_limit == {"per_month": 20}


def test_refusals_are_told_by_weekday():
    moments = [m for week in range(4) for m in every(1, 14, MONDAY + timedelta(weeks=week))]
    found = replay_calls(moments, Limits(per_day=10))
    assert found.weekdays == {0: 16}


def test_a_refused_call_uses_up_nothing():
    found = replay_calls(every(0.5, 14), Limits(rate_per_s=1, burst=1, per_day=5))
    assert found.passed.total() == 5
    assert found.by_limit == {"rate_per_s": 5, "per_day": 4}


def test_from_hours_the_days_quota_is_exact():
    hours = [(MONDAY + timedelta(hours=n), 100) for n in range(5)]
    found = replay_hours(hours, Limits(per_day=250))
    assert (found.passed.total(), found.refused.total(), found.exact) == (250, 250, True)


def test_from_hours_the_rate_is_a_least_number_and_says_so():
    found = replay_hours([(MONDAY, 10_000)], Limits(rate_per_s=1, burst=10))
    assert (found.refused.total(), found.exact) == (10_000 - 3_610, False)


def test_hours_and_calls_agree_where_both_are_exact():
    moments = every(7, 3000)
    hours: dict[datetime, int] = {}
    for at in moments:
        hour = at.replace(minute=0, second=0, microsecond=0)
        hours[hour] = hours.get(hour, 0) + 1
    limits = Limits(per_day=700, per_month=2000)
    assert replay_calls(moments, limits).refused == replay_hours(sorted(hours.items()), limits).refused
