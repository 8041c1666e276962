"""The statistics of experiments, simulated: callers who come back, each with habits of their own."""

import math

import numpy as np
import pytest

from apps.experiments.effects import (
    MISMATCH,
    Sums,
    Verdict,
    calls_needed,
    compare,
    mismatch,
    planned_information,
    radius,
)

EFFECT = 0.05
RATE = 0.3
SPREAD = 0.1
"""By how much callers differ from each other; calls of one caller are alike."""


def sums_of(n, s):
    """The sums over callers with n calls and sums s each; those without a call are no callers."""
    there = n > 0
    n, s = n[there].astype(float), s[there].astype(float)
    return Sums(len(n), n.sum(), s.sum(), (n * n).sum(), (s * s).sum(), (n * s).sum())


class Arm:
    """Callers who come one after the other and call again and again, some much more than others."""

    def __init__(self, rng, units, rate, looks):
        self.rng, self.looks = rng, looks
        self.rates = np.clip(rng.normal(rate, SPREAD, units), 0.01, 0.99)
        self.busy = rng.gamma(1.0, 1.0, units)
        self.since = rng.integers(0, looks, units)
        self.n, self.s = np.zeros(units, int), np.zeros(units, int)

    def look(self, number):
        """The sums after one more time of calls."""
        calls = self.rng.poisson(np.where(self.since <= number, self.busy, 0.0))
        self.n += calls
        self.s += self.rng.binomial(calls, self.rates)
        return sums_of(self.n, self.s)


def effects(rng, rate, *, units=300, looks=20, effect=EFFECT):
    """What is said at each look of an experiment whose arm has this rate."""
    arm, control = Arm(rng, units, rate, looks), Arm(rng, units, RATE, looks)
    pairs = ((arm.look(number), control.look(number)) for number in range(looks))
    told = [compare(one, other, effect=effect, step=1.0, higher_is_better=True) for one, other in pairs]
    return [each for each in told if each is not None]


def test_the_interval_of_one_look_covers_the_truth_in_95_percent_and_the_other_at_all_looks():
    rng = np.random.default_rng(7)
    runs = [effects(rng, RATE + 0.03) for _run in range(500)]

    once = np.mean([told[-1].once_low <= 0.03 <= told[-1].once_high for told in runs])
    always = np.mean([all(each.low <= 0.03 <= each.high for each in told) for told in runs])
    assert 0.93 <= once <= 0.97
    assert always >= 0.95


def test_looking_all_the_time_raises_false_alarms_in_at_most_five_percent():
    rng = np.random.default_rng(11)
    wrong = {Verdict.BETTER, Verdict.WORSE}

    alarms = np.mean([any(each.verdict in wrong for each in effects(rng, RATE)) for _run in range(500)])
    assert alarms <= 0.05


def test_calls_counted_as_if_they_were_callers_would_deceive():
    """The same calls, each taken for a caller of its own: what the variance by callers is for."""
    rng = np.random.default_rng(13)
    found = []
    for _run in range(300):
        sides = [Arm(rng, 400, RATE, 25) for _side in range(2)]
        for side in sides:
            for number in range(25):
                side.look(number)
        n, s = (np.array([[side.n.sum(), side.s.sum()] for side in sides], float)).T
        rates = s / n
        spread = math.sqrt((rates * (1 - rates) / n).sum())
        found.append(abs(rates[0] - rates[1]) <= 1.96 * spread)
    assert np.mean(found) < 0.9


def test_the_planned_information_has_the_announced_power():
    rng = np.random.default_rng(17)
    noticed = []
    for _run in range(400):
        arm, control = Arm(rng, 1500, RATE + EFFECT, 25), Arm(rng, 1500, RATE, 25)
        for number in range(25):
            one, other = arm.look(number), control.look(number)
            told = compare(one, other, effect=EFFECT, step=1.0, higher_is_better=True)
            if told is None or told.verdict is Verdict.BETTER or told.more == 0:
                break
        noticed.append(told.verdict is Verdict.BETTER)

    assert 0.8 <= np.mean(noticed) <= 0.95


