"""Starting servers, loading them with wrk, and ending what was started."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from portal.environment import ROOT
from tests.benchmarks import Left

FOLDER = ROOT / "var" / "bench"
LUA = Path(__file__).with_name("post.lua")


def wrk() -> str:
    """The load generator; installed through the system's package manager when root."""
    if shutil.which("wrk") is None and os.getuid() == 0 and os.environ.get("ATRIUM_SYSTEM_PACKAGES") != "0":
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], capture_output=True, timeout=120)
    found = shutil.which("wrk")
    if found is None:
        raise Left("wrk is not installed (apt-get install wrk)")
    return found


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Server:
    """A process in a session of its own; its group ends with the block."""

    def __init__(
        self, name: str, words: list[str | Path], ready: Callable[[], bool], **environment: str
    ) -> None:
        self.name, self.words, self.ready, self.environment = name, words, ready, environment

    def __enter__(self) -> Self:
        FOLDER.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with (FOLDER / f"{self.name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.words],
                cwd=ROOT, stdout=log, stderr=log, env={**kept, **self.environment}, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + 120
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                last = (FOLDER / f"{self.name}.log").read_text(errors="replace")[-400:]
                raise Left(f"{self.name} did not start: {last}")
            time.sleep(0.05)
        return self

    def _ready(self) -> bool:
        try:
            return self.ready()
        except (OSError, http.client.HTTPException):
            return False

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    rps: float
    p50_ms: float
    p99_ms: float
    errors: int


def load(url: str, connections: int, seconds: float, body: str, headers: dict[str, str]) -> Load:
    """POST the body for a while over this many connections; raises when an answer was no 2xx."""
    environment = {
        **os.environ,
        "WRK_BODY": body,
        "WRK_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
    }
    done = subprocess.run(
        [wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "20s", "-s", str(LUA), url],
        env=environment, capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    seen = json.loads(line[5:])
    if seen["errors"]:
        raise RuntimeError(f"{url} answered {seen['errors']} calls with an error")
    return Load(seen["rps"], seen["p50_us"] / 1000, seen["p99_us"] / 1000, seen["errors"])


def post(port: int, path: str, body: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def environment(name: str, packages: list[str]) -> Path:
    """The interpreter of a peer's own environment, made once under var/bench. Raises Left."""
    folder = FOLDER / f"v-{name}"
    python = folder / "bin" / "python"
    if (folder / "made").exists():
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    for words in (
        [uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "-q", "--python", str(python), *packages],
    ):
        done = subprocess.run(words, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise Left(f"the environment of {name} cannot be made: {done.stderr[-300:]}")
    (folder / "made").touch()
    return python


def median(values: list[float]) -> float:
    return statistics.median(values)
