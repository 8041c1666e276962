"""Latency and throughput of the endpoint, one row a call."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.oip import Tensor

CALLS = 300
CONCURRENCY = 4
SECONDS = 3.0


def one_after_another(
    endpoint: Endpoint, requests: Sequence[list[Tensor]], calls: int = CALLS
) -> dict[str, Any]:
    """p50, p95 and p99 in milliseconds over `calls` calls on one connection, after ten to warm up."""
    for request in requests[:10]:
        endpoint.infer(request)
    times = [endpoint.infer(requests[i % len(requests)]).seconds * 1000 for i in range(calls)]
    return {
        f"latency_p{q}_ms": {"value": float(np.percentile(times, q)), "n": calls, "unit": "ms"}
        for q in (50, 95, 99)
    } | {
        "histogram": np.histogram(times, bins=30)[0].tolist(),
        "edges": np.histogram(times, bins=30)[1].tolist(),
    }


def at_once(
    connect: Callable[[], Endpoint], requests: Sequence[list[Tensor]], *, seconds: float = SECONDS
) -> dict[str, Any]:
    """Calls per second and p95 with several connections at once, for a few seconds."""
    times: list[float] = []
    refused: list[int] = []
    end = time.perf_counter() + seconds

    def caller(offset: int) -> None:
        endpoint, index = connect(), offset
        while time.perf_counter() < end:
            try:
                times.append(endpoint.infer(requests[index % len(requests)]).seconds)
            except Refused as error:
                refused.append(error.status)
            index += 1
        endpoint.close()

    threads = [threading.Thread(target=caller, args=(n * 17,)) for n in range(CONCURRENCY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p95 = float(np.percentile(times, 95)) * 1000 if times else None
    return {
        "throughput": {"value": len(times) / seconds, "n": len(times), "unit": "1/s"},
        "concurrency": CONCURRENCY,
        "p95_ms": p95,
        "refused": len(refused),
    }
