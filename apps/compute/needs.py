"""What runs of the same thing needed, and what the next one should be given. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MARGIN = 1.25
STEP_MB = 64
CPU_STEP = 0.25
LITTLE = 0.4
CLOSE = 0.95
WORTH_MB = 512
MOST_SAMPLES = 240

Sample = tuple[float, float, float]
"""Seconds since the start, memory in MB, processor seconds used until then."""


@dataclass(frozen=True)
class Measured:
    """One run: its peak memory in MB, the processor cores that it kept busy on average, its seconds."""

    peak_memory_mb: float
    cores: float
    seconds: float


@dataclass(frozen=True)
class Needs:
    """What the runs of one thing needed at most, and what to ask for next time."""

    runs: int
    peak_memory_mb: float
    cores: float
    seconds: float

    @property
    def memory_mb(self) -> int:
        """To ask for: a quarter above the highest peak."""
        return max(STEP_MB, math.ceil(self.peak_memory_mb * MARGIN / STEP_MB) * STEP_MB)

    @property
    def cpu(self) -> float:
        """Cores to ask for: the busiest run's average, rounded up to quarters."""
        return max(CPU_STEP, math.ceil(self.cores / CPU_STEP - 1e-6) * CPU_STEP)


def of_runs(runs: Sequence[Measured]) -> Needs | None:
    """The needs of all runs together; None without any."""
    if not runs:
        return None
    return Needs(
        runs=len(runs),
        peak_memory_mb=max(run.peak_memory_mb for run in runs),
        cores=max(run.cores for run in runs),
        seconds=max(run.seconds for run in runs),
    )


def is_far_above(asked_mb: float, peak_mb: float) -> bool:
    """Whether a run used so little of its memory that others could have had it."""
    return peak_mb > 0 and asked_mb >= WORTH_MB and peak_mb < LITTLE * asked_mb


def is_close(asked_mb: float, peak_mb: float) -> bool:
    """Whether a run came so near to its limit that the next one may fail."""
    return peak_mb >= CLOSE * asked_mb


def with_sample(samples: Sequence[Sequence[float]], sample: Sample) -> list[list[float]]:
    """The samples with one more, at most MOST_SAMPLES: when they are full, every second one goes.

    Beside the first, those that stay are at least as far apart as a longer run's must be; the last one is the
    newest, and gives way to the next while it is nearer than that to the one before it.
    """
    kept = [list(one) for one in samples]
    apart = sample[0] / MOST_SAMPLES * 2
    if len(kept) > 1 and kept[-1][0] - kept[-2][0] < apart / 2:
        kept[-1] = list(sample)
    else:
        kept.append(list(sample))
    return kept if len(kept) <= MOST_SAMPLES else [*kept[:-1:2], kept[-1]]


def cores_over_time(samples: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """(seconds, cores kept busy since the point before), at least 3 s and a sixtieth of the whole apart."""
    if not samples:
        return []
    apart = max(3.0, samples[-1][0] / 60)
    points = [samples[0]]
    for sample in samples[1:]:
        if sample[0] - points[-1][0] >= apart:
            points.append(sample)
    return [
        (later[0], max(0.0, (later[2] - earlier[2]) / (later[0] - earlier[0])))
        for earlier, later in pairwise(points)
    ]
