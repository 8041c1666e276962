"""From the submission of a job to its first line in the browser's socket, over the bare process."""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

from tests.benchmarks import Left, Result
from tests.stack import Stack, new_stack

ROUNDS = 7
BUILT_WITHIN_S = 600
SCRIPT = "print('first line')"


def measure():
    """Job and bare process by turns, in the same environment; the median of the differences."""
    with tempfile.TemporaryDirectory(prefix="atrium-b-") as base:
        stack = new_stack(Path(base) / "d", ATRIUM_SAMPLES="1")
        stack.start()
        try:
            stack.wait_until_up()
            yield _first_line(stack)
        finally:
            stack.end()


def _first_line(stack: Stack) -> Result:
    dev = stack.logged_in("dev")
    _job(stack, dev, within_s=BUILT_WITHIN_S)  # waits until the environment is built
    _wait_until_samples_are_made(dev)
    python = _python(stack)
    over = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        subprocess.run([python, "-c", SCRIPT], capture_output=True, check=True)
        bare = time.monotonic() - began
        over.append(_job(stack, dev, within_s=60) - bare)
    conditions = f"over the bare process; median of {ROUNDS}, worst {max(over):.2f}"
    return Result("job.first_line_s", statistics.median(over), "s", "<= 1", conditions)


def _wait_until_samples_are_made(dev) -> None:
    """Their jobs would take the processors that the measured ones need."""
    until, quiet = time.monotonic() + BUILT_WITHIN_S, 0
    while quiet < 10:
        jobs = dev.get("/api/v1/jobs/?page_size=100").json()["results"]
        active = any(job["status"] in ("queued", "starting", "running") for job in jobs)
        quiet = 0 if active else quiet + 1
        if time.monotonic() > until:
            raise Left("job.first_line_s: the samples are not made in time")
        time.sleep(1)


def _job(stack: Stack, dev, within_s: float) -> float:
    """Seconds from the POST until the line arrived over the websocket."""
    body = {"title": "Measure", "team": "network-ai", "script": SCRIPT, "resources": {"memory_mb": 128}}
    began = time.monotonic()
    answer = dev.post("/api/v1/jobs/", json=body)
    if answer.status_code != 201:
        raise Left(f"job.first_line_s: the job was refused: {answer.text[:300]}")
    cookie = "; ".join(f"{name}={value}" for name, value in dev.cookies.items())
    url = f"ws://127.0.0.1:{stack.environment.live_port}/ws/jobs/{answer.json()['id']}/"
    with connect(url, additional_headers={"Cookie": cookie}, origin=stack.web_url) as socket:
        while time.monotonic() - began < within_s:
            if "first line" in json.loads(socket.recv(timeout=within_s)).get("log", ""):
                return time.monotonic() - began
    raise Left(f"job.first_line_s: no line within {within_s} s")


def _python(stack: Stack) -> str:
    found = sorted((stack.environment.data_dir / "environments").glob("base-*/bin/python"))
    shared = sorted(Path("var/environments").glob("base-*/bin/python"))
    if not found + shared:
        raise Left("job.first_line_s: the environment is not where it is expected")
    return str((found + shared)[0])
