"""What a row costs in processor time, beside what runs now: judged minute by minute, off where nobody is busy."""

import math
import random
from datetime import timedelta
from types import SimpleNamespace

import orjson
import pytest
from django.utils import timezone

from apps.core.errors import Invalid
from apps.gateway.models import Call
from apps.instances.models import Replica
from apps.releases import judging
from apps.releases.effort import Side, comparable, compare, judge, minutes_needed, rows_in
from apps.releases.models import Release, Stage, StageMinute
from apps.releases.policies import create_policy, unwritten
from apps.releases.rollout import active_stage, proceed, promote
from tests.factories import make_calls

pytest_plugins = ["tests.releases.test_stages"]
BEFORE = Side(cpu_s=6.0, calls=600, rows=1.0)


def minutes(ratio, count, *, spread=0.0, seed=1):
    """So many minutes in which the candidate, at a fifth of the calls, costs `ratio` times as much, give or take."""
    chance = random.Random(seed)
    for _minute in range(count):
        factor = math.exp(chance.gauss(0, spread) - spread**2 / 2)
        yield Side(cpu_s=6.0 * ratio * factor / 4, calls=150, rows=1.0), BEFORE


def outcome(*args, allowed=0.5, **facts):
    return judge(compare(minutes(*args, **facts), allowed), allowed).outcome


def test_one_that_costs_what_is_allowed_is_hardly_ever_taken_for_a_costlier_one_however_often_one_looks():
    alarms = 0
    for seed in range(200):
        all_minutes = list(minutes(1.5, 120, spread=0.25, seed=seed))
        alarms += any(compare(all_minutes[:n], 0.5).evidence >= 20 for n in range(10, 121, 10))

    assert alarms / 200 <= 0.05


@pytest.mark.parametrize("allowed", [0.25, 0.5, 1.0])
def test_a_rise_twice_as_large_is_noticed_in_the_minutes_that_it_takes(allowed):
    needed = minutes_needed(allowed)
    found = [outcome(1 + 2 * allowed, needed, spread=0.15, seed=n, allowed=allowed) for n in range(200)]

    assert found.count("failure") / 200 >= 0.8


def test_it_waits_for_its_minutes_and_then_passes_what_costs_the_same():
    assert outcome(1.0, 3) == "undecided"
    assert outcome(1.0, minutes_needed(0.5)) == "success"
    assert compare(minutes(1.3, 5), 0.5).ratio == pytest.approx(1.3)
    assert compare([], 0.5) is None


@pytest.mark.parametrize(
    ("mine", "compared"),
    [
        (Side(1.5, 150, 1.0), True),
        (Side(1.5, 150, 1.4), True),
        (Side(0.9, 150, 1.0), False),  # an idle server's own work, for the most part
        (Side(1.5, 19, 1.0), False),
        (Side(1.5, 150, None), False),
        (Side(1.5, 150, 100.0), False),  # its callers send a hundred rows at once, the others one
    ],
)
def test_only_busy_minutes_with_calls_of_like_size_count(mine, compared):
    assert comparable(mine, BEFORE) is compared


@pytest.mark.parametrize(
    ("request_", "rows"),
    [
        ({"inputs": [{"name": "x", "shape": [7, 4]}]}, 7),
        ({"inputs": [{"name": "x", "shape": []}]}, 1),
        ({"inputs": []}, None),
        ([1], None),
    ],
)
def test_rows_are_read_from_what_was_asked(request_, rows):
    assert rows_in(orjson.dumps(request_)) == rows
    assert rows_in(b"") is None


@pytest.fixture
def busy(start):
    """At a stage of 20 % that asks for it; `go` lets both answer for so many minutes, at this cost of a row."""
    release = start(stages=[{"weight": 20, "worse_by": 0.45, "costlier_by": 0.5}])
    began = timezone.now() - timedelta(hours=2)
    now = timezone.now()
    # The minutes are made up: a recount would find no calls in them.
    Stage.objects.filter(release=release).update(started_at=began, counted_at=now, recounted_at=now)

    def go(ratio, count, rows=1.0):
        stage = active_stage(release)
        first = began.replace(second=0, microsecond=0)
        sides = ((release.deployment_id, 150, 1.5 * ratio, rows), (release.baseline_id, 600, 6.0, 1.0))
        StageMinute.objects.bulk_create(
            StageMinute(
                stage=stage, deployment_id=pk, minute=first + timedelta(minutes=nth), calls=calls, errors=0,
                slow=0, bad=0, histogram=[0] * 64, cpu_s=cpu_s, rows=each,
            )
            for nth in range(count)
            for pk, calls, cpu_s, each in sides
        )  # fmt: skip
        make_calls(release.deployment, good=200, bad=0)
        make_calls(release.baseline, good=800, bad=0)
        proceed(release)
        release.refresh_from_db()
        return release

    return go


