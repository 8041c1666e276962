"""A real gateway in front of tiny real runners, started as processes of their own."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from apps.gateway.dataplane import segments
from apps.gateway.dataplane.snapshot import dump

ROOT = Path(__file__).parents[2]
KEY = "atk_of-the-tests"
BODY = orjson.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]})


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def grant(**changes) -> dict:
    """What the snapshot says of one key; no limits unless given."""
    return {
        "grant": 1,
        "subject": "team-1",
        "pool": "pool-1",
        "capability": "digits",
        "scope": "production",
        "limits": {},
        "expires": None,
        "status": "active",
        "addresses": [],
        **changes,
    }


def picture(
    revision: int = 1, *, keys: dict | None = None, routes: dict | None = None, sockets=None, **changes
):
    """A snapshot with `digits`; `routes` maps a version to its weight, `sockets` a version to its replicas."""
    routes, sockets = routes or {"1.0.0": 100}, sockets or {}
    keys = {KEY: grant()} if keys is None else keys
    return {
        "revision": revision,
        "keys": {hashlib.sha256(key.encode()).hexdigest(): value for key, value in keys.items()},
        "capabilities": {
            "digits": {
                "id": 7,
                "routes": [
                    {"deployment": str(10 + place), "version": version, "weight": weight}
                    for place, (version, weight) in enumerate(routes.items())
                ],
                "shadow": [],
                "metadata": {"platform": "onnxruntime_onnx", "inputs": [], "outputs": []},
                **changes,
            },
            "other": {"id": 8, "routes": []},
        },
        "deployments": {
            str(10 + place): {
                "capability": "digits",
                "version": version,
                "digest": "",
                "kind": "production",
                "replicas": [
                    {"id": number, "socket": str(path)}
                    for number, path in enumerate(sockets.get(version, []))
                ],
            }
            for place, version in enumerate(routes)
        },
    }


class Started:
    """A process in a session of its own; its whole group ends with the test."""

    def __init__(self, *words: str, log: Path, **environment: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def until(check, seconds: float = 10.0):
    """The first true value of check(); fails when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := check():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {check}")


class Gateway:
    """A running gateway and what a test wants to ask it."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.calllog = folder / "calllog"
        self.state.mkdir(exist_ok=True, parents=True)
        self.port = free_port()
        self.settings = {
            "port": self.port,
            "state_dir": str(self.state),
            "calllog_dir": str(self.calllog),
            **settings,
        }
        self.started: Started | None = None

    def keep(self, snapshot: dict) -> None:
        (self.state / "snapshot").write_bytes(dump(snapshot["revision"], snapshot))

    def start(self, snapshot: dict | None = None) -> Gateway:
        if snapshot is not None:
            self.keep(snapshot)
        config = self.folder / "gateway.json"
        config.write_bytes(orjson.dumps(self.settings))
        self.started = Started("-m", "apps.gateway.dataplane", str(config), log=self.folder / "gateway.log")
        until(self.answers)
        return self

    def answers(self) -> bool:
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def get(self, path: str, **headers: str):
        return self.request("GET", path, None, **headers)

    def request(
        self, method: str, path: str, body: bytes | None = None, *, key: str | None = KEY, **headers: str
    ):
        """One request on a connection of its own; the answer carries `json` and `text`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            named["Authorization"] = f"Bearer {key}"
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            answer.text = answer.read()
            with suppress(orjson.JSONDecodeError):
                answer.json = orjson.loads(answer.text)
            return answer
        finally:
            connection.close()

    def infer(
        self, body: bytes = BODY, *, key: str | None = KEY, path: str = "/v2/models/digits/infer", **headers
    ):
        return self.request("POST", path, body, key=key, **headers)

    def records(self) -> list[segments.Record]:
        """Everything in the log, oldest first per process."""
        return [
            record
            for path in sorted(self.calllog.glob("*/*.seg"))
            for record in segments.read(path.read_bytes())
        ]

    def stop(self) -> None:
        if self.started is not None:
            self.started.stop()


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    """A folder whose path is short enough for unix sockets."""
    return tmp_path_factory.mktemp("g")


@pytest.fixture
def runner(folder):
    """Starts tiny runners: `runner("1.0.0")` is the path of its socket."""
    running: dict[str, Started] = {}

    def start(version: str = "1.0.0", name: str = "", **environment: str) -> str:
        path = str(folder / f"{name or version}.sock")
        Path(path).unlink(missing_ok=True)
        running[path] = Started(
            "-m", "tests.gateway.echo", path, log=folder / "runner.log", VERSION=version, **environment
        )
        until(Path(path).exists, 20)
        return path

    start.running = running
    yield start
    for process in running.values():
        process.kill()


@pytest.fixture
def gateway(folder):
    """Starts gateways: `gateway(snapshot, processes=2)`."""
    running: list[Gateway] = []

    def start(snapshot: dict | None = None, **settings) -> Gateway:
        name = settings.pop("name", f"gw{len(running)}")
        running.append(Gateway(folder / name, **settings))
        return running[-1].start(snapshot)

    yield start
    for each in running:
        each.stop()
