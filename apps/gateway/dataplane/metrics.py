"""Counters in Prometheus' text format, summed over the processes that share the port."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from pathlib import Path

import orjson

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STALE_SECONDS = 30.0

Counts = dict[str, float]


class Metrics:
    """Plain counters by their full sample name; no key, user or request is ever a label."""

    def __init__(self, folder: Path, process: str) -> None:
        self._folder = folder
        self._path = folder / f"metrics-{process}.json"
        self._calls: dict[tuple[str, str, int], list[float]] = {}
        self._plain: Counts = {}

    def call(self, capability: str, version: str, status: int, seconds: float) -> None:
        """Count one answered call with its latency."""
        row = self._calls.get((capability, version, status))
        if row is None:
            row = self._calls[capability, version, status] = [0.0] * (len(BOUNDS) + 2)
        row[bisect_left(BOUNDS, seconds)] += 1
        row[-1] += seconds

    def set(self, name: str, value: float) -> None:
        self._plain[name] = value

    def add(self, name: str, value: float = 1) -> None:
        self._plain[name] = self._plain.get(name, 0) + value

    def _samples(self) -> Counts:
        samples = dict(self._plain)
        for (capability, version, status), row in self._calls.items():
            labels = f'capability="{capability}",version="{version}",status="{status}"'
            reached = 0.0
            for bound, count in zip((*BOUNDS, "+Inf"), row, strict=False):
                reached += count
                samples[f'atrium_gateway_call_seconds_bucket{{{labels},le="{bound}"}}'] = reached
            samples[f"atrium_gateway_call_seconds_sum{{{labels}}}"] = row[-1]
            samples[f"atrium_gateway_call_seconds_count{{{labels}}}"] = reached
        return samples

    def save(self) -> None:
        """Show this process's counts to its siblings; called every second."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(orjson.dumps(self._samples()))
            fresh.replace(self._path)
        except OSError:
            return  # a full disk must not end the calls; the log says so

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def text(self) -> bytes:
        """The sum over this process and its living siblings."""
        total = self._samples()
        for path in self._folder.glob("metrics-*.json"):
            if path == self._path:
                continue
            try:
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    continue
                sibling: Counts = orjson.loads(path.read_bytes())
            except (OSError, orjson.JSONDecodeError):
                continue
            for name, value in sibling.items():
                total[name] = total.get(name, 0) + value
        lines = ["# TYPE atrium_gateway_call_seconds histogram"]
        lines += [
            f"{name} {value:g}" if value < 1e6 else f"{name} {value!r}" for name, value in total.items()
        ]
        return ("\n".join(lines) + "\n").encode()


def memory_bytes() -> int:
    """Resident memory of this process."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
