"""Plans hold over several gateway processes, through kills, and while the shared counters are away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from apps.gateway.dataplane.limits import Limiter
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.snapshot import Grant
from apps.gateway.dataplane.valkey import Away
from portal.supervisor.valkey import Valkey
from tests.gateway.conftest import KEY, grant, picture, until


@pytest.fixture
def valkey(folder):
    """A Valkey of the test's own, which it may stop and start."""
    server = Valkey(folder / "valkey", folder / "v.sock", folder / "valkey.log", "of-the-tests")
    server.start()
    yield server
    server.stop()


def url(server: Valkey) -> str:
    return f"unix://:{server.password}@{server.socket}?db=0"


def statuses(gateway, count: int, *, key: str = KEY, threads: int = 8) -> list[int]:
    """The statuses of this many calls, each on a connection of its own, so over all processes."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda _: gateway.infer(key=key).status, range(count)))


def pids(gateway) -> set[int]:
    """The serving processes, as they say themselves."""
    return {gateway.get("/healthz").json["pid"] for _ in range(40)}


def test_a_quota_is_exact_over_two_processes(gateway, runner, valkey):
    keys = {KEY: grant(limits={"per_day": 150})}
    serving = gateway(picture(keys=keys, sockets={"1.0.0": [runner()]}), processes=2, valkey_url=url(valkey))
    until(lambda: len(pids(serving)) == 2)

    found = statuses(serving, 220)

    assert (found.count(200), found.count(429)) == (150, 70)


def test_a_part_of_a_pool_counts_in_its_day_and_has_its_own_rate(gateway, runner, valkey):
    hands = grant(pool="trial", limits={"per_day": 12, "rate_per_s": 0.01, "burst": 3})
    rows = grant(pool="trial/rows", limits={"per_day": 12}, grant=8)
    keys = {KEY: hands, "rows": rows}
    serving = gateway(picture(keys=keys, sockets={"1.0.0": [runner()]}), processes=1, valkey_url=url(valkey))

    assert statuses(serving, 5, threads=1) == [200, 200, 200, 429, 429]
    assert statuses(serving, 11, key="rows", threads=1) == [200] * 9 + [429] * 2


def test_a_quota_is_exact_though_a_process_was_killed_with_a_lease(gateway, runner, valkey):
    keys = {KEY: grant(limits={"per_day": 2000})}
    serving = gateway(picture(keys=keys, sockets={"1.0.0": [runner()]}), processes=2, valkey_url=url(valkey))
    answered = statuses(serving, 100).count(200)
    for pid in pids(serving):
        os.kill(pid, signal.SIGKILL)
    until(serving.answers)
    until(lambda: len(list(serving.calllog.glob("*/ledger"))) == 2, 20)  # siblings settled the dead ones

    with redis.Redis.from_url(url(valkey)) as counters:
        (key,) = counters.keys("atrium:quota:*")
        until(lambda: int(counters.hget(key, b"used")) == answered == 100)


def test_a_restart_does_not_give_the_quota_anew(gateway, runner, valkey):
    keys = {KEY: grant(limits={"per_day": 10})}
    shot = picture(keys=keys, sockets={"1.0.0": [runner()]})
    serving = gateway(shot, valkey_url=url(valkey))
    assert statuses(serving, 8) == [200] * 8
    serving.stop()
    serving.start(shot)

    assert sorted(statuses(serving, 5)) == [200, 200, 429, 429, 429]


def test_a_failing_model_costs_no_quota(gateway, runner, valkey):
    keys = {KEY: grant(limits={"per_day": 3})}
    serving = gateway(picture(keys=keys), valkey_url=url(valkey))  # nothing serves it

    assert statuses(serving, 10) == [503] * 10


def test_with_the_counters_away_known_keys_go_on_and_stay_below_the_quota(gateway, runner, valkey):
    keys = {
        KEY: grant(limits={"per_day": 40}),
        "rated": grant(pool="r", limits={"rate_per_s": 1000, "burst": 1000}),
    }
    serving = gateway(picture(keys=keys, sockets={"1.0.0": [runner()]}), processes=2, valkey_url=url(valkey))
    assert statuses(serving, 10) == [200] * 10
    valkey.stop()

    found = statuses(serving, 60)
    assert 10 <= found.count(200) <= 30  # 30 were left; each process has at most half of 40
    assert 200 in statuses(serving, 10, key="rated")
    assert (
        "own share"
        in until(lambda: next((h for h in [serving.get("/healthz").json] if "own" in h["quotas"]), None))[
            "quotas"
        ]
    )

    valkey.start()
    time.sleep(1.5)
    found = statuses(serving, 60)
    assert found.count(200) <= 30


class Nowhere:
    """Shared counters that are away."""

    async def run(self, *_asked):
        raise Away


class Counting:
    """Shared counters of one day that note what each reported last, and lease ten units of what is left."""

    def __init__(self, left: int = 100) -> None:
        self.left = left
        self.spent: dict[tuple[str, str], int] = {}

    async def run(self, _script, keys, asked):
        self.spent[keys[0], asked[0]] = asked[1]
        return 10 * asked[4], self.left - sum(self.spent.values())


async def admitted_of(limiter: Limiter, *calls: Grant) -> int:
    """How many of these calls are let in."""
    count = 0
    for one in calls:
        with contextlib.suppress(Refused):
            await limiter.admit(one)
            count += 1
    return count


def parts_of_a_pool(**limits) -> list[Grant]:
    return [Grant.parse(grant(pool=pool, limits=limits)) for pool in ("a", "a/rows")]


def test_with_the_counters_away_a_key_that_is_first_used_then_has_its_share_of_the_burst_at_once(folder):
    one = Grant.parse(grant(limits={"rate_per_s": 0.001, "burst": 6}))

    async def admitted() -> int:
        limiter, count = Limiter(folder, Nowhere(), 2), 0
        for _turn in range(10):
            with contextlib.suppress(Refused):
                await limiter.admit(one)
                count += 1
        return count

    assert asyncio.run(admitted()) == 3


def test_with_the_counters_away_the_parts_of_a_pool_spend_one_share(folder):
    grants = parts_of_a_pool(per_day=24, per_month=100)

    async def admitted() -> int:
        limiter = Limiter(folder, Nowhere(), 2)
        count = 0
        for turn in range(40):
            with contextlib.suppress(Refused):
                await limiter.admit(grants[turn % 2])
                count += 1
        return count

    assert asyncio.run(admitted()) == 12


@pytest.mark.parametrize(("larger", "smaller"), [("a", "a/rows"), ("a/rows", "a")])
def test_with_the_counters_away_parts_with_other_limits_count_together(folder, larger, smaller):
    """Of 24 and 16 for each of two processes: what one part spends is gone for the other."""
    large, small = (
        Grant.parse(grant(pool=pool, limits={"per_day": units}))
        for pool, units in ((larger, 24), (smaller, 16))
    )

    async def admitted() -> tuple[int, int]:
        limiter, counts = Limiter(folder, Nowhere(), 2), [0, 0]
        for at, one in ((0, small),) * 20 + ((1, large),) * 20:
            with contextlib.suppress(Refused):
                await limiter.admit(one)
                counts[at] += 1
        await limiter.close()
        return counts[0], counts[1]

    assert asyncio.run(admitted()) == (8, 4)


def test_what_a_part_spent_after_the_counters_went_away_is_taken_from_what_the_other_knew(folder):
    counters = Counting()
    large, small = (
        Grant.parse(grant(pool=pool, limits={"per_day": units}))
        for pool, units in (("a", 400), ("a/rows", 240))
    )

    async def admitted() -> int:
        limiter, count = Limiter(folder, counters, 2), 0
        for one in (large, small):
            await limiter.admit(one)
        counters.run = Nowhere().run
        for one in (small,) * 300 + (large,) * 300:
            with contextlib.suppress(Refused):
                await limiter.admit(one)
                count += 1
        return count

    assert asyncio.run(admitted()) <= 100 + 2 * 10  # what was left when they went, and both leases


def test_what_a_part_spent_and_reported_is_taken_from_what_the_other_knew_of_before(folder):
    counters = Counting(left=200)
    large, small = (
        Grant.parse(grant(pool=pool, limits={"per_day": units}))
        for pool, units in (("a", 2000), ("a/rows", 1900))
    )

    async def admitted() -> tuple[int, int]:
        limiter = Limiter(folder, counters, 2)
        await admitted_of(limiter, large)
        await limiter.tick()
        small_ones = await admitted_of(limiter, *(small,) * 90)
        await limiter.tick()
        counters.run = Nowhere().run
        return small_ones, await admitted_of(limiter, *(large,) * 300)

    small_ones, large_ones = asyncio.run(admitted())
    assert small_ones == 90
    assert 100 <= large_ones <= 109


@pytest.mark.parametrize("now", [{"per_day": 24}, {"per_day": 26}])
def test_with_the_counters_away_a_share_that_is_spent_is_not_given_again(folder, now):
    """Neither to a pool that slept nor to one whose plan has changed; what was spent is reported when they are back."""
    counters = Counting()
    before, after = (Grant.parse(grant(pool="a", limits=limits)) for limits in ({"per_day": 24}, now))

    async def admitted() -> list[int]:
        limiter = Limiter(folder, counters, 2)
        there, counters.run = counters.run, Nowhere().run
        counts = [await admitted_of(limiter, *(before,) * 20)]
        for _night in range(2):
            limiter._pools["a"].used -= 1000
            await limiter.tick()
            counts.append(await admitted_of(limiter, *(after,) * 20))
        counters.run = there
        await limiter.tick()
        assert [len(together) for together in limiter._together.values()] == [1]
        return counts

    more = now["per_day"] // 2 - 12
    assert asyncio.run(admitted()) == [12, more, 0]
    assert sum(counters.spent.values()) == 12 + more


def test_with_the_counters_away_a_pool_that_slept_still_knows_how_few_were_left(folder):
    counters = Counting(left=30)
    one, larger = (Grant.parse(grant(pool="a", limits={"per_day": units})) for units in (400, 406))

    async def admitted() -> list[int]:
        limiter = Limiter(folder, counters, 2)
        await admitted_of(limiter, one)
        counters.run = Nowhere().run
        counts = [await admitted_of(limiter, *(one,) * 100)]
        limiter._pools["a"].used -= 1000
        await limiter.tick()
        return [
            *counts,
            await admitted_of(limiter, *(one,) * 100),
            await admitted_of(limiter, *(larger,) * 100),
        ]

    assert asyncio.run(admitted()) == [29, 0, 6]


def test_a_part_of_a_pool_that_sleeps_or_changes_its_limits_takes_nothing_from_the_other(folder):
    """They count in one quota, which reports what both spent and goes with the last of them."""
    counters = Counting()
    first, rows = parts_of_a_pool(per_day=24)

    async def reported() -> list[int]:
        limiter = Limiter(folder, counters, 2)
        for one in (first, rows, rows):
            await limiter.admit(one)
        limiter.pool(first).used -= 1000
        kept = dict(limiter._quotas)
        await limiter.tick()
        assert kept == limiter._quotas
        (changed,) = (one for one in parts_of_a_pool(per_day=24, payload_bytes=9) if one.pool == "a/rows")
        await limiter.admit(changed)
        await limiter.tick()
        await limiter.close()
        return list(counters.spent.values())

    assert asyncio.run(reported()) == [4]


def test_the_rate_is_shared_by_two_processes(gateway, runner, valkey):
    keys = {KEY: grant(limits={"rate_per_s": 20, "burst": 20})}
    serving = gateway(picture(keys=keys, sockets={"1.0.0": [runner()]}), processes=2, valkey_url=url(valkey))
    began = time.monotonic()
    found = statuses(serving, 100, threads=8)
    allowed = 20 + 20 * (time.monotonic() - began)

    assert 15 <= found.count(200) <= allowed + 1


def test_calls_at_once_are_counted_over_two_processes(gateway, runner, valkey):
    keys = {KEY: grant(limits={"concurrent": 3})}
    serving = gateway(picture(keys=keys, sockets={"1.0.0": [runner()]}), processes=2, valkey_url=url(valkey))
    slow: list[int] = []
    waiting = [
        threading.Thread(target=lambda: slow.append(serving.infer(b"SLEEP1.5").status)) for _ in range(8)
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()

    assert slow.count(429) == 5
    assert until(lambda: serving.infer().status == 200)


def test_new_limits_act_at_once_and_keep_what_was_spent(gateway, runner, valkey):
    sockets = {"1.0.0": [runner()]}
    first = picture(keys={KEY: grant(limits={"per_day": 5})}, sockets=sockets)
    serving = gateway(first, valkey_url=url(valkey))
    assert statuses(serving, 6).count(200) == 5
    serving.stop()
    serving.start(picture(2, keys={KEY: grant(limits={"per_day": 8})}, sockets=sockets))

    assert statuses(serving, 6).count(200) == 3
