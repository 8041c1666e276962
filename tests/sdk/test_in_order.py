"""Several calls at once, told in the order in which they were asked."""

import threading
from contextlib import closing

import pytest

from atrium.evaluation.endpoint import in_order


class Door:
    """Counts how many calls are under way."""

    under_way = most = closed = 0
    lock = threading.Lock()

    def close(self):
        type(self).closed += 1


@pytest.fixture
def door():
    return type("OneDoor", (Door,), {})


def test_answers_come_in_order_though_a_later_one_was_quicker(door):
    later = threading.Event()

    def ask(_, number):
        if number == 1:
            assert later.wait(10)
        if number == 2:
            later.set()
        return number

    assert list(in_order(door, ask, range(5))) == [0, 1, 2, 3, 4]
    assert door.closed == 2


def test_the_first_is_answered_before_the_second_is_made_and_never_more_are_under_way(door):
    told = []

    def ask(_, number):
        with door.lock:
            door.under_way += 1
            door.most = max(door.most, door.under_way)
        told.append(number)
        with door.lock:
            door.under_way -= 1
        return number

    def asked():
        yield 0
        assert told == [0]
        yield from range(1, 20)

    assert len(list(in_order(door, ask, asked(), at_once=2))) == 20
    assert door.most <= 2


def test_the_next_are_asked_while_one_is_used(door):
    """Whoever uses an answer for long does not hold up those that come."""
    third = threading.Event()

    def ask(_, number):
        if number == 2:
            third.set()
        return number

    with closing(in_order(door, ask, range(3))) as told:
        assert next(told) == 0
        assert third.wait(10)


def test_who_takes_no_more_leaves_the_rest_unasked(door):
    told = []
    with closing(in_order(door, lambda _, number: told.append(number), range(1000))) as answers:
        next(answers)
    assert len(told) <= 3
    assert door.closed == 2


def test_a_call_that_fails_is_told_where_it_stands(door):
    def ask(_, number):
        if number == 1:
            raise ValueError("one")
        return number

    answers = in_order(door, ask, range(3))
    assert next(answers) == 0
    with pytest.raises(ValueError, match="one"):
        next(answers)
    assert door.closed == 2
