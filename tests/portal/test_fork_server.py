"""The fork server: whom it forks behaves as if started anew."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from portal.environment import ROOT, read
from portal.supervisor import forkserver
from portal.supervisor.forkserver import ForkServerAway, Wanted, fork
from portal.supervisor.identity import ProcessIdentity

SAYS_WHO_IT_IS = """
import gc, json, os, signal, sys

def target(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""

print(json.dumps({
    "argv": sys.argv, "name": __name__, "session": os.getsid(0), "pid": os.getpid(), "nice": os.nice(0),
    "variable": os.environ["A_VARIABLE"], "collects": gc.isenabled(), "django": "django.urls" in sys.modules,
    "child": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
    "sockets": [name for name in map(target, os.listdir("/proc/self/fd")) if "socket" in name],
}))
"""


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="atrium-k-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def server(folder):
    """A running fork server; its socket."""
    mine = {"ATRIUM_DATA_DIR": str(folder), "ATRIUM_RUN_DIR": str(folder / "run")}
    environment = read(mine)
    environment.make_directories()
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.supervisor.forkserver"],
        cwd=ROOT,
        env={**os.environ, **mine, "DJANGO_SETTINGS_MODULE": "portal.settings"},
    )
    address = environment.fork_socket
    deadline = time.monotonic() + 90
    while not forkserver.answers(address):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield address
    process.terminate()
    process.wait(10)


def run(
    server: Path, folder: Path, script: str, *words: str, name: str = "probe"
) -> tuple[ProcessIdentity, str]:
    """Fork a process that runs `script` and wait for its end; what it printed."""
    path, log = folder / f"{name}.py", folder / f"{name}.log"
    path.write_text(script)
    log.unlink(missing_ok=True)
    process = fork(server, Wanted(name, (str(path), *words), str(log), 3, {"A_VARIABLE": "its own"}))
    assert process.wait(30)
    return process, log.read_text()


def test_a_forked_process_is_as_if_started_anew(server, folder):
    process, said = run(server, folder, SAYS_WHO_IT_IS, "one", "two")

    seen = json.loads(said)
    assert seen["argv"][1:] == ["one", "two"]
    assert seen["name"] == "__main__"
    assert seen["session"] == seen["pid"] == process.pid
    assert seen["nice"] == os.nice(0) + 3
    assert seen["variable"] == "its own"
    assert seen["collects"]
    assert seen["child"]
    assert not seen["sockets"], "nothing of the fork server's is left open"


def test_it_has_everything_imported_already(server, folder):
    _, said = run(server, folder, SAYS_WHO_IT_IS)

    assert json.loads(said)["django"]


def test_a_failure_is_in_its_own_log_and_the_fork_server_works_on(server, folder):
    _, said = run(server, folder, "raise RuntimeError('no luck')", name="failing")

    assert "no luck" in said
    assert forkserver.answers(server)


def test_an_ended_process_leaves_no_zombie(server, folder):
    process, _ = run(server, folder, "pass", name="short")

    deadline = time.monotonic() + 20
    while Path(f"/proc/{process.pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_request_that_makes_no_sense_harms_nothing(server):
    with pytest.raises(ForkServerAway):
        forkserver._ask(server, {"name": "nonsense", "argv": []})

    assert forkserver.answers(server)


def test_without_a_fork_server_the_caller_learns_so(folder):
    with pytest.raises(ForkServerAway):
        fork(folder / "nobody.sock", Wanted("x", ("x.py",), str(folder / "x.log")))
