"""kill -9 of every part while people work, and what must be true after."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import psycopg
import pytest
import requests

from portal.supervisor.identity import session_members
from tests.stack import ROOT, Stack, new_stack

pytestmark = pytest.mark.stack

BACK_WITHIN_S = 60
MADE_WITHIN_S = 300


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


def rows(stack: Stack, question: str) -> list[tuple]:
    """What the instance's database says; nothing while it is away."""
    with suppress(psycopg.OperationalError), psycopg.connect(stack.environment.database_url) as connection:
        return connection.execute(question).fetchall()
    return []


class Calls:
    """A consumer's program calls `digits` four times a second, and remembers what it was answered."""

    BODY: ClassVar = {
        "inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [8.0] * 64}]
    }

    def __init__(self, stack: Stack, key: str) -> None:
        self.url, self.answers = f"{stack.gateway_url}/v2/models/digits/infer", []
        self.headers = {"Authorization": f"Bearer {key}"}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._call)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()

    def _call(self) -> None:
        while not self.ending.wait(0.25):
            answer = requests.post(self.url, json=self.BODY, headers=self.headers, timeout=20)
            self.answers.append((answer.status_code, answer.headers["X-Request-Id"]))

    def statuses(self, since: int = 0) -> list[int]:
        """Of the answers so far."""
        return [status for status, _request_id in self.answers[since:]]


@pytest.fixture(scope="module")
def key(instance) -> str:
    """A consumer's key to `digits`, as soon as that is made."""
    return instance.manage("key", "consumer", "digits").splitlines()[-1]


def replaced(stack: Stack, name: str, old):
    """The process that took the place of `old`."""
    new = stack.process(name)
    return new if new and new != old and new.alive() else None


SERVING = (
    "SELECT r.pid FROM instances_replica r JOIN instances_deployment d ON d.id = r.deployment_id"
    " JOIN catalog_capability c ON c.id = d.capability_id"
    " WHERE c.slug = 'digits' AND d.kind = 'production' AND r.status = 'ready'"
)
TRAINING = "SELECT status, attempt FROM compute_job WHERE kind = 'training' AND title LIKE '%digits%'"


def test_the_end_of_the_worker_does_not_disturb_a_sample_that_is_trained(instance):
    wait_for(lambda: rows(instance, TRAINING) in ([("running", 1)], [("succeeded", 1)]), MADE_WITHIN_S)
    old = instance.process("worker")

    old.send(signal.SIGKILL)

    wait_for(lambda: replaced(instance, "worker", old))
    wait_for(lambda: rows(instance, TRAINING) == [("succeeded", 1)], MADE_WITHIN_S)


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
    spoken = "SELECT at FROM core_heartbeat WHERE part = 'worker'"
    before = rows(instance, spoken)
    wait_for(lambda: rows(instance, spoken) > before)
    assert instance.process("worker") == worker, "the worker reconnects by itself and goes on"


def test_calls_are_answered_and_logged_once_while_what_stands_beside_the_gateway_is_killed(instance, key):
    with Calls(instance, key) as calls:
        for name in ("web", "live", "worker", "ingest", "postgres", "valkey"):
            old = instance.process(name)
            old.send(signal.SIGKILL)
            wait_for(partial(replaced, instance, name, old))
        instance.wait_until_up(BACK_WITHIN_S)

    assert set(calls.statuses()) == {200}
    answered = {UUID(request_id) for _status, request_id in calls.answers}
    logged = "SELECT request_id FROM gateway_call WHERE status = 200 AND grant_id IS NOT NULL"
    found = wait_for(
        lambda: (told := [row[0] for row in rows(instance, logged)]) and answered <= {*told} and told
    )
    assert len(found) == len(set(found))


def test_after_a_kill_of_the_supervisor_the_next_start_adopts_what_runs(instance, key):
    supervisor = instance.process("supervisor")
    names = ("postgres", "valkey", "forkserver", "web", "live", "gateway", "worker", "beat", "ingest")
    before = {name: instance.process(name) for name in names}
    runners = wait_for(lambda: rows(instance, SERVING))
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
    assert rows(instance, SERVING) == runners, "models answer on as the same processes"
    for (pid,) in runners:
        os.kill(pid, 0)


def test_a_killed_runner_is_started_again_and_its_model_answers(instance, key):
    ((pid,),) = wait_for(lambda: rows(instance, SERVING))
    with Calls(instance, key) as calls:
        wait_for(lambda: 200 in calls.statuses())
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: set(calls.statuses()) - {200})
        wait_for(lambda: (told := rows(instance, SERVING)) and told != [(pid,)])
        since = len(calls.answers)
        wait_for(lambda: calls.statuses(since).count(200) > 4)

    assert set(calls.statuses()) <= {200, 502, 503}
    assert set(calls.statuses()[-4:]) == {200}


def test_a_sample_was_made_once_although_everything_was_killed_meanwhile(instance, key):
    of_digits = "c ON c.id = capability_id WHERE c.slug = 'digits'"
    versions = f"SELECT number, v.status FROM catalog_version v JOIN catalog_capability {of_digits}"
    releases = f"SELECT r.status FROM releases_release r JOIN catalog_capability {of_digits}"
    jobs = "SELECT kind FROM compute_job WHERE kind IN ('training', 'packaging') AND title LIKE '%digits%'"

    assert rows(instance, versions) == [("1.0.0", "packaged")]
    assert rows(instance, f"{releases} AND r.status <> 'rolled_back'") == [("released",)]
    assert sorted(rows(instance, jobs)) == [("packaging",), ("training",)]
    assert rows(instance, TRAINING) == [("succeeded", 1)]


def test_ctrl_c_ends_everything_within_20_seconds_and_frees_the_ports(instance):
    assert instance.processes()

    took = instance.end(signal.SIGINT)

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
