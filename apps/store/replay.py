"""What another plan would have done with the calls of the past. Pure computation.

With the moment of each call the limits are replayed as the gateway enforces them: a bucket that holds `burst` calls
and refills at `rate_per_s`, and whole days and months in UTC. From hourly counts the day and the month are exact too,
and the rate gives the least number of refusals that is possible. Calls at the same time are not replayed: the log does
not say when each ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from apps.store.limits import Limits


@dataclass
class Replay:
    """Calls that would have passed and been refused on each day, refusals by limit and by weekday (0 is Monday)."""

    passed: Counter[date] = field(default_factory=Counter)
    refused: Counter[date] = field(default_factory=Counter)
    by_limit: Counter[str] = field(default_factory=Counter)
    weekdays: Counter[int] = field(default_factory=Counter)
    exact: bool = True

    @property
    def calls(self) -> int:
        return self.passed.total() + self.refused.total()

    def _take(self, at: datetime, passed: int, refused: int, limit: str = "") -> None:
        day = at.astimezone(UTC).date()
        self.passed[day] += passed
        if refused:
            self.refused[day] += refused
            self.by_limit[limit] += refused
            self.weekdays[day.weekday()] += refused


def replay_calls(moments: Iterable[datetime], limits: Limits) -> Replay:
    """The limits applied to each call in turn; `moments` rise."""
    found = Replay()
    days, months = Counter[date](), Counter[tuple[int, int]]()
    size = float(limits.burst or max(limits.rate_per_s or 1, 1))
    level, last = size, None
    for at in moments:
        day = at.astimezone(UTC).date()
        month = (day.year, day.month)
        if limits.rate_per_s is not None:
            gone = (at - last).total_seconds() if last else 0.0
            level, last = min(size, level + gone * limits.rate_per_s), at
        limit = _reached(limits, days[day], months[month], level)
        if limit:
            found._take(at, 0, 1, limit)
            continue
        level -= 1
        days[day] += 1
        months[month] += 1
        found._take(at, 1, 0)
    return found


def _reached(limits: Limits, today: int, this_month: int, level: float) -> str:
    if limits.rate_per_s is not None and level < 1:
        return "rate_per_s"
    if limits.per_day is not None and today >= limits.per_day:
        return "per_day"
    return "per_month" if limits.per_month is not None and this_month >= limits.per_month else ""


def replay_hours(hours: Iterable[tuple[datetime, int]], limits: Limits) -> Replay:
    """The same from the number of calls in each hour; `hours` rise."""
    found = Replay(exact=limits.rate_per_s is None)
    days, months = Counter[date](), Counter[tuple[int, int]]()
    most = None if limits.rate_per_s is None else int(limits.rate_per_s * 3600 + (limits.burst or 1))
    for at, asked in hours:
        count, day = asked, at.astimezone(UTC).date()
        month = (day.year, day.month)
        for limit, room in (
            ("rate_per_s", most),
            ("per_day", None if limits.per_day is None else limits.per_day - days[day]),
            ("per_month", None if limits.per_month is None else limits.per_month - months[month]),
        ):
            if room is not None and count > max(room, 0):
                found._take(at, 0, count - max(room, 0), limit)
                count = max(room, 0)
        found._take(at, count, 0)
        days[day] += count
        months[month] += count
    return found