@pytest.mark.django_db
def test_a_candidate_whose_rows_cost_much_more_is_rolled_back(busy):
    release = busy(2.6, 30)

    assert release.status == Release.Status.ROLLED_BACK
    assert "a row costs 2.60 times the processor time" in release.reason_words


@pytest.mark.django_db
def test_minutes_that_are_too_few_are_shown_and_hold_nothing_up(busy, ole, client):
    release = busy(1.0, 4)

    shown = active_stage(release)
    assert (shown.outcome, shown.evidence["effort"]["outcome"]) == ("success", "undecided")
    client.force_login(ole)
    page = client.get(f"/releases/{release.pk}/").content.decode()
    assert "A row costs 1.00 times the processor time" in page
    assert f"4 of {minutes_needed(0.5)} busy minutes" in page
    promote(release, by=ole)


@pytest.mark.django_db
def test_few_minutes_that_leave_no_doubt_roll_back(busy):
    assert minutes_needed(0.5) > 12
    assert busy(3.5, 12).status == Release.Status.ROLLED_BACK


@pytest.mark.django_db
def test_minutes_are_compared_once_a_minute(busy, monkeypatch):
    now, looks, look = timezone.now(), [], judging.efforts
    monkeypatch.setattr(judging, "timezone", SimpleNamespace(now=lambda: now))
    monkeypatch.setattr(judging, "efforts", lambda *args: looks.append(args) or look(*args))
    release = busy(1.0, 4)
    looks.clear()

    proceed(release)
    assert not looks
    assert active_stage(release).evidence["effort"]["minutes"] == 4
    now += timedelta(minutes=1)
    proceed(release)
    assert len(looks) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "rows"), [(0, 1.0), (30, 100.0)])
def test_without_minutes_to_compare_the_calls_decide_alone(busy, ole, count, rows):
    release = busy(2.6, count, rows)

    assert "effort" not in active_stage(release).evidence
    promote(release, by=ole)


@pytest.mark.django_db
def test_what_servers_use_is_counted_to_the_minute_and_rows_come_from_the_log(start):
    release = start(stages=[{"weight": 20, "worse_by": 0.45, "costlier_by": 0.5}])
    replicas = Replica.objects.filter(deployment__in=[release.deployment, release.baseline])
    now = timezone.now()
    replicas.update(cpu_s=7, observed_at=now - timedelta(seconds=20))
    proceed(release)
    replicas.update(cpu_s=9.5, observed_at=now)
    proceed(release)
    assert {row.cpu_s for row in StageMinute.objects.all()} == {2.5}
    old = now - timedelta(minutes=5)
    make_calls(release.deployment, good=150, bad=0, at=old)
    make_calls(release.baseline, good=600, bad=0, at=old)
    Call.objects.update(request=orjson.dumps({"inputs": [{"shape": [3, 64]}]}))
    Stage.objects.filter(release=release).update(started_at=old - timedelta(minutes=1), counted_at=None)
    proceed(release)
    StageMinute.objects.filter(calls__gt=0).update(cpu_s=4)
    proceed(release)

    assert {row.rows for row in StageMinute.objects.filter(calls__gt=0)} == {3.0}
    assert active_stage(release).evidence["effort"]["ratio"] == 4.0


@pytest.mark.django_db
def test_a_minute_in_which_a_server_answered_others_too_is_not_compared(start):
    """A replay, a test call or the call of a pinned caller takes processor time and is none of the stage's calls."""
    release = start(stages=[{"weight": 20, "worse_by": 0.45, "costlier_by": 0.5}])
    minute = (timezone.now() - timedelta(minutes=5)).replace(second=0, microsecond=0)
    for nth in range(2):
        at = minute - timedelta(minutes=nth) + timedelta(seconds=10)
        make_calls(release.deployment, good=150, bad=0, at=at)
        make_calls(release.baseline, good=600, bad=0, at=at)
    Call.objects.update(request=orjson.dumps({"inputs": [{"shape": [1, 64]}]}))
    make_calls(release.deployment, good=1, bad=0, share=0, at=minute + timedelta(seconds=20))
    Stage.objects.filter(release=release).update(started_at=minute - timedelta(minutes=3), counted_at=None)
    proceed(release)
    StageMinute.objects.filter(calls__gt=0).update(cpu_s=4)
    proceed(release)

    assert active_stage(release).evidence["effort"]["minutes"] == 1


@pytest.mark.django_db
def test_a_policy_asks_for_it_by_itself_and_stages_of_one_site_cannot(digits, bo):
    assert not any("costlier_by" in stage for stage in unwritten().stages)
    asked = {"weight": 20, "worse_by": 0.1, "costlier_by": 0.5, "site": "centre"}
    with pytest.raises(Invalid, match="at a stage for all sites"):
        create_policy(digits, by=bo, signers=[{"role": "qa", "count": 1}], stages=[asked])
    with pytest.raises(Invalid, match=r"0\.05 to 10"):
        create_policy(
            digits,
            by=bo,
            signers=[{"role": "qa", "count": 1}],
            stages=[asked | {"costlier_by": 11, "site": ""}],
        )
