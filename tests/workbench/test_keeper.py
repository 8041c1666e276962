"""What starts a workspace's Jupyter server again; any program stands for the server here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from atrium import keeper
from tests.workbench.conftest import wait_for


@pytest.fixture
def kept(tmp_path):
    """Runs a shell script under a keeper; gives the exit code and how often it was started again."""

    def run(script):
        made = keeper.Keeper(["sh", "-c", script, "server", str(tmp_path)], str(tmp_path))
        code = made.keep()
        count = tmp_path / keeper.COUNT
        return code, count.stat().st_size if count.exists() else 0

    return run


def test_a_killed_server_is_started_again_until_it_ends_by_itself(kept, monkeypatch):
    monkeypatch.setattr(keeper, "FAILS_WITHIN_S", 0.0)

    assert kept('test -e "$1/2" && exit 3; test -e "$1/1" && touch "$1/2"; touch "$1/1"; kill -9 $$') == (
        3,
        2,
    )


def test_a_server_that_is_killed_at_once_again_and_again_is_left_to_the_supervisor(kept, monkeypatch):
    monkeypatch.setattr(keeper, "AGAIN_AFTER_S", (0.0, 0.01, 0.02))

    assert kept("kill -9 $$") == (128 + signal.SIGKILL, 3)


LEAVES = """import json, os, socket, sys
told = json.loads(os.environ["ATRIUM_KEEPER"])
line = socket.socket(fileno=told["line"])
if not told["left"]:
    for name in ("kept", "forgotten"):
        reading, writing = os.pipe()
        os.write(writing, name.encode())
        socket.send_fds(line, [name.encode()], [reading])
    line.send(b"forgotten")
    os.kill(os.getpid(), 9)
print(*[(name, os.read(handle, 9).decode()) for name, handle in told["left"].items()], file=open(sys.argv[1], "w"))
"""


def test_what_a_killed_server_has_left_is_handed_to_the_next(tmp_path):
    argv = [sys.executable, "-c", LEAVES, str(tmp_path / "found")]

    assert keeper.Keeper(argv, str(tmp_path)).keep() == 0

    assert (tmp_path / "found").read_text() == "('kept', 'kept')\n"


def test_an_orphan_that_holds_the_line_does_not_hold_up_the_end(kept):
    began = time.monotonic()

    assert kept("sleep 20 & exit 3") == (3, 0)
    assert time.monotonic() - began < 10


def test_a_server_that_ends_by_itself_ends_the_workload(kept, monkeypatch):
    monkeypatch.setattr(keeper, "FAILS_WITHIN_S", 0.0)

    assert kept("exit 1") == (1, 0)


def test_a_stop_is_passed_on_and_nothing_is_started_after_it(tmp_path):
    (tmp_path / "served.py").write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), 9))\n"
        "open('ready', 'w').close()\n"
        "time.sleep(60)\n"
    )
    python = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    python |= {"PYTHONPATH": str(tmp_path), "ATRIUM_RUN": str(tmp_path)}
    above = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, "served"], env=python, cwd=tmp_path
    )
    wait_for((tmp_path / "ready").exists)

    above.terminate()

    assert above.wait(10) == 128 + signal.SIGKILL
    assert not (tmp_path / keeper.COUNT).exists()


def test_a_stop_in_the_pause_before_the_next_server_starts_none(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "FAILS_WITHIN_S", 0.0)
    made = keeper.Keeper(
        ["sh", "-c", 'echo >> "$1"; kill -9 $$', "server", str(tmp_path / "starts")], str(tmp_path)
    )
    pause = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _s: made.end(signal.SIGTERM, None))
    monkeypatch.setattr(keeper, "time", pause)

    assert made.keep() == 128 + signal.SIGKILL
    assert (tmp_path / "starts").read_text() == "\n"


def test_a_stop_while_the_server_is_being_started_reaches_it(tmp_path, monkeypatch):
    made = keeper.Keeper(["sleep", "5"], str(tmp_path))
    spawn = os.posix_spawnp

    def stopped_meanwhile(*args):
        made.end(signal.SIGTERM, None)
        return spawn(*args)

    monkeypatch.setattr(os, "posix_spawnp", stopped_meanwhile)

    assert made.keep() == 128 + signal.SIGTERM


def test_a_stop_just_after_the_server_has_ended_is_no_error(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    made = keeper.Keeper([], str(tmp_path))
    made.server = gone.pid

    made.end(signal.SIGTERM, None)

    assert made.ending


def test_the_count_begins_anew_with_the_sandbox(kept, tmp_path):
    (tmp_path / keeper.COUNT).write_text("...")

    assert kept("exit 0") == (0, 0)
