"""Recipe, packaging and runner as the portal runs them: workloads in the engine's sandbox."""

import json
import shutil
import time
from pathlib import Path

import pytest

from apps.compute.engines.base import PORT_SOCKET, File, Mount, Resources, Workload
from apps.compute.engines.local import LocalEngine
from portal.samples import data
from tests.sdk.conftest import ROOT, Runner

RECIPE = ROOT / "portal" / "samples" / "recipes" / "fault_tickets.py"


@pytest.fixture
def engine(tmp_path_factory):
    folder = Path("/tmp") / f"atrium-{time.monotonic_ns()}"
    folder.mkdir(mode=0o711)
    engine = LocalEngine(folder / "workloads", folder / "w", ROOT / "sdk")
    yield engine
    for observed in engine.list():
        engine.remove(observed.id)
    shutil.rmtree(folder, ignore_errors=True)


def run(engine, name, argv, base, files, keep):
    """Run a workload to its end and copy what it left in outputs/."""
    engine.start(
        Workload(
            name,
            argv,
            environment=base.python.parents[1],
            files=files,
            resources=Resources(cpu=1, memory_mb=2048),
            timeout_s=200,
        )
    )
    while not (observed := engine.observe(name)).ended:
        time.sleep(0.1)
    assert observed.state == "succeeded", engine.log(name)[0].decode()
    for path, stream in engine.files(name, "outputs"):
        (keep / path).parent.mkdir(parents=True, exist_ok=True)
        (keep / path).write_bytes(stream.read())
    return json.loads(engine.read(name, "result.json"))


def test_a_recipe_becomes_a_served_package_inside_the_sandbox(engine, base, tmp_path):
    table = data.write_fault_tickets(tmp_path / "fault-tickets.csv")
    files = [File("main.py", RECIPE), File("inputs/fault-tickets.csv", table)]
    assert (
        run(engine, "train", ["python", "main.py"], base, files, tmp_path / "a")["metrics"]["accuracy"] > 0.9
    )
    model = next((tmp_path / "a").rglob("MLmodel")).parent
    files = [
        File(f"inputs/source/{path.relative_to(model)}", path) for path in model.rglob("*") if path.is_file()
    ]
    result = run(engine, "package", ["python", "-m", "atrium.packaging"], base, files, tmp_path / "b")
    assert result["runtime"] == "onnx", result["conversion"]

    package = next((tmp_path / "b").rglob("package.json")).parent
    engine.start(
        Workload(
            "serve",
            ["python", "-m", "atrium.runner", "--package", "/package", "--uds", PORT_SOCKET],
            environment=base.python.parents[1],
            mounts=[Mount(package, "/package")],
            port=True,
            resources=Resources(cpu=1, memory_mb=1024),
        )
    )
    runner = Runner(None, engine.run_dir / "serve" / "port.sock")
    assert runner.wait_ready() == (200, {"ready": True}), engine.log("serve")[0]
    text = {"name": "text", "datatype": "BYTES", "shape": [1]}
    status, answer = runner.infer(
        "model", {**text, "data": ["Excavator damaged the cable, 24 fibres broken"]}
    )
    assert (status, answer["outputs"][0]["data"]) == (200, ["fibre-cut"])
    assert 0 < engine.observe("serve").memory_mb < 200


SCORING = """
from pathlib import Path
import atrium
from atrium.evaluation.scoring import score_rows

SCORER = '''
import os, subprocess, sys

def score(truth, answer, inputs):
    found = {"keys": 0, "memory": 0, "forks": 0, "sums": 0}
    try:
        found["keys"] = open(f"/proc/{os.getppid()}/environ", "rb").read().count(b"ATRIUM_KEY")
    except OSError:
        pass
    try:
        open(f"/proc/{os.getppid()}/mem", "rb+")
        found["memory"] = 1
    except OSError:
        pass
    try:
        subprocess.run([sys.executable, "-c", ""])
        found["forks"] = 1
    except OSError:
        pass
    import numpy
    found["sums"] = float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum() / 300)
    return found
'''
scores = score_rows(SCORER, [{"truth": 1, "answer": 1, "inputs": {}}], Path.cwd())
atrium.result({name: values.tolist() for name, values in scores.items()})
"""


def test_a_suites_scorer_reads_no_key_of_its_job_and_leaves_nothing_running(engine, base, tmp_path):
    script = tmp_path / "main.py"
    script.write_text(SCORING)
    engine.start(
        Workload(
            "score", ["python", "main.py"], environment=base.python.parents[1], files=[File("main.py", script)],
            env={"ATRIUM_KEY_CANDIDATE": "atk_secret"}, resources=Resources(cpu=1, memory_mb=2048), timeout_s=60,
        )
    )  # fmt: skip
    while not engine.observe("score").ended:
        time.sleep(0.1)

    assert engine.observe("score").state == "succeeded", engine.log("score")[0].decode()
    found = json.loads(engine.read("score", "result.json"))
    assert found == {"keys": [0], "memory": [0], "forks": [0], "sums": [90000.0]}