def test_the_calls_announced_at_the_start_fulfil_the_plan_when_callers_are_alike():
    needed = calls_needed(RATE * (1 - RATE), EFFECT, [0.5, 0.5])
    half = needed // 2
    same = Sums(half, half, half * RATE, half, half * RATE, half * RATE)

    told = compare(same, same, effect=EFFECT, step=1.0, higher_is_better=True)
    assert told.more < 0.01
    assert calls_needed(0.21, EFFECT, [0.4, 0.3, 0.3]) > needed


def test_rates_differ_by_no_more_than_a_hundred_points():
    all_wrong, none_wrong = Sums(60, 60, 60, 60, 60, 60), Sums(60, 60, 0, 60, 0, 0)

    told = compare(none_wrong, all_wrong, effect=0.4, step=1.0, higher_is_better=False, most=1.0)

    assert (told.low, told.once_low, told.verdict) == (-1.0, -1.0, Verdict.BETTER)
    assert -1.0 < told.high < -0.5


def test_the_interval_is_narrow_enough_at_the_end_of_the_plan():
    variance = 1 / planned_information(EFFECT)

    assert radius(variance, EFFECT) < EFFECT * 0.8
    assert radius(variance / 100, EFFECT) < radius(variance, EFFECT) / 7


def test_several_arms_share_the_five_percent():
    rng = np.random.default_rng(19)
    alarms = 0
    for _run in range(300):
        control, *others = [Arm(rng, 300, RATE, 15) for _arm in range(4)]
        said = set()
        for number in range(15):
            base = control.look(number)
            for each in others:
                told = compare(
                    each.look(number), base, effect=EFFECT, step=1.0, higher_is_better=True, comparisons=3
                )
                said |= {told.verdict} if told else set()
        alarms += bool(said & {Verdict.BETTER, Verdict.WORSE})
    assert alarms / 300 <= 0.05


def fixed(units, mean):
    """Callers with ten calls each, one like the other but for chance."""
    rng = np.random.default_rng(3)
    n = np.full(units, 10)
    return sums_of(n, rng.binomial(n, mean))


@pytest.mark.parametrize(
    ("arm", "higher", "verdict"),
    [
        (0.5, True, Verdict.BETTER),
        (0.5, False, Verdict.WORSE),
        (0.1, True, Verdict.WORSE),
        (0.3, True, Verdict.ALIKE),
    ],
)
def test_the_verdict_follows_the_interval_and_the_direction(arm, higher, verdict):
    told = compare(fixed(2000, arm), fixed(2000, 0.3), effect=EFFECT, step=1.0, higher_is_better=higher)

    assert told.verdict is verdict


def test_few_callers_say_nothing_however_many_calls_they_make():
    n = np.full(10, 100_000)
    told = compare(sums_of(n, n * 0.5), sums_of(n, n * 0.3), effect=EFFECT, step=1.0, higher_is_better=True)

    assert (told.verdict, told.more) == (Verdict.UNDECIDED, None)
    assert compare(Sums(), Sums(), effect=EFFECT, step=1.0, higher_is_better=True) is None


def test_no_error_at_all_is_not_taken_for_certainty():
    quiet = sums_of(np.full(40, 1), np.zeros(40, int))
    told = compare(quiet, quiet, effect=0.01, step=1.0, higher_is_better=False)

    assert told.high > 0.05
    assert told.verdict is Verdict.UNDECIDED


def test_callers_who_are_dealt_unevenly_are_noticed_and_chance_hardly_ever():
    rng = np.random.default_rng(5)
    shares = [0.5, 0.3, 0.2]
    fair = [mismatch(rng.multinomial(2000, shares), shares) for _run in range(500)]

    assert np.mean(np.array(fair) < MISMATCH) <= 0.01
    assert mismatch([1000, 600, 250], shares) < MISMATCH
    assert mismatch([0, 0, 0], shares) == 1.0
