"""How many rows go into one call: few at first, then as many as the model answers quickly."""

FIRST_ROWS = 128
MOST_ROWS = 4096
GROWTH, MOST_GROWTH = 4, 32
QUICK_S, SLOW_S = 0.5, 5.0
"""Calls grow while they take less than the first, and shrink when they take more than the second."""
AIMED_S = QUICK_S / 2
"""A call may grow to what would take this long if the seconds grew with its rows."""
VALUES_PER_CALL = 500_000
"""4 MB as FP64: far below what the gateway takes, and a pause that other callers of the model hardly notice."""


class Pace:
    """The size of the next call. `width` is the number of values in a row."""

    def __init__(self, width: int, *, one_by_one: bool = False) -> None:
        self._most = 1 if one_by_one else max(1, min(MOST_ROWS, VALUES_PER_CALL // max(width, 1)))
        self.rows = min(FIRST_ROWS, self._most)

    def took(self, rows: int, seconds: float) -> None:
        """A call of so many rows has been answered; others may be under way."""
        if seconds < QUICK_S:
            growth = min(max(AIMED_S / max(seconds, 1e-6), GROWTH), MOST_GROWTH)
            self.rows = max(self.rows, min(int(rows * growth), self._most))
        elif seconds > SLOW_S:
            self.rows = min(self.rows, max(rows // GROWTH, 1))

    def stay_at(self, rows: int) -> None:
        """Grow no more: a larger call was refused."""
        self.rows = self._most = min(rows, self._most)
