"""User-side code runs in the `base` environment, not in the portal's: these tests start it there for real."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from apps.compute.environments import builder

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(__file__).with_name("make_models.py")
PRELOADED = Path(__file__).with_name("preloaded.py")


@dataclass(frozen=True)
class Base:
    """The base environment's interpreter with `atrium` on its path."""

    python: Path

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "TMPDIR", "LANG")}
        return {**kept, "PYTHONPATH": str(ROOT / "sdk"), **extra}

    def run(
        self, *argv: str | Path, cwd: Path, timeout: float = 120, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *argv],
            cwd=cwd,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *argv: str | Path, cwd: Path, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, *argv],
            cwd=cwd,
            env=self.environment(**extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@cache
def packager(python: Path, path: str) -> subprocess.Popen[str]:
    """A running preloaded.py of an interpreter and PYTHONPATH; it ends with our end of its standard input."""
    variables = {**Base(python).environment(), "PYTHONPATH": path}
    return subprocess.Popen(
        [python, PRELOADED], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="session")
def base() -> Base:
    return Base(builder.build("base", ROOT / "var" / "environments") / "bin" / "python")


@pytest.fixture(scope="session")
def sources(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per kind of model that an author may hand in."""
    folder = tmp_path_factory.mktemp("sources")
    done = base.run(MODELS, folder, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@dataclass(frozen=True)
class Packaged:
    """What a packaging job left behind."""

    code: int
    result: dict[str, Any]
    folder: Path
    log: str


def package(base: Base, source: Path, work: Path, golden: Path | None = None, **params: Any) -> Packaged:
    """Run the packaging job on a source as the portal does, in a fork of a process that has read the libraries."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work / "inputs" / "source", symlinks=True)
    if golden is not None:
        shutil.copytree(golden, work / "inputs" / "golden")
    (work / "params.json").write_text(json.dumps({"capability": source.name, "number": "1.0.0", **params}))
    process = packager(base.python, base.environment()["PYTHONPATH"])
    process.stdin.write(f"{work}\n")
    process.stdin.flush()
    code = int(process.stdout.readline())
    log = (work / "log").read_text()
    assert (work / "result.json").is_file(), log
    return Packaged(code, json.loads((work / "result.json").read_text()), work / "outputs" / "package", log)


def write_package(
    folder: Path, code: str, signature: dict[str, Any], *, version: str = "1.0.0", cases: Any = ()
) -> Path:
    """A package of the capability `digits` from a text of Python, as packaging would write it."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.py").write_text(code)
    facts = {"format": "atrium-package/1", "capability": "digits", "version": version, "framework": "python",
             "runtime": "python", "entry": {"module": "model"}, "signature": signature}  # fmt: skip
    (folder / "package.json").write_text(json.dumps(facts))
    (folder / "cases.json").write_text(json.dumps(list(cases)))
    return folder


class Packages(dict[str, Packaged]):
    """The sources by name, each packaged when it is first asked for."""

    def __init__(self, base: Base, sources: Path, work: Path) -> None:
        super().__init__()
        self.base, self.sources, self.work = base, sources, work

    def __missing__(self, name: str) -> Packaged:
        self[name] = package(self.base, self.sources / name, self.work / name)
        return self[name]


@pytest.fixture(scope="session")
def packages(base: Base, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return Packages(base, sources, tmp_path_factory.mktemp("packages"))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


@dataclass
class Runner:
    """A running runner."""

    process: subprocess.Popen[str]
    uds: Path

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, http.client.HTTPResponse]:
        connection = UnixConnection(self.uds)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(content) if is_json else content, response

    def infer(self, model: str, *inputs: dict[str, Any], **request: Any) -> tuple[int, Any]:
        status, answer, _ = self.call("POST", f"/v2/models/{model}/infer", {"inputs": inputs, **request})
        return status, answer

    def wait_ready(self, seconds: float = 30) -> tuple[int, Any]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):  # not listening yet
                status, answer, _ = self.call("GET", "/v2/health/ready")
                if status == 200 or "being loaded" not in answer["error"]:
                    return status, answer
            time.sleep(0.05)
        raise AssertionError("the runner did not answer")


@contextmanager
def running(base: Base, folder: Path) -> Iterator[Runner]:
    """A runner on a package folder, ended by SIGTERM."""
    uds = Path(f"/tmp/atrium-test-{os.getpid()}-{time.monotonic_ns()}.sock")
    process = base.start("-m", "atrium.runner", "--package", folder, "--uds", uds, cwd=folder)
    try:
        yield Runner(process, uds)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        uds.unlink(missing_ok=True)
