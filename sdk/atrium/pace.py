"""How many rows go into one call: few at first, then as many as the model answers quickly."""

FIRST_ROWS = 128
MOST_ROWS = 4096
GROWTH = 4
QUICK_S, SLOW_S = 0.5, 5.0
"""Calls grow while they take less than the first, and shrink when they take more than the second."""
VALUES_PER_CALL = 500_000
"""4 MB as FP64: far below what the gateway takes, and a pause that other callers of the model hardly notice."""


class Pace:
    """The size of the next call. `width` is the number of values in a row."""

    def __init__(self, width: int, *, one_by_one: bool = False) -> None:
        self._most = 1 if one_by_one else max(1, min(MOST_ROWS, VALUES_PER_CALL // max(width, 1)))
        self.rows = min(FIRST_ROWS, self._most)

    def took(self, seconds: float) -> None:
        """A call of this size has been answered."""
        if seconds < QUICK_S:
            self.rows = min(self.rows * GROWTH, self._most)
        elif seconds > SLOW_S:
            self.rows = max(self.rows // GROWTH, 1)

    def stay_at(self, rows: int) -> None:
        """Grow no more: a larger call was refused."""
        self.rows = self._most = min(rows, self._most)
