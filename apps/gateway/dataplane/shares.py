"""One process's share of each limit: units in hand, and how to get more from the shared counters.

In the common case a call takes a unit that is already here. Days and months are UTC's.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.valkey import Away, Script

if TYPE_CHECKING:
    from apps.gateway.dataplane.ledger import Ledger
    from apps.gateway.dataplane.valkey import Valkey

LEASE_SECONDS = 60
RENEW_SECONDS = 10.0
TOKEN_SECONDS = 1.0

RATE = Script("""
local rate, burst, share = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local h = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = math.min(burst, (tonumber(h[1]) or burst) + math.max(0, now - (tonumber(h[2]) or now)) * rate)
local give = 0
if level >= 1 then give = math.floor(math.max(1, level / share)) end
level = level - give
redis.call('HSET', KEYS[1], 'level', tostring(level), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(burst / rate) + 60)
return {give, math.ceil(math.max(0, 1 - level) / rate * 1000)}
""")

QUOTA = Script("""
local me, spent, held, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local more, ends, lease = ARGV[5] == '1', tonumber(ARGV[6]), tonumber(ARGV[7])
local now = tonumber(redis.call('TIME')[1])
local used, others, before = 0, 0, 0
local all = redis.call('HGETALL', KEYS[1])
local ending = {}
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'e:' then ending[string.sub(all[i], 3)] = tonumber(all[i + 1]) end
end
for i = 1, #all, 2 do
  local kind, who, value = string.sub(all[i], 1, 2), string.sub(all[i], 3), tonumber(all[i + 1])
  if all[i] == 'used' then used = value
  elseif kind == 'c:' and who == me then before = value
  elseif kind == 'o:' and who ~= me then
    if (ending[who] or 0) < now then redis.call('HDEL', KEYS[1], 'o:' .. who, 'e:' .. who)
    else others = others + value end
  end
end
used = used + spent - before
local left = math.max(0, limit - used - others)
local give = 0
if more then give = math.max(0, math.min(left, math.max(1, math.floor(left / 100))) - held) end
if held > left then give = left - held end
redis.call('HSET', KEYS[1], 'used', used, 'c:' .. me, spent)
if held + give > 0 then redis.call('HSET', KEYS[1], 'o:' .. me, held + give, 'e:' .. me, now + lease)
else redis.call('HDEL', KEYS[1], 'o:' .. me, 'e:' .. me) end
redis.call('EXPIREAT', KEYS[1], ends + 86400)
return {give, left}
""")

PERMITS = Script("""
local me, want, limit, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local held, ends = string.match(all[i + 1], '(%d+):(%d+)')
  if tonumber(ends) < now then redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= me then others = others + tonumber(held) end
end
local give = math.max(0, math.min(want, limit - others))
if give > 0 then redis.call('HSET', KEYS[1], me, string.format('%d:%d', give, now + lease))
else redis.call('HDEL', KEYS[1], me) end
redis.call('EXPIRE', KEYS[1], lease * 2)
return give
""")


class Share(ABC):
    """Units of one limit that this process may spend without asking."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._tasks: set[asyncio.Task[bool]] = set()

    @abstractmethod
    def take(self) -> bool:
        """Take a unit that is in hand."""

    @abstractmethod
    def put_back(self) -> None:
        """Return a unit: the call was not made after all."""

    @abstractmethod
    async def refill(self) -> bool:
        """Ask for more; False when there is none."""

    @abstractmethod
    def refusal(self) -> Refused:
        """What the caller is told when there is none."""

    policy = b""
    """What the headers say of the limit; empty when they say nothing."""

    def state(self) -> bytes:
        """What the headers say of what is left."""
        return b""

    def low(self) -> bool:
        """Whether it is time to ask, before the last unit is gone."""
        return False

    async def obtain(self) -> bool:
        """Take a unit, asking when none is in hand. Callers wait for one question together."""
        async with self._asking:
            return self.take() or (await self.refill() and self.take())

    def prefetch(self) -> None:
        """Ask in the background."""
        if not self._asking.locked():
            task = asyncio.get_running_loop().create_task(self._refill_alone())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _refill_alone(self) -> bool:
        async with self._asking:
            return await self.refill()


