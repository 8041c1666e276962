"""What this machine has to give, and whether a request fits into what is left. Pure arithmetic."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from django.utils.translation import gettext_noop

from apps.compute.engines import cards
from apps.core.telling import told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.core.telling import Told

CPU_SHARES_PER_CORE = 4.0
MEMORY_SHARE = 0.75


@dataclass(frozen=True)
class Amount:
    """Processor cores, megabytes and graphics cards."""

    cpu: float = 0.0
    memory_mb: float = 0.0
    gpu: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpu + other.cpu, self.memory_mb + other.memory_mb, self.gpu + other.gpu)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpu - other.cpu, self.memory_mb - other.memory_mb, self.gpu - other.gpu)


def capacity(cpu: float = 0, memory_mb: int = 0) -> Amount:
    """What may be given out: the settings' values, else from the machine. Cores are shared, memory is not."""
    total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return Amount(
        cpu or (os.cpu_count() or 1) * CPU_SHARES_PER_CORE,
        memory_mb or total_mb * MEMORY_SHARE,
        float(len(cards.present())),
    )


@dataclass(frozen=True)
class Load:
    """What is asked of this machine now, by everything that runs on it, and what it has."""

    cores: int
    load: float
    """Processes that want a core, on average over one minute."""
    all_memory_mb: float
    used_memory_mb: float


def load() -> Load:
    """The machine's load as the kernel tells it."""
    told = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total_mb, free_mb = (int(told[name].split()[0]) / 1024 for name in ("MemTotal", "MemAvailable"))
    return Load(os.cpu_count() or 1, os.getloadavg()[0], total_mb, total_mb - free_mb)


def total(amounts: Iterable[Amount]) -> Amount:
    """The sum."""
    return sum(amounts, Amount())


_WHAT = {
    "cpu": gettext_noop("shares of processor cores"),
    "memory_mb": gettext_noop("MB of memory"),
    "gpu": gettext_noop("graphics cards"),
}


def missing(need: Amount, free: Amount) -> Told | None:
    """Why `need` does not fit into `free`; None when it fits."""
    short = [
        told(
            gettext_noop("%(need)s %(what)s are needed, %(free)s are free"),
            need=_number(getattr(need, field.name)),
            what=told(_WHAT[field.name]),
            free=_number(max(0.0, getattr(free, field.name))),
        )
        for field in fields(Amount)
        if getattr(need, field.name) > getattr(free, field.name) + 1e-9
    ]
    return (
        reduce(lambda first, then: told("%(first)s; %(then)s", first=first, then=then), short)
        if short
        else None
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.2f}"
