"""One row of digits through the gateway, beside peers and beside the runner alone, in interleaved rounds.

Each round starts every server, warms it, and loads it at 1, 16 and 64 connections; figures are medians of the
rounds. The gateway checks a key, enforces limits (with Valkey) and writes a durable log, with its defaults.
ATRIUM_BENCH_ROUNDS (5) and ATRIUM_BENCH_SECONDS (2) make it shorter; ATRIUM_BENCH_PEERS names the peers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from apps.gateway.dataplane.snapshot import dump
from portal.environment import ROOT
from tests.benchmarks import Left, Result
from tests.benchmarks._processes import FOLDER, Load, Server, environment, free_port, load, median, post

MODELS = ("forest", "lr")
CONNECTIONS = (1, 16, 64)
ROUNDS = int(os.environ.get("ATRIUM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("ATRIUM_BENCH_SECONDS", "2"))
PEERS = os.environ.get("ATRIUM_BENCH_PEERS", "fastapi,litserve,mlserver,mlserver-inline").split(",")
KEY = "atk_of-the-benchmark"
METADATA = {
    "platform": "sklearn_onnx",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1]}],
}
V2 = "/v2/models/digits/infer"
MEMORY: list[float] = []
GOALS = {
    ("forest", 1): ">= 8", ("forest", 16): ">= 20", ("forest", 64): ">= 20",
    ("lr", 1): ">= 2", ("lr", 16): ">= 4", ("lr", 64): ">= 4",
}  # fmt: skip
PACKAGES = {
    "fastapi": ["fastapi", "uvicorn[standard]", "scikit-learn", "joblib"],
    "litserve": ["litserve", "scikit-learn", "joblib"],
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22"],
}


@dataclass(frozen=True)
class Contestant:
    """Something that answers one row: how to start it, and what to send."""

    name: str
    start: Callable[[ExitStack, str], str]
    body: str
    headers: dict[str, str]


def measure() -> Iterator[Result]:
    folder = FOLDER / "models"
    ours = packages(folder / "atrium")
    row = json.loads((folder / "atrium" / "row.json").read_text())["row"]
    v2 = json.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP32", "data": row}]})
    contestants = [
        Contestant("gateway", lambda stack, model: through_gateway(stack, ours[model]), v2,
                   {"Authorization": f"Bearer {KEY}"}),
        Contestant("direct", lambda stack, model: direct(stack, ours[model]), v2, {}),
    ]  # fmt: skip
    for name in PEERS:
        try:
            contestants.append(peer(name, folder, v2, row))
        except Left as reason:
            print(f"{name} is left out: {reason}", flush=True)
    seen = rounds(contestants)
    yield from results(seen)


def rounds(contestants: list[Contestant]) -> dict[tuple[str, str, int], list[Load]]:
    """Every contestant once, then every one again, so that a slow spell does not fall on one only."""
    seen: dict[tuple[str, str, int], list[Load]] = defaultdict(list)
    for number in range(ROUNDS):
        for model in MODELS:
            for each in list(contestants):
                try:
                    with ExitStack() as stack:
                        url = each.start(stack, model)
                        load(url, 4, 1, each.body, each.headers)
                        for connections in CONNECTIONS:
                            found = load(url, connections, SECONDS, each.body, each.headers)
                            seen[each.name, model, connections].append(found)
                        if each.name == "gateway":
                            MEMORY.append(memory_mb(url))
                except Left as reason:
                    print(f"{each.name} is left out: {reason}", flush=True)
                    contestants.remove(each)
        print(f"round {number + 1} of {ROUNDS}", flush=True)
    for (name, model, connections), loads in sorted(seen.items()):
        rps, p50, p99 = (median([getattr(x, what) for x in loads]) for what in ("rps", "p50_ms", "p99_ms"))
        print(
            f"{name:16} {model:7} c={connections:<3} {rps:9.0f} calls/s  p50 {p50:8.3f} ms  p99 {p99:8.3f} ms"
        )
    return seen


def results(seen: dict[tuple[str, str, int], list[Load]]) -> Iterator[Result]:
    def rps(name: str, model: str, connections: int) -> float:
        return median([load.rps for load in seen[name, model, connections]])

    names = sorted({name for name, *_ in seen} - {"gateway", "direct"})
    for model in MODELS:
        for connections in CONNECTIONS:
            if names:
                best = max(names, key=lambda name: rps(name, model, connections))
                ratio = rps("gateway", model, connections) / rps(best, model, connections)
                yield Result(
                    f"gateway.{model}.c{connections}.vs_best_peer", round(ratio, 2), "ratio",
                    GOALS[model, connections],
                    f"{best} {rps(best, model, connections):.0f}/s, gateway {rps('gateway', model, connections):.0f}/s",
                )  # fmt: skip
            ratio = rps("gateway", model, connections) / rps("direct", model, connections)
            yield Result(
                f"gateway.{model}.c{connections}.vs_direct", round(ratio, 3), "ratio",
                ">= 0.7" if (model, connections) == ("forest", 16) else "",
                f"the runner alone: {rps('direct', model, connections):.0f}/s",
            )  # fmt: skip
    added = [
        median([x.p50_ms for x in seen["gateway", "forest", 1]])
        - median([x.p50_ms for x in seen["direct", "forest", 1]])
    ]
    yield Result("gateway.added_p50_ms", round(added[0], 3), "ms", "<= 0.4", "forest, 1 connection")
    yield Result(
        "gateway.process_mb", round(max(MEMORY), 1), "MB", "<= 120", "resident, after the load, the largest"
    )
    yield snapshot_load()


def memory_mb(url: str) -> float:
    """What a gateway process holds, by its own word."""
    with urllib.request.urlopen(f"{url.removesuffix(V2)}/healthz", timeout=10) as answer:
        return float(json.load(answer)["memory_bytes"]) / 1e6


def snapshot_load() -> Result:
    """100,000 keys and 10,000 routes from the disk, in a process of its own."""
    from tests.gateway.test_snapshot import MEASURE, large

    with tempfile.TemporaryDirectory(prefix="atrium-bench-") as folder:
        path = Path(folder) / "snapshot"
        path.write_bytes(large())
        found = [
            subprocess.run(
                [sys.executable, "-c", MEASURE, str(path)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            for _ in range(3)
        ]
    seconds, megabytes = (median([float(each[at]) for each in found]) for at in (0, 1))
    said = f"100,000 keys, 10,000 routes; the process then holds {megabytes:.0f} MB"
    return Result("gateway.snapshot_load_s", round(seconds, 2), "s", "<= 2", said)


# --- ours


def packages(folder: Path) -> dict[str, Path]:
    """The two models as packages, made by the packaging job in the base environment."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    from apps.compute.environments import builder

    global _base
    _base = builder.build("base", ROOT / "var" / "environments") / "bin" / "python"
    python = {"PYTHONPATH": str(ROOT / "sdk")}
    made = {}
    if not (folder / "row.json").exists():
        run([_base, ROOT / "tests/benchmarks/_digits_models.py", folder, "--atrium"], ROOT, **python)
    for model in MODELS:
        work = folder / f"{model}-job"
        made[model] = work / "outputs" / "package"
        if not made[model].exists():
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(folder / model, work / "inputs" / "source")
            (work / "params.json").write_text('{"capability": "digits", "number": "1.0.0"}')
            run([_base, "-m", "atrium.packaging"], work, **python)
    return made