class Rate(Share):
    """A token bucket: alone in this process, or a leased part of the shared one."""

    def __init__(self, key: str, rate: float, burst: int, valkey: Valkey | None, processes: int) -> None:
        super().__init__()
        self._key, self._rate, self._burst = f"atrium:rate:{key}", rate, max(1, burst)
        self._valkey = valkey if processes > 1 else None
        self._processes = processes
        self._level = float(self._burst) if self._valkey is None else 0.0
        self._given = 0.0
        self._at = time.monotonic() - self._burst / rate  # own tokens have grown to a full burst by now
        self._wait = 1.0 / rate
        self.policy = b'"second";q=%d;w=1' % max(1, int(rate))

    def take(self) -> bool:
        if self._valkey is None:
            self._grow(self._rate, self._burst)
        elif time.monotonic() - self._at > TOKEN_SECONDS:
            self._level = 0.0  # leased tokens do not keep, or they would add up to a second burst
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def _grow(self, rate: float, burst: float) -> None:
        now = time.monotonic()
        self._level = min(burst, self._level + (now - self._at) * rate)
        self._at = now

    def put_back(self) -> None:
        self._level = min(self._burst, self._level + 1.0)

    def low(self) -> bool:
        return self._valkey is not None and self._level < self._given / 2

    async def refill(self) -> bool:
        if self._valkey is None:
            self._wait = (1.0 - self._level) / self._rate
            return False
        try:
            give, wait = await self._valkey.run(
                RATE, [self._key], [self._rate, self._burst, 2 * self._processes]
            )
        except Away:
            self._grow(self._rate / self._processes, max(1.0, self._burst / self._processes))
            self._wait = self._processes / self._rate
            return self._level >= 1.0
        self._given, self._wait, self._at = give, wait / 1000, time.monotonic()
        self._level += give
        return bool(give > 0)

    def refusal(self) -> Refused:
        return Refused(
            429,
            f"More than {self._rate:g} calls per second; slow down, or ask for a larger plan.",
            kind="rate-exceeded",
            retry_after=max(0.001, self._wait),
        )

    def state(self) -> bytes:
        return b'"second";r=%d;t=1' % int(self._level)


class Window:
    """One day or month of one pool: what this process has spent and still holds."""

    def __init__(self, key: str, ends: float, ledger: Ledger, me: str, together: list[Quota]) -> None:
        """`together`: the quotas that may count in it too, among them its own."""
        self.key, self.ends = key, ends
        self.held = 0
        self.spent = 0
        self.reported = 0
        self.known: int | None = None
        """What the shared counter had left, less what this process spent since; None before the first answer."""
        self.asked = time.monotonic()
        self.open = True
        self._together = together
        self._ledger = ledger
        self._row = ledger.open(f"{me} {key}")

    def spend(self, units: int) -> None:
        self.held -= units
        self.spent += units
        for quota in self._together:
            window = quota.window
            if window.known is not None and window.key == self.key:
                window.known -= units
        self._ledger.write(self._row, self.spent)

    def put_back(self) -> None:
        """Undo one `spend(1)`; too late once the window has been reported for good."""
        if self.open:
            self.spend(-1)

    def close(self) -> None:
        """Forget it; called when its last figure has been reported."""
        self.open = False
        self._ledger.close_row(self._row)


