"""Latency of single calls, and how far throughput rises with more of them at once."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.oip import Tensor

CALLS = 300
LEVELS = (1, 2, 4, 8, 16)
SECONDS = 1.5
STILL_RISING = 1.1


def one_after_another(
    endpoint: Endpoint, requests: Sequence[list[Tensor]], calls: int = CALLS
) -> dict[str, Any]:
    """p50, p95 and p99 in milliseconds over `calls` calls on one connection, after ten to warm up."""
    for request in requests[:10]:
        endpoint.infer(request)
    times = [endpoint.infer(requests[i % len(requests)]).seconds * 1000 for i in range(calls)]
    counts, edges = np.histogram(times, bins=30)
    return {
        f"latency_p{q}_ms": {"value": float(np.percentile(times, q)), "n": calls, "unit": "ms"} | _around(times, q)
        for q in (50, 95, 99)
    } | {"histogram": counts.tolist(), "edges": edges.tolist()}  # fmt: skip


def _around(times: Sequence[float], q: int) -> dict[str, float]:
    """The 95 % interval of a percentile by order statistics (normal approximation of the binomial rank)."""
    ordered, n, p = np.sort(times), len(times), q / 100
    spread = 1.96 * np.sqrt(n * p * (1 - p))
    low, high = int(np.floor(n * p - spread)), int(np.ceil(n * p + spread))
    return {"low": float(ordered[max(0, low)]), "high": float(ordered[min(n - 1, high)])}


def saturation(
    connect: Callable[[], Endpoint],
    requests: Sequence[list[Tensor]],
    *,
    levels: Sequence[int] = LEVELS,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """More callers at once until throughput rises by less than a tenth. `throughput` is the highest seen."""
    steps: list[dict[str, Any]] = []
    for callers in levels:
        steps.append(at_once(connect, requests, callers=callers, seconds=seconds))
        if len(steps) > 1 and steps[-1]["throughput"] < steps[-2]["throughput"] * STILL_RISING:
            break
    best = max(steps, key=lambda step: step["throughput"])
    return {
        "steps": steps,
        "saturated_at": best["callers"],
        "throughput": {"value": best["throughput"], "n": best["calls"], "unit": "1/s"},
        "calls": sum(step["calls"] for step in steps),
    }


def at_once(
    connect: Callable[[], Endpoint], requests: Sequence[list[Tensor]], *, callers: int, seconds: float
) -> dict[str, Any]:
    """Calls per second and percentiles with so many connections at once, for a few seconds."""
    times: list[float] = []
    refused: list[int] = []
    end = time.perf_counter() + seconds

    def caller(offset: int) -> None:
        endpoint, index = connect(), offset
        while time.perf_counter() < end:
            try:
                times.append(endpoint.infer(requests[index % len(requests)]).seconds)
            except (Refused, OSError) as error:
                refused.append(getattr(error, "status", 0))
            index += 1
        endpoint.close()

    threads = [threading.Thread(target=caller, args=(n * 17,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p95, p99 = (
        (float(v) * 1000 for v in np.percentile(times, [50, 95, 99])) if times else (0.0, 0.0, 0.0)
    )
    return {
        "callers": callers,
        "throughput": len(times) / seconds,
        "calls": len(times),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "refused": len(refused),
    }  # fmt: skip
