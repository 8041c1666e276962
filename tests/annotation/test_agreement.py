"""Agreement by known numbers."""

import pytest

from apps.annotation.agreement import agreement, majority


def test_full_agreement_is_one():
    found = agreement([["a", "a"], ["b", "b"], ["a", "a"]])

    assert (found.alpha, found.raw, found.items) == (pytest.approx(1), 1, 3)


def test_alpha_of_a_published_example():
    # Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", nominal data of four observers: 0.743
    units = ["aaa", "bbcb", "cccc", "cccc", "bbbb", "abcd", "dddd", "aaba", "bbbb", "eee", "aa", "c"]

    assert agreement([list(unit) for unit in units]).alpha == pytest.approx(0.743, abs=0.001)


def test_one_label_everywhere_leaves_alpha_undefined():
    found = agreement([["a", "a"], ["a", "a"]])

    assert (found.alpha, found.raw) == (None, 1)


def test_single_votes_say_nothing():
    assert agreement([["a"], ["b"]]).items == 0


@pytest.mark.parametrize(
    ("labels", "winner"), [("aab", "a"), ("ab", None), ("a", "a"), ("", None), ("aabb", None)]
)
def test_a_majority_is_more_than_half(labels, winner):
    assert majority(list(labels)) == winner
