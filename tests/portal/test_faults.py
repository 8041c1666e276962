"""kill -9 of every part while people work, and what must be true after."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from portal.supervisor.identity import session_members
from tests.stack import ROOT, Stack, new_stack

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("faults")]

BACK_WITHIN_S = 60


@pytest.fixture(scope="module")
def instance():
    """A portal of its own, so that its faults disturb no other test."""
    with tempfile.TemporaryDirectory(prefix="atrium-f-") as folder:
        stack = new_stack(Path(folder))
        stack.start()
        try:
            stack.wait_until_up()
            yield stack
        finally:
            stack.end()


def wait_for(condition, timeout_s: float = BACK_WITHIN_S):
    """What `condition` returns as soon as that is true."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.1)
    return result


def replaced(stack: Stack, name: str, old):
    """The process that took the place of `old`."""
    new = stack.process(name)
    return new if new and new != old and new.alive() else None


@pytest.mark.parametrize("name", ["web", "live", "gateway", "worker", "beat", "ingest"])
def test_a_killed_process_is_started_again_and_leaves_no_child(instance, name):
    consumer = instance.logged_in("consumer")
    old = instance.process(name)

    old.send(signal.SIGKILL)

    wait_for(lambda: replaced(instance, name, old))
    assert not [member for member in session_members(old.pid) if member.alive()]
    instance.wait_until_up(BACK_WITHIN_S)
    assert "/login/" not in consumer.get("/").url, "the session outlives the process"


def test_the_end_of_the_fork_server_disturbs_nobody_whom_it_forked(instance):
    names = ("web", "live", "gateway", "worker", "beat", "ingest")
    before = {name: instance.process(name) for name in names}
    old = instance.process("forkserver")

    old.send(signal.SIGKILL)

    assert instance.logged_in("consumer").get("/").ok
    wait_for(lambda: replaced(instance, "forkserver", old))
    assert {name: instance.process(name) for name in names} == before
    before["beat"].send(signal.SIGKILL)  # the new one forks as the old one did
    wait_for(lambda: replaced(instance, "beat", before["beat"]))


def test_a_killed_child_of_the_web_server_is_replaced(instance):
    leader = instance.process("web")
    (child,) = [each for each in session_members(leader.pid) if each != leader and each.command()[0]][:1]

    child.send(signal.SIGKILL)

    child.wait(5)
    instance.wait_until_up(BACK_WITHIN_S)
    assert instance.process("web") == leader or not leader.alive()


def test_a_killed_database_comes_back_with_every_committed_row(instance):
    consumer = instance.logged_in("consumer")
    old = instance.process("postgres")

    old.send(signal.SIGKILL)

    wait_for(lambda: replaced(instance, "postgres", old))
    instance.wait_until_up(BACK_WITHIN_S)
    assert "/login/" not in consumer.get("/").url
    assert instance.logged_in("dev")


def test_pages_work_after_a_kill_of_valkey(instance):
    consumer = instance.logged_in("consumer")
    old = instance.process("valkey")

    old.send(signal.SIGKILL)

    wait_for(lambda: replaced(instance, "valkey", old))
    instance.wait_until_up(BACK_WITHIN_S)
    assert consumer.get("/").ok
    worker = instance.process("worker")
    time.sleep(1)
    assert instance.process("worker") == worker, "the worker reconnects by itself"


def test_after_a_kill_of_the_supervisor_the_next_start_adopts_what_runs(instance):
    supervisor = instance.process("supervisor")
    names = ("postgres", "valkey", "forkserver", "web", "live", "gateway", "worker", "beat", "ingest")
    before = {name: instance.process(name) for name in names}
    supervisor.send(signal.SIGKILL)
    supervisor.wait(5)
    assert instance.health()["status"] == "up", "the portal works on without its supervisor"
    before["beat"].send(signal.SIGKILL)  # what ends meanwhile is started by the next supervisor

    instance.start()
    wait_for(lambda: replaced(instance, "supervisor", supervisor))
    wait_for(lambda: replaced(instance, "beat", before["beat"]))
    instance.wait_until_up(BACK_WITHIN_S)

    after = {name: instance.process(name) for name in names}
    assert {name for name in names if after[name] != before[name]} == {"beat"}


def test_the_end_takes_everything_within_20_seconds_and_frees_the_ports(instance):
    assert instance.processes()

    took = instance.end()

    assert took < 20
    wait_for(lambda: not instance.processes(), 2)
    here = instance.environment
    for port in (here.web_port, here.live_port, here.gateway_port):
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(("127.0.0.1", port))

    instance.start()
    instance.wait_until_up()
    assert instance.logged_in("consumer"), "the data is kept"


def start_and_read(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the supervisor to its (early) end."""
    folder = tempfile.mkdtemp(prefix="atrium-w-")
    try:
        stack = new_stack(Path(folder), **variables)
        return subprocess.run(
            [sys.executable, "-m", "portal.supervisor"],
            cwd=ROOT,
            env=stack.child_variables(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_wrong_value_stops_the_start_with_one_line():
    done = start_and_read(ATRIUM_SAMPLES="perhaps")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["ATRIUM_SAMPLES=perhaps is neither 0 nor 1."]


def test_a_taken_port_stops_the_start_and_names_the_variable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = start_and_read(ATRIUM_WEB_PORT=str(port))

    assert done.returncode == 1
    assert done.stderr.strip() == f"ATRIUM_WEB_PORT={port} is in use; set ATRIUM_WEB_PORT to a free port."
