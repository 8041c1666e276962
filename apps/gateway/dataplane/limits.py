"""Enforces a plan on every call: calls at once, per second, per day, per month."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from apps.gateway.dataplane import ledger as ledgers
from apps.gateway.dataplane.shares import QUOTA, Concurrent, Quota, Rate, Share
from apps.gateway.dataplane.valkey import Away

if TYPE_CHECKING:
    from pathlib import Path

    from apps.gateway.dataplane.ledger import Ledger, Orphan
    from apps.gateway.dataplane.snapshot import Grant, Limits
    from apps.gateway.dataplane.valkey import Valkey

log = logging.getLogger("atrium.gateway")

ASLEEP_SECONDS = 300.0


class Pool:
    """The limits that the keys of one subscription share, as seen by this process."""

    __slots__ = ("_policy", "_stated", "concurrent", "limits", "quotas", "shares", "used")

    def __init__(self, limits: Limits, concurrent: Concurrent | None, others: list[Share]) -> None:
        self.limits = limits
        self.concurrent = concurrent
        self.shares: list[Share] = ([concurrent] if concurrent else []) + others
        self.quotas = [share for share in others if isinstance(share, Quota)]
        self.used = time.monotonic()
        self._stated = [share for share in others if share.policy]
        policies = b", ".join([share.policy for share in self._stated])
        self._policy = b"\r\nratelimit-policy: %b\r\nratelimit: " % policies

    def take(self) -> bool:
        """Take one unit of each limit from what is in hand; False, and nothing is taken, when one has none."""
        for position, share in enumerate(self.shares):
            if not share.take():
                self.put_back(position)
                return False
            if share.low():
                share.prefetch()
        return True

    def put_back(self, count: int) -> None:
        """Return a unit of each of the first limits."""
        for taken in self.shares[:count]:
            taken.put_back()

    def lines(self) -> bytes:
        """RateLimit fields of the IETF draft, as lines of a head."""
        if not self._stated:
            return b""
        return self._policy + b", ".join([share.state() for share in self._stated])


class Admission:
    """What one call has taken; released when it ends."""

    __slots__ = ("_windows", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._windows = [quota.window for quota in pool.quotas]

    def release(self, *, refund: bool) -> None:
        """The call has ended; `refund` when it failed through no fault of the caller."""
        if self.pool.concurrent is not None:
            self.pool.concurrent.put_back()
        if refund:
            for window in self._windows:
                window.put_back()


class Limiter:
    """All pools that have been used lately."""

    def __init__(self, folder: Path, valkey: Valkey | None, processes: int) -> None:
        self._folder = folder
        self._me = folder.name
        self._valkey = valkey
        self._processes = processes
        self._ledger: Ledger = ledgers.Ledger(folder)
        self._pools: dict[str, Pool] = {}
        self._quotas: dict[tuple[str, str, int], Quota] = {}
        self._together: dict[tuple[str, str], list[Quota]] = {}
        """Those that count in the same days or months, whatever their size, and the retired until they are reported."""
        self._retired: list[Quota] = []
        self._made = 0

    @property
    def degraded(self) -> bool:
        """Whether quotas run on this process's share alone, the shared counters being away."""
        return any(quota.degraded for quota in self._quotas.values())

    def pool(self, grant: Grant) -> Pool:
        """The limits of this grant; made anew when the plan has changed.

        Pool `a/b` counts in the days and months of pool `a`, out of the same hand, and has its own rate and calls at
        once.
        """
        pool = self._pools.get(grant.pool)
        if pool is not None and pool.limits is not grant.limits and pool.limits == grant.limits:
            pool.limits = grant.limits  # told apart by identity from now on
        if pool is None or pool.limits is not grant.limits:
            former, pool = pool, self._make(grant)
            self._pools[grant.pool] = pool
            if former is not None:
                self._retire(former)
        return pool

    def _retire(self, pool: Pool) -> None:
        """Of no use any more: the quotas that no other pool counts in are to be reported and returned."""
        for quota in pool.quotas:
            quota.users -= 1
            if not quota.users:
                del self._quotas[quota.key]
                self._retired.append(quota)

    def _make(self, grant: Grant) -> Pool:
        limits, name, valkey, count = grant.limits, grant.pool, self._valkey, self._processes
        self._made += 1
        me = f"{self._me}.{self._made}"
        others: list[Share] = []
        if limits.rate_per_s:
            burst = limits.burst or max(1, int(limits.rate_per_s))
            others.append(Rate(name, limits.rate_per_s, burst, valkey, count))
        for period, units in (("day", limits.per_day), ("month", limits.per_month)):
            if units is not None:
                others.append(self._quota(name.partition("/")[0], period, units, me))
        concurrent = None
        if limits.concurrent is not None:
            concurrent = Concurrent(name, limits.concurrent, valkey, me, count)
        return Pool(limits, concurrent, others)

    def _quota(self, pool: str, period: str, units: int, me: str) -> Quota:
        key = (pool, period, units)
        if key not in self._quotas:
            together = self._together.setdefault(key[:2], [])
            made = Quota(pool, period, units, self._valkey, self._ledger, me, self._processes, together)
            self._quotas[key] = made
            together.append(made)
        self._quotas[key].users += 1
        return self._quotas[key]

    def admit_now(self, grant: Grant) -> Admission | None:
        """Take one unit of each limit from what is in hand; None, and nothing is taken, when `admit` has to ask."""
        pool = self.pool(grant)
        pool.used = time.monotonic()
        return Admission(pool) if pool.take() else None

    async def admit(self, grant: Grant) -> Admission:
        """Take one unit of each limit, or none and raise Refused with 429."""
        pool = self.pool(grant)
        pool.used = time.monotonic()
        for position, share in enumerate(pool.shares):
            if share.take():
                if share.low():
                    share.prefetch()
            elif not await share.obtain():
                pool.put_back(position)
                refusal = share.refusal()
                refusal.lines = pool.lines()
                raise refusal
        return Admission(pool)

    async def tick(self) -> None:
        """Called every second: report what was spent and settle what dead siblings left behind."""
        try:
            for name, pool in list(self._pools.items()):
                await self._renew(name, pool)
            while self._retired:
                await self._retired[0].forget()
                self._drop(self._retired.pop(0))
            await self._settle_orphans()
        except Away:
            return

    def _drop(self, quota: Quota) -> None:
        """The shared counter has what it spent: until then the others have to leave it that."""
        quota.together.remove(quota)
        if not quota.together:
            del self._together[quota.key[:2]]

    async def _renew(self, name: str, pool: Pool) -> None:
        if pool.concurrent is not None:
            await pool.concurrent.renew()
        asleep = time.monotonic() - pool.used > ASLEEP_SECONDS
        if asleep and self._valkey is not None:
            del self._pools[name]
            self._retire(pool)
            return
        for quota in pool.quotas:
            await quota.renew()

    async def _settle_orphans(self) -> None:
        if self._valkey is None:
            return
        for orphan in ledgers.orphans(self._folder.parent):
            try:
                await self._settle(orphan, self._valkey)
            except Away:
                orphan.release()
                raise

    async def _settle(self, orphan: Orphan, valkey: Valkey) -> None:
        ends = int(time.time()) + 31 * 86400
        for row, spent in orphan.rows.items():
            who, _, key = row.partition(" ")
            await valkey.run(QUOTA, [key], [who, spent, 0, 0, 0, ends, 0])
        log.info("settled the quotas of %s", orphan.process)
        orphan.settled()

    async def close(self) -> None:
        """Return every lease; called at shutdown."""
        try:
            for quota in [*self._quotas.values(), *self._retired]:
                await quota.forget()
        except Away:
            log.warning("the shared counters are away: a sibling will settle this process's quotas")
            return
        self._ledger.remove()
