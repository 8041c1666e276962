"""How long `make up` takes until the portal answers, and what it holds in memory when nothing happens."""

import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.benchmarks import Left, Result
from tests.stack import Stack, new_stack

ROUNDS = 3
SAMPLES = ("digits", "breast-cancer", "fault-tickets")
SERVED_WITHIN_S = 600
SETTLE_S = 20


def measure():
    """From a start of the supervisor until /healthz says 200, without and with data; then the memory."""
    empty, kept = [], []
    with tempfile.TemporaryDirectory(prefix="atrium-b-") as base:
        _time_start(new_stack(Path(base) / "warm"))  # assets are collected and byte code is written once
        for number in range(ROUNDS):
            folder = Path(base) / str(number)
            stack = new_stack(folder)
            empty.append(_time_start(stack))
            kept.append(_time_start(stack))
        yield Result("up.empty_s", statistics.median(empty), "s", "<= 15", f"median of {ROUNDS}")
        yield Result("up.kept_s", statistics.median(kept), "s", "<= 4", f"median of {ROUNDS}")
        with _running(stack):
            _wait_until_served(stack)
            time.sleep(SETTLE_S)
            yield Result("up.idle_mb", stack.memory_mb(), "MB", "<= 800", "PSS, samples served")


@contextmanager
def _running(stack: Stack):
    """Started, and ended whatever happens."""
    stack.start()
    try:
        stack.wait_until_up()
        yield
    finally:
        stack.end()


def _time_start(stack: Stack) -> float:
    began = time.monotonic()
    with _running(stack):
        return time.monotonic() - began


def _wait_until_served(stack: Stack) -> None:
    """`manage.py key` waits for a sample that is still being made."""
    deadline = time.monotonic() + SERVED_WITHIN_S
    for name in SAMPLES:
        try:
            key = stack.manage("key", "consumer", name).splitlines()[-1]
        except AssertionError as error:
            raise Left(f"up.idle_mb: {name} is not served: {error}") from error
        here = f"{stack.gateway_url}/v2/models/{name}/ready"
        while requests.get(here, headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code != 200:
            if time.monotonic() > deadline:
                raise Left(f"up.idle_mb: {name} is not served within {SERVED_WITHIN_S} s")
            time.sleep(1)
