"""Latency has a long tail: compared by logarithms it is decided by all calls, by the plain mean by a few slow ones."""

import math

import numpy as np
import pytest

from apps.experiments import planning
from apps.experiments.analysis import worth_knowing
from apps.experiments.effects import Verdict, as_log, compare
from apps.experiments.models import Experiment
from apps.experiments.services import look
from apps.experiments.shown import arms_shown, figure, unit_of
from tests.experiments.test_count import log  # noqa: F401  a fixture
from tests.experiments.test_effects import sums_of

EFFECT = 0.1
HABITS, NOISE = 0.2, 0.4
STALLS, STALLED = 0.01, 200.0
"""One call in a hundred hangs, and takes 200 times as long."""


class Arm:
    """Callers with habits of their own who come one after the other; `slower` is a factor."""

    def __init__(self, rng, units, slower, looks):
        self.rng, self.looks = rng, looks
        self.habit = rng.normal(math.log(20 * slower), HABITS, units)
        self.busy = rng.gamma(1.0, 1.0, units)
        self.since = rng.integers(0, looks, units)
        self.n, self.logs, self.ms = np.zeros(units, int), np.zeros(units), np.zeros(units)

    def look(self, number):
        """The sums of logarithms, and those of milliseconds, after one more time of calls."""
        calls = self.rng.poisson(np.where(self.since <= number, self.busy, 0.0))
        unit = np.repeat(np.arange(len(calls)), calls)
        took = self.habit[unit] + self.rng.normal(0, NOISE, len(unit))
        took += math.log(STALLED) * (self.rng.random(len(unit)) < STALLS)
        self.n += calls
        self.logs += np.bincount(unit, took, len(calls))
        self.ms += np.bincount(unit, np.exp(took), len(calls))
        return sums_of(self.n, self.logs), sums_of(self.n, self.ms)


def looks_of(rng, slower, *, units=200, looks=8):
    """What is said at each look, by logarithms and by the plain mean."""
    arm, control = Arm(rng, units, slower, looks), Arm(rng, units, 1.0, looks)
    told = []
    for number in range(looks):
        pairs = zip(arm.look(number), control.look(number), (as_log(EFFECT), 20 * EFFECT), strict=True)
        told.append([compare(a, b, effect=worth, step=1.0, higher_is_better=False) for a, b, worth in pairs])
    return told


def test_the_interval_covers_the_truth_at_all_looks_and_false_alarms_stay_below_five_percent():
    rng = np.random.default_rng(23)
    alike = [[one for one, _mean in looks_of(rng, 1.0) if one] for _run in range(200)]
    slower = [[one for one, _mean in looks_of(rng, 1.05) if one] for _run in range(200)]

    once = [told[-1].once_low <= math.log(1.05) <= told[-1].once_high for told in slower]
    always = [all(each.low <= math.log(1.05) <= each.high for each in told) for told in slower]
    alarms = [any(each.verdict in (Verdict.BETTER, Verdict.WORSE) for each in told) for told in alike]
    assert 0.92 <= np.mean(once) <= 0.98
    assert np.mean(always) >= 0.95
    assert np.mean(alarms) <= 0.05


def test_a_tenth_slower_is_noticed_where_the_plain_mean_sees_the_slow_calls_alone():
    rng = np.random.default_rng(29)
    last = [looks_of(rng, 1 + EFFECT, units=1200)[-1] for _run in range(40)]

    assert np.mean([one.verdict is Verdict.WORSE for one, _mean in last]) >= 0.8
    assert np.mean([mean.verdict is Verdict.WORSE for _one, mean in last]) <= 0.1


@pytest.fixture
def typical(running):
    Experiment.objects.filter(pk=running.pk).update(measure="typical", effect=EFFECT)
    running.refresh_from_db()
    return running


def test_one_call_that_hangs_does_not_decide(log, typical):  # noqa: F811
    control, new = typical.arms.all()
    for unit in range(300):
        log(control, unit, ms=20 + unit % 5)
        log(new, 1000 + unit, ms=30_000 if unit == 7 else 16 + (unit % 5) * 0.8)
    log.read()
    look(typical)

    said, shown = typical.evidence["arms"][1], arms_shown(typical)[1]
    assert said["ms"] > 100  # by the plain mean it would be five times as slow
    assert said["effect"]["verdict"] == "better"
    assert shown.mean == pytest.approx(18.0, abs=0.3)
    assert shown.effect["difference"] == pytest.approx(-18.0, abs=1.5)  # percent
    lines = [each["y0"] for each in figure(typical)["layout"]["shapes"]]
    assert lines == [pytest.approx(-9.09, abs=0.01), pytest.approx(10.0)]


def test_a_plan_in_percent_asks_for_as_many_calls_as_logarithms_need(log, typical, digits):  # noqa: F811
    control = typical.arms.first()
    for unit in range(200):
        log(control, unit, ms=30_000 if unit < 2 else 20 + unit % 5)
    log.read()
    asked = {"metric": None, "shares": [50, 50], "size": 50}

    found = planning.plan(digits, measure="typical", effect=EFFECT, **asked)
    mean = planning.plan(digits, measure="latency", effect=EFFECT * 20, **asked)
    assert math.exp(found.mean) == pytest.approx(23.6, abs=0.5)
    assert found.calls * 100 < mean.calls
    assert worth_knowing(typical) == pytest.approx(math.log(1.1))


def test_an_interval_of_few_callers_is_told_as_a_thousandfold_at_most(typical):
    unit = unit_of(typical)

    assert unit.difference(5000.0) == pytest.approx(99_900)
    assert unit.difference(-5000.0) == pytest.approx(-99.9)