class Quota(Share):
    """Units of a day or a month, leased from the shared counter, at most 1 % of what remains."""

    def __init__(
        self,
        pool: str,
        period: str,
        limit: int,
        valkey: Valkey | None,
        ledger: Ledger,
        me: str,
        processes: int,
        together: list[Quota],
    ) -> None:
        """`together`: this one and those of another size that count in the same days or months."""
        super().__init__()
        self.key, self.together = (pool, period, limit), together
        self.users = 0
        """Pools that count in it."""
        self._pool, self._period, self._limit = pool, period, limit
        self._valkey, self._ledger, self._me, self._processes = valkey, ledger, me, processes
        self._name = period.encode()
        self.policy = b'"%b";q=%d;w=%d' % (self._name, limit, 86400 if period == "day" else 2592000)
        self._closing: list[Window] = []
        self._window = self._open()
        self.degraded = False

    def _open(self) -> Window:
        start, end = bounds(self._period, datetime.now(UTC))
        key = f"atrium:quota:{self._pool}:{self._period}:{start:%Y-%m-%d}"
        window = Window(key, end.timestamp(), self._ledger, self._me, self.together)
        told = [(each.key[2], each.window.known) for each in self.together if each.window.key == key]
        known = [left - limit for limit, left in told if left is not None]
        window.known = self._limit + min(known) if known else None
        return window

    def _beside(self, window: Window) -> list[Window]:
        """Those of the others that are the same day or month."""
        others = [each.window for each in self.together if each is not self]
        return [other for other in others if other.key == window.key]

    def take(self) -> bool:
        if time.time() >= self._window.ends:
            self._closing.append(self._window)
            self._window = self._open()
        if self._window.held < 1:
            return False
        self._window.spend(1)
        return True

    @property
    def window(self) -> Window:
        """Where the unit that was just taken is counted, for putting it back."""
        return self._window

    def put_back(self) -> None:
        self._window.put_back()

    def low(self) -> bool:
        window = self._window
        return window.known is not None and window.held < window.known // 200

    async def refill(self) -> bool:
        window = self._window
        if self._valkey is None:
            window.held, window.known = self._limit - window.spent, self._limit - window.spent
            return window.held > 0
        try:
            return await self._report(window, more=True) > 0
        except Away:
            self.degraded = True
            spent = window.spent + sum(each.spent for each in self._beside(window))
            allowed = self._limit // self._processes - spent
            if window.known is not None:
                allowed = min(allowed, window.known)
            if allowed > 0:
                window.held += 1
            return allowed > 0

    async def _report(self, window: Window, *, more: bool) -> int:
        assert self._valkey is not None
        window.asked = time.monotonic()
        spent, held = window.spent, window.held
        give, left = await self._valkey.run(
            QUOTA,
            [window.key],
            [self._me, spent, held, self._limit, int(more), int(window.ends), LEASE_SECONDS],
        )
        self.degraded = False
        window.reported = spent
        unreported = sum(each.spent - each.reported for each in [window, *self._beside(window)])
        window.known = left - unreported
        window.held = max(0, window.held + give)
        return window.held

    async def renew(self) -> None:
        """Called every second: report what was spent, keep a lease alive that is used, return an idle one.

        Raises Away.
        """
        if self._valkey is None:
            return
        while self._closing:
            self._closing[0].held = 0
            await self._report(self._closing[0], more=False)
            self._closing.pop(0).close()
        window = self._window
        if window.spent != window.reported:
            async with self._asking:
                await self._report(window, more=False)
        elif window.held and time.monotonic() - window.asked > RENEW_SECONDS:
            async with self._asking:
                window.held = 0
                await self._report(window, more=False)

    async def forget(self) -> None:
        """Report and return everything; called when the pool sleeps or the process ends. Raises Away.

        The share is of no use afterwards.
        """
        self._window.held = 0
        if self._valkey is not None:
            await self.renew()
            await self._report(self._window, more=False)
            self._window.close()

    def refusal(self) -> Refused:
        seconds = max(1.0, self._window.ends - time.time())
        return Refused(
            429,
            f"The quota of {self._limit} calls per {self._period} is used up; it is renewed at "
            f"{datetime.fromtimestamp(self._window.ends, UTC):%Y-%m-%d %H:%M} UTC. "
            "A larger plan lifts it at once.",
            kind="quota-exceeded",
            retry_after=seconds,
        )

    def state(self) -> bytes:
        window = self._window
        left = self._limit if window.known is None else max(0, window.known)
        return b'"%b";r=%d;t=%d' % (self._name, left, max(0, int(window.ends - time.time())))


def bounds(period: str, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of the day or month that holds `now`."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


class Concurrent(Share):
    """Permits for calls at work at the same time; they come back."""

    def __init__(self, pool: str, limit: int, valkey: Valkey | None, me: str, processes: int) -> None:
        super().__init__()
        self._key, self._limit, self._me = f"atrium:permits:{pool}", limit, me
        self._valkey = valkey if processes > 1 else None
        self._step = 1 + limit // (4 * processes)
        self._processes = processes
        self._held = limit if self._valkey is None else 0
        self._used = self._peak = 0
        self._asked = 0.0

    def take(self) -> bool:
        if self._used >= self._held:
            return False
        self._used += 1
        self._peak = max(self._peak, self._used)
        return True

    def put_back(self) -> None:
        self._used -= 1

    async def refill(self) -> bool:
        if self._valkey is None:
            return False
        try:
            await self._ask(self._used + self._step)
        except Away:
            self._held = max(1, self._limit // self._processes)
        return self._held > self._used

    async def _ask(self, want: int) -> None:
        assert self._valkey is not None
        self._asked = time.monotonic()
        self._held = await self._valkey.run(
            PERMITS, [self._key], [self._me, want, self._limit, LEASE_SECONDS]
        )

    async def renew(self) -> None:
        """Called every second: give back permits that were not needed since, keep the others. Raises Away."""
        if self._valkey is None:
            return
        needed, self._peak = max(self._peak, self._used), self._used
        if self._held > needed or (self._held and time.monotonic() - self._asked > LEASE_SECONDS / 3):
            async with self._asking:
                await self._ask(max(needed, self._used))

    def refusal(self) -> Refused:
        return Refused(
            429,
            f"More than {self._limit} calls at the same time; wait for an answer before the next call.",
            kind="too-many-at-once",
            retry_after=0.05,
        )
