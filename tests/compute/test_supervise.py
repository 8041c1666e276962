"""Kills of the parts around a workload: nothing is lost silently, nothing runs twice or stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.compute.engines.base import EngineError, File, Workload
from apps.compute.engines.local import LocalEngine
from apps.compute.engines.shim import marked, read_json

from .conftest import ROOT, wait_ended, wait_for


def running_with(word: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_workload_outlives_the_process_that_started_it(local_engine):
    starter = (
        "import sys; from pathlib import Path\n"
        "from apps.compute.engines.local import LocalEngine\nfrom apps.compute.engines.base import Workload\n"
        f"e = LocalEngine(Path({str(local_engine.root)!r}), Path({str(local_engine.run_dir)!r}),"
        " Path('sdk'))\n"
        "e.start(Workload('w1', ['sh', '-c', 'sleep 2; echo survived']))\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", starter], cwd=ROOT, check=False)

    wait_for(lambda: local_engine.observe("w1").state == "running")
    assert wait_ended(local_engine, "w1").state == "succeeded"
    assert local_engine.log("w1")[0] == b"survived\n"


def test_killed_supervisor_takes_its_workload_with_it_and_is_noticed(local_engine):
    local_engine.start(Workload("w1", ["sh", "-c", "echo up; sleep 61.25"]))
    wait_for(lambda: local_engine.log("w1")[0])
    supervisor = read_json(str(local_engine.root / "w1" / "status.json"))["shim"][0]

    os.kill(supervisor, signal.SIGKILL)

    observed = wait_for(lambda: (o := local_engine.observe("w1")).ended and o)
    assert (observed.state, observed.reason) == ("lost", "its supervisor process was killed")
    wait_for(lambda: not running_with("sleep\x0061.25"))


def test_a_stop_reaches_the_command_and_not_what_lost_its_parent(local_engine):
    command = "(sleep 300 & sleep 300 &); trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    local_engine.start(Workload("w1", ["sh", "-c", command]))
    wait_for(lambda: local_engine.log("w1")[0])

    local_engine.stop("w1", grace_s=5)

    assert wait_ended(local_engine, "w1").state == "stopped"
    assert local_engine.log("w1")[0] == b"up\ntold\n"


@pytest.fixture
def early() -> str:
    """An id that no other run of the tests has: what carries its mark is looked for on the whole machine."""
    return f"early-{os.getpid()}-{time.monotonic_ns()}"


@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 8, 16])
def test_supervisor_killed_right_at_the_start_leaves_nothing_behind(local_engine, early, after_ms):
    local_engine.start(Workload(early, ["sleep", "60"]))
    supervisor = read_json(str(local_engine.root / early / "status.json"))["shim"][0]
    time.sleep(after_ms / 1000)

    os.kill(supervisor, signal.SIGKILL)

    wait_for(lambda: local_engine.observe(early).ended)
    assert marked(early) == []
    time.sleep(0.2)  # nor does anything start now
    assert marked(early) == []


def test_workload_removed_right_at_its_start_leaves_nothing_behind(local_engine, early):
    local_engine.start(Workload(early, ["sleep", "60"]))

    local_engine.remove(early)

    assert marked(early) == []


def test_another_process_observes_and_stops_what_runs(local_engine):
    local_engine.start(Workload("w1", ["sleep", "60"]))
    another = LocalEngine(local_engine.root, local_engine.run_dir, local_engine.sdk)

    wait_for(lambda: another.observe("w1").state == "running")
    another.stop("w1", grace_s=1)

    assert wait_ended(local_engine, "w1").state == "stopped"


def test_stop_lets_a_command_finish_within_its_grace(local_engine):
    script = "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    local_engine.start(Workload("w1", ["bash", "-c", script]))
    wait_for(lambda: local_engine.log("w1")[0])

    local_engine.stop("w1", grace_s=5)

    observed = wait_ended(local_engine, "w1")
    assert observed.state == "stopped"
    assert b"saved" in local_engine.log("w1")[0]


def test_command_that_ignores_the_stop_is_killed_after_its_grace(local_engine):
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    local_engine.start(Workload("w1", ["bash", "-c", script]))
    wait_for(lambda: local_engine.log("w1")[0])
    began = time.monotonic()

    local_engine.stop("w1", grace_s=0.5)

    assert wait_ended(local_engine, "w1").state == "stopped"
    assert 0.4 < time.monotonic() - began < 3


def test_start_cut_short_before_the_supervisor_is_taken_up_again(local_engine):
    local_engine._prepare(Workload("w1", ["echo", "ran"]), local_engine.root / "w1")
    assert local_engine.observe("w1").state == "starting"

    local_engine.start(Workload("w1", ["echo", "ran"]))

    assert wait_ended(local_engine, "w1").state == "succeeded"
    assert local_engine.log("w1")[0] == b"ran\n"


def test_start_cut_short_for_long_is_told_as_lost(local_engine):
    folder = local_engine.root / "w1"
    local_engine._prepare(Workload("w1", ["echo", "ran"]), folder)
    os.utime(folder, (time.time() - 60, time.time() - 60))

    observed = local_engine.observe("w1")

    assert (observed.state, observed.reason) == ("lost", "its supervisor process never started")


def test_start_that_the_machine_refuses_is_told_with_the_reason(local_engine, tmp_path):
    gone = File("inputs/rows.csv", tmp_path / "gone.csv")

    with pytest.raises(EngineError, match=r"w1 cannot be started: .*gone\.csv"):
        local_engine.start(Workload("w1", ["true"], files=[gone]))

    assert local_engine.observe("w1") is None


def test_signal_is_told_by_name(local_engine):
    local_engine.start(Workload("w1", ["sh", "-c", "kill -11 $$"]))

    assert wait_ended(local_engine, "w1").reason == "killed by signal 11 (SIGSEGV)"


def test_failure_tells_its_last_line(local_engine):
    local_engine.start(Workload("w1", ["sh", "-c", "echo one; echo 'the key is missing' >&2; exit 1"]))

    assert wait_ended(local_engine, "w1").reason == "exit code 1: the key is missing"


def test_missing_program_is_told(local_engine):
    local_engine.start(Workload("w1", ["no-such-program"]))

    observed = wait_ended(local_engine, "w1")

    assert observed.state == "failed"
    assert "no-such-program" in observed.reason


def test_supervisor_is_small(local_engine):
    local_engine.start(Workload("w1", ["sleep", "60"]))
    status = wait_for(lambda: read_json(str(local_engine.root / "w1" / "status.json")))
    lines = Path(f"/proc/{status['shim'][0]}/smaps_rollup").read_text().splitlines()

    memory_kb = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    assert memory_kb < 12 * 1024


def test_weakest_level_runs_and_cleans_up_what_detached(local_engine):
    weak = LocalEngine(local_engine.root, local_engine.run_dir, local_engine.sdk, level="rlimits")
    weak.start(
        Workload("w1", ["bash", "-c", "setsid sleep 62.75 & echo /work; pwd; sleep 0.3; cat /dev/null"])
    )

    observed = wait_ended(weak, "w1")

    assert observed.state == "succeeded"
    wait_for(lambda: not running_with("sleep\x0062.75"))