_base = Path()


def run(words: list[str | Path], cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Left(f"{words[1]} failed: {done.stdout[-300:]}{done.stderr[-600:]}")


def direct(stack: ExitStack, package: Path) -> str:
    """The runner alone, on TCP."""
    port = free_port()
    words = [_base, "-m", "atrium.runner", "--package", package, "--port", str(port)]
    ready = lambda: post(port, V2, "{}")[0] in (400, 422)  # noqa: E731
    stack.enter_context(Server("runner-tcp", words, ready, PYTHONPATH=str(ROOT / "sdk")))
    return f"http://127.0.0.1:{port}{V2}"


def through_gateway(stack: ExitStack, package: Path) -> str:
    """The runner on a unix socket, Valkey, and the gateway with its defaults in front."""
    from portal.supervisor.valkey import Valkey

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-bench-")))
    socket = folder / "r.sock"
    words = [_base, "-m", "atrium.runner", "--package", package, "--uds", socket]
    stack.enter_context(Server("runner-uds", words, socket.exists, PYTHONPATH=str(ROOT / "sdk")))
    valkey = Valkey(folder / "valkey", folder / "v.sock", folder / "valkey.log", "bench")
    valkey.start()
    stack.callback(valkey.stop)
    port = free_port()
    state = folder / "state"
    state.mkdir()
    (state / "snapshot").write_bytes(dump(1, snapshot(socket)))
    config = folder / "gateway.json"
    config.write_text(
        json.dumps(
            {
                "port": port,
                "processes": os.cpu_count() or 1,
                "state_dir": str(state),
                "calllog_dir": str(FOLDER / "calllog"),
                "valkey_url": f"unix://:bench@{folder / 'v.sock'}?db=0",
            }
        )
    )
    stack.callback(shutil.rmtree, FOLDER / "calllog", ignore_errors=True)
    key = {"Authorization": f"Bearer {KEY}"}
    ready = lambda: post(port, V2, "{}", key)[0] in (400, 422)  # noqa: E731
    stack.enter_context(Server("gateway", [sys.executable, "-m", "apps.gateway.dataplane", config], ready))
    return f"http://127.0.0.1:{port}{V2}"


def snapshot(socket: Path) -> dict[str, dict[str, object]]:
    limits = {
        "rate_per_s": 1e6,
        "burst": 1_000_000,
        "per_day": 10**9,
        "per_month": 10**10,
        "concurrent": 1000,
    }
    return {
        "keys": {
            hashlib.sha256(KEY.encode()).hexdigest(): {
                "grant": 1, "pool": "bench", "capability": "digits", "limits": limits,
            }
        },
        "capabilities": {
            "digits": {"id": 1, "routes": [{"deployment": "1", "version": "1.0.0", "weight": 100}]}
        },
        "deployments": {
            "1": {"capability": "digits", "version": "1.0.0", "metadata": METADATA,
                  "replicas": [{"id": 1, "socket": str(socket)}]}
        },
    }  # fmt: skip


# --- peers


def peer(name: str, folder: Path, v2: str, row: list[float]) -> Contestant:
    """A peer with its own environment, in which its models are trained. Raises Left."""
    kind = name.partition("-")[0]
    python = environment(kind, PACKAGES[kind])
    models = folder / kind
    if not (models / "row.json").exists():
        run([python, ROOT / "tests/benchmarks/_digits_models.py", models], ROOT)
    apps = ROOT / "tests/benchmarks/_peers"

    def fastapi(stack: ExitStack, model: str) -> str:
        port = free_port()
        words = [python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", apps, "--port", str(port),
                 "--no-access-log", "--log-level", "warning"]  # fmt: skip
        ready = lambda: post(port, V2, v2)[0] == 200  # noqa: E731
        stack.enter_context(Server(name, words, ready, MODEL=str(models / f"{model}.joblib")))
        return f"http://127.0.0.1:{port}{V2}"

    def litserve(stack: ExitStack, model: str) -> str:
        port = free_port()
        ready = lambda: post(port, "/predict", json.dumps({"x": [row]}))[0] == 200  # noqa: E731
        stack.enter_context(
            Server(name, [python, apps / "litserve_app.py"], ready,
                   MODEL=str(models / f"{model}.joblib"), PORT=str(port))
        )  # fmt: skip
        return f"http://127.0.0.1:{port}/predict"

    def mlserver(stack: ExitStack, model: str) -> str:
        port = free_port()
        home = models / f"mlserver-{model}"
        home.mkdir(exist_ok=True)
        shutil.copy(models / f"{model}.joblib", home / "model.joblib")
        settings = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel",
                    "parameters": {"uri": "./model.joblib"}}  # fmt: skip
        (home / "model-settings.json").write_text(json.dumps(settings))
        ports = {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port()),
                 "MLSERVER_METRICS_PORT": str(free_port()), "MLSERVER_HOST": "127.0.0.1"}  # fmt: skip
        if name == "mlserver-inline":
            ports["MLSERVER_PARALLEL_WORKERS"] = "0"
        ready = lambda: post(port, V2, v2)[0] == 200  # noqa: E731
        stack.enter_context(Server(name, [python.with_name("mlserver"), "start", home], ready, **ports))
        return f"http://127.0.0.1:{port}{V2}"

    start = {"fastapi": fastapi, "litserve": litserve, "mlserver": mlserver}[kind]
    return Contestant(name, start, json.dumps({"x": [row]}) if kind == "litserve" else v2, {})
