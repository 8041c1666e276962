"""Whether a rule can still be fulfilled: are there enough different people for its steps?

Pure computation. A step needs `count` people out of a set; with four eyes nobody may fill two steps.
"""

from __future__ import annotations

from collections.abc import Sequence


def missing(steps: Sequence[tuple[int, set[int]]], *, four_eyes: bool) -> list[int]:
    """For each step `(count, candidates)`, how many people it lacks; all zero means that it can be fulfilled.

    With four eyes the people are shared out over the steps by bipartite matching (augmenting paths), so
    that two steps which only the same person could fill are found out.
    """
    if not four_eyes:
        return [max(0, count - len(candidates)) for count, candidates in steps]
    seats = [(index, candidates) for index, (count, candidates) in enumerate(steps) for _ in range(count)]
    seat_of: dict[int, int] = {}

    def seated(seat: int, tried: set[int]) -> bool:
        for person in sorted(seats[seat][1] - tried):
            tried.add(person)
            if person not in seat_of or seated(seat_of[person], tried):
                seat_of[person] = seat
                return True
        return False

    lacking = [0] * len(steps)
    for number, (index, _candidates) in enumerate(seats):
        if not seated(number, set()):
            lacking[index] += 1
    return lacking
