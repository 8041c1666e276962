"""The sequential test of a business metric, simulated: false alarms at most 5 %, power at least 80 %."""

import numpy as np
import pytest

from apps.releases import business
from apps.releases.judgement import Outcome
from apps.releases.means import Sums, calls_needed, compare, evidence_by_minute, judge

WORSE_BY = 0.1
PER_MINUTE = 8


def minutes_of(rng, candidate, baseline, count, *, drift=0.0):
    """Minutes of calls that are good or not; `drift` lowers both sides alike as time passes."""
    found = []
    for at in range(count):
        low = drift * at / count
        pair = []
        for rate in (candidate, baseline):
            n = rng.poisson(PER_MINUTE)
            good = int(rng.binomial(n, max(0.0, rate - low)))
            pair.append(Sums(n, good, good))
        found.append(tuple(pair))
    return found


def alarms(candidate, baseline, minutes, *, runs=150, drift=0.0):
    """The part of the runs in which somebody who looks after every minute rolls back at some time."""
    rng = np.random.default_rng(3)
    count = 0
    for _run in range(runs):
        rows = minutes_of(rng, candidate, baseline, minutes, drift=drift)
        count += max(evidence_by_minute(rows, WORSE_BY)) >= 20
    return count / runs


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_an_equal_candidate_is_rolled_back_in_at_most_five_percent(drift):
    assert alarms(0.7, 0.7, 100, drift=drift) <= 0.05


def test_a_better_candidate_hardly_ever_is():
    assert alarms(0.75, 0.7, 100, runs=100) <= 0.01


def test_the_announced_number_of_calls_has_the_announced_power():
    needed = calls_needed(0.7 * 0.3, WORSE_BY, 0.5)

    assert 400 < needed < 1200
    assert alarms(0.6, 0.7, round(needed / PER_MINUTE), runs=100) >= 0.8


def test_too_few_calls_are_undecided_and_enough_are_a_success():
    rng = np.random.default_rng(1)
    few, many = minutes_of(rng, 0.7, 0.7, 10), minutes_of(rng, 0.72, 0.7, 200)

    assert judge(compare(few, 0.1), worse_by=0.1, share=0.5, name="x").outcome is Outcome.UNDECIDED
    assert judge(compare(many, 0.1), worse_by=0.1, share=0.5, name="x").outcome is Outcome.SUCCESS
    assert judge(compare([], 0.1), worse_by=0.1, share=0.5, name="x").missing > 0


def metric(**changes):
    return {"name": "handled", "expression": "correct", "worse_by": 0.05, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expression": "parsed.["}, "cannot be read"),
        ({"low": 2, "high": 1}, "low is below high"),
        ({"worse_by": 0}, "worse_by"),
        ({"unit": "s"}, "no “unit”"),
        ({"name": " "}, "name"),
        ({"expression": 7}, "expression"),
    ],
)
def test_a_metric_that_cannot_be_used_says_why(changes, words):
    with pytest.raises(ValueError, match=words):
        business.parse(metric(**changes))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("correct", 1.0),
        ("parsed.amount", 12.5),
        ("parsed.kind == 'fault' && correct", 1.0),
        ("parsed.missing", None),
        ("parsed.kind", None),
    ],
)
def test_an_expression_reads_the_call_and_its_feedback(expression, value):
    document = {"parsed": {"amount": 12.5, "kind": "fault"}, "correct": True}

    assert business.value_of(business.parse(metric(expression=expression)), document) == value


def test_less_is_better_turns_the_scale_around():
    seconds = business.parse(metric(low=0, high=10, higher_is_better=False, worse_by=1))

    assert (seconds.scaled(2.5), seconds.scaled(99), seconds.unscaled(0.75)) == (0.75, 0.0, 2.5)
