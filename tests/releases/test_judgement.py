"""The promises of the stage clock, by simulation with fixed seeds."""

import numpy as np
import pytest

from apps.releases.judgement import (
    Counts,
    Outcome,
    calls_needed,
    evidence_against,
    judge_bad_answers,
)


def stream(rng, *, calls, share, rate, raised):
    """Cumulative counts (candidate calls, its bad ones, baseline calls, its bad ones) after each call."""
    mine = rng.random(calls) < share
    bad = rng.random(calls) < np.where(mine, raised, rate)
    return (mine.cumsum(), (mine & bad).cumsum(), (~mine).cumsum(), (~mine & bad).cumsum())


def ever_refuted(rng, *, looks, **facts):
    columns = stream(rng, **facts)
    at = np.linspace(len(columns[0]) // looks, len(columns[0]) - 1, looks).astype(int)
    return any(
        evidence_against(Counts(int(a), int(b)), Counts(int(c), int(d))) >= 20
        for a, b, c, d in zip(*(column[at] for column in columns), strict=True)
    )


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_looking_all_the_time_raises_false_alarms_within_alpha(share, rate):
    rng = np.random.default_rng(20261122)
    runs = 400

    alarms = sum(
        ever_refuted(rng, looks=100, calls=4000, share=share, rate=rate, raised=rate) for _ in range(runs)
    )

    assert alarms / runs <= 0.05


@pytest.mark.parametrize(
    ("rate", "worse_by", "share"), [(0.02, 0.03, 0.5), (0.05, 0.05, 0.2), (0.01, 0.05, 0.05)]
)
def test_the_announced_power_is_reached_at_the_announced_size(rate, worse_by, share):
    rng = np.random.default_rng(7)
    needed = calls_needed(rate, worse_by, share)
    others, runs = round(needed * (1 - share) / share), 2000
    bad_c = rng.binomial(needed, rate + worse_by, runs)
    bad_b = rng.binomial(others, rate, runs)

    found = sum(
        evidence_against(Counts(needed, int(c)), Counts(others, int(b))) >= 20
        for c, b in zip(bad_c, bad_b, strict=True)
    )

    assert 0.77 <= found / runs <= 0.90


def test_too_few_calls_never_pass():
    few = judge_bad_answers(Counts(20, 0), Counts(380, 0), worse_by=0.01, share=0.05)

    assert (few.outcome, few.missing) == (Outcome.UNDECIDED, few.needed - 20)


def test_a_candidate_that_fails_often_is_stopped_before_the_planned_size():
    early = judge_bad_answers(Counts(60, 12), Counts(1140, 11), worse_by=0.01, share=0.05)

    assert early.outcome is Outcome.FAILURE
    assert early.missing > 0


def test_enough_good_answers_pass():
    needed = judge_bad_answers(Counts(1, 0), Counts(1, 0), worse_by=0.02, share=0.5).needed

    assert (
        judge_bad_answers(Counts(needed, 0), Counts(needed, 0), worse_by=0.02, share=0.5).outcome
        is Outcome.SUCCESS
    )


def test_nothing_to_compare_with_is_no_evidence():
    assert evidence_against(Counts(100, 50), Counts(0, 0)) == 0
