"""Slices of a layer: what is taken, where there is room, and how a plan of arms has to be. Pure computation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WHOLE = 100


@dataclass(frozen=True, order=True)
class Slice:
    """A part of a layer in percent: from `begins`, up to and without `ends`."""

    begins: int
    ends: int

    @property
    def size(self) -> int:
        return self.ends - self.begins

    def overlaps(self, other: Slice) -> bool:
        """Whether there is a caller in both."""
        return self.begins < other.ends and other.begins < self.ends


def gaps(taken: Iterable[Slice]) -> list[Slice]:
    """What is free of a layer, from its beginning."""
    found, reached = [], 0
    for each in sorted(taken):
        if each.begins > reached:
            found.append(Slice(reached, each.begins))
        reached = max(reached, each.ends)
    if reached < WHOLE:
        found.append(Slice(reached, WHOLE))
    return found


def room_for(size: int, taken: Sequence[Slice]) -> Slice | None:
    """The first place of this size that is free; None when there is none."""
    for gap in gaps(taken):
        if gap.size >= size:
            return Slice(gap.begins, gap.begins + size)
    return None
