"""The test that stops a queue keeps its promise under continuous looking, by simulation with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from apps.annotation.estimate import accuracy
from apps.annotation.sequential import ALPHA, decide, log_wealth

RUNS, LABELS, GATE = 1000, 1500, 0.9
ENOUGH = np.log(2 / ALPHA)


def first_stop(right, scaled, gate=GATE):
    """(after how many labels, whether it was said to be reached); looked at after each single one."""
    above, below = log_wealth(right, scaled, gate), log_wealth(1 - right, scaled, 1 - gate)
    stops = np.flatnonzero(np.maximum(above, below) >= ENOUGH)
    return (stops[0] + 1, bool(above[stops[0]] >= ENOUGH)) if len(stops) else (None, None)


def test_false_stops_stay_within_alpha_however_often_one_looks():
    rng = np.random.default_rng(11)
    stopped = fixed = 0
    for _run in range(RUNS):
        right = (rng.random(LABELS) < GATE).astype(float)
        stopped += first_stop(right, np.ones(LABELS))[0] is not None
        looks = [accuracy(right[:n], np.ones(n)) for n in range(30, LABELS, 30)]
        fixed += any(found.low > GATE or found.high < GATE for found in looks)

    assert stopped / RUNS <= ALPHA
    assert fixed / RUNS > 2 * ALPHA, "an interval for a fixed number of labels does not keep it"


def test_they_stay_within_alpha_with_unequal_probabilities():
    rng = np.random.default_rng(12)
    hard_share, chance = 0.2, np.array([0.1, 0.5])  # easy calls are drawn less often than hard ones
    truth = (1 - hard_share) * 0.97 + hard_share * 0.6
    drawn_hard = hard_share * 0.5 / (hard_share * 0.5 + (1 - hard_share) * 0.1)
    stopped = 0
    for _run in range(RUNS):
        hard = rng.random(LABELS) < drawn_hard
        right = (rng.random(LABELS) < np.where(hard, 0.6, 0.97)).astype(float)
        scaled = (1 / chance[hard.astype(int)]) * chance.min()
        stopped += first_stop(right, scaled, truth)[0] is not None

    assert stopped / RUNS <= ALPHA


def test_a_clear_case_is_decided_rightly_and_about_when_it_was_foreseen():
    rng = np.random.default_rng(13)
    needed, foreseen, right_way = [], [], 0
    for _run in range(200):
        right = (rng.random(3000) < 0.96).astype(float)
        at, reached = first_stop(right, np.ones(3000))
        right_way += bool(reached)
        if at and at > 60:
            needed.append(at - 60)
            foreseen.append(decide((right[:60] > 0).tolist(), [1.0] * 60, GATE).to_go or 0)

    assert right_way >= 190
    assert 0.5 <= np.median(foreseen) / np.median(needed) <= 2


def test_the_bounds_hold_the_truth_at_every_look():
    rng = np.random.default_rng(14)
    missed = 0
    for _run in range(300):
        right = (rng.random(400) < 0.8).tolist()
        found = decide(right, [1.0] * 400, GATE)
        missed += not found.low <= 0.8 <= found.high
        assert found.high - found.low < 0.25

    assert missed / 300 <= ALPHA


def test_open_labels_decide_nothing_in_advance():
    agreed_first = [True] * 60 + [None] * 20

    assert decide([True] * 60, [1.0] * 60, GATE).reached is True
    assert decide(agreed_first[20:] + [True] * 20, [1.0] * 80, GATE).reached is None
    assert decide(agreed_first, [1.0] * 80, GATE).waiting == 20


def test_few_labels_foresee_nothing_and_none_decide_nothing():
    assert decide([True] * 5, [1.0] * 5, GATE).to_go is None
    empty = decide([], [], GATE)
    assert (empty.reached, empty.low, empty.high) == (None, 0, 1)
    assert decide([False] * 30, [1.0] * 30, GATE).reached is False
    with pytest.raises(ValueError, match="weight"):
        decide([True], [0.5], GATE)
