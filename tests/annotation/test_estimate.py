"""The estimate from a biased queue is unbiased, and its interval covers, by simulation with a fixed seed."""

import numpy as np
import pytest

from apps.annotation.estimate import accuracy, weighted_share


def test_the_interval_covers_the_true_accuracy_of_a_biased_queue():
    rng = np.random.default_rng(3)
    runs, covered, values = 1500, 0, []
    for _ in range(runs):
        hard = rng.random(6000) < 0.2
        right = rng.random(6000) < np.where(hard, 0.6, 0.97)
        chance = np.where(hard, 0.5, 0.05)
        taken = rng.random(6000) < chance
        found = accuracy(right[taken], chance[taken])
        truth = 0.2 * 0.6 + 0.8 * 0.97
        covered += found.low <= truth <= found.high
        values.append(found.value)

    assert 0.93 <= covered / runs <= 0.97
    assert np.mean(values) == pytest.approx(0.2 * 0.6 + 0.8 * 0.97, abs=0.002)


def test_the_plain_share_would_be_wrong():
    correct = [True] * 10 + [False] * 10
    chance = [0.05] * 10 + [1.0] * 10

    assert accuracy(correct, chance).value == pytest.approx(200 / 210)


def test_an_impossible_probability_is_refused():
    with pytest.raises(ValueError, match="probability"):
        accuracy([True, False], [0.5, 0])


def test_one_label_estimates_nothing():
    assert accuracy([True], [1.0]) is None


def test_the_interval_of_a_small_group_covers_and_does_not_vanish():
    rng = np.random.default_rng(5)
    runs = covered = 0
    for _ in range(1500):
        hard = rng.random(150) < 0.2
        right = rng.random(150) < np.where(hard, 0.7, 0.95)
        chance = np.where(hard, 0.6, 0.2)
        taken = rng.random(150) < chance
        if taken.sum() >= 2:
            found = weighted_share(right[taken].tolist(), chance[taken].tolist())
            covered += found.low <= 0.2 * 0.7 + 0.8 * 0.95 <= found.high
            runs += 1

    assert 0.92 <= covered / runs <= 0.99
    assert weighted_share([True] * 5, [0.5] * 5).low < 0.7
