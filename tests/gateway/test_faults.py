"""Nothing acknowledged is lost, and nothing is counted twice, whatever dies or fills up."""

from __future__ import annotations

import http.client
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from apps.gateway.dataplane import segments
from apps.gateway.dataplane.snapshot import dump
from apps.gateway.models import Call
from apps.gateway.selectors import usage
from tests.gateway.conftest import BODY, KEY, ROOT, Gateway, Started, free_port, picture, until
from tests.gateway.test_ingest import ANSWER, REQUEST, facts, served  # noqa: F401 - a fixture


class Callers:
    """Threads that call on kept connections, and remember which answers they got."""

    def __init__(self, gateway, count: int = 6) -> None:
        self.gateway, self.acknowledged, self.statuses, self.cut = gateway, [], [], 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._call) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _call(self) -> None:
        connection = None
        while not self.ending.is_set():
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self.gateway.port, timeout=10
                )
                connection.request(
                    "POST", "/v2/models/digits/infer", BODY, {"Authorization": f"Bearer {KEY}"}
                )
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
                self.acknowledged.append(answer.getheader("X-Request-Id"))
            except (OSError, http.client.HTTPException):
                self.cut += 1
                connection = None
                time.sleep(0.02)


def test_every_acknowledged_call_is_logged_once_though_gateway_processes_are_killed(gateway, runner):
    serving = gateway(picture(sockets={"1.0.0": [runner(name="a"), runner(name="b")]}), processes=2)
    with Callers(serving) as callers:
        for _ in range(4):
            time.sleep(0.6)
            os.kill(serving.get("/healthz").json["pid"], signal.SIGKILL)
            until(serving.answers)
        time.sleep(0.5)

    logged = [record.facts["id"] for record in serving.records()]
    assert len(callers.acknowledged) > 50
    assert set(callers.statuses) == {200}
    assert len(logged) == len(set(logged))
    assert set(callers.acknowledged) <= set(logged)
    assert len(logged) - len(callers.acknowledged) <= callers.cut


def test_a_killed_runner_costs_no_call_while_another_is_there(gateway, runner):
    first, second = runner(name="a"), runner(name="b")
    serving = gateway(picture(sockets={"1.0.0": [first, second]}))
    with Callers(serving) as callers:
        time.sleep(0.5)
        runner.running[first].kill()
        time.sleep(1.0)

    assert callers.cut == 0
    assert set(callers.statuses) <= {200, 502}
    assert callers.statuses.count(502) <= len(callers.threads)  # in flight on the killed one, half answered


def test_a_full_disk_is_503_and_calls_go_on_when_there_is_room_again(gateway, runner):
    serving = gateway(picture(sockets={"1.0.0": [runner()]}))
    pid = serving.started.pid
    assert serving.infer().status == 200
    (segment,) = serving.calllog.glob("*/*.seg")
    size = segment.stat().st_size

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    full = serving.infer()
    assert (full.status, full.json["type"]) == (503, "urn:atrium:problem:log-full")
    assert serving.infer().status == 503
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: serving.infer().status == 200)

    assert {record.facts["status"] for record in serving.records()} == {200}


def test_a_gateway_starts_and_serves_without_the_centre_from_what_it_kept(gateway, runner):
    serving = gateway(
        picture(sockets={"1.0.0": [runner()]}), live_url="http://127.0.0.1:9", token="of-the-tests"
    )
    assert serving.infer().status == 200


def test_a_damaged_snapshot_on_disk_stops_nothing(gateway):
    serving = gateway()
    serving.stop()
    (serving.state / "snapshot").write_bytes(b"atrium-snapshot/1 3\nkeys")
    serving.start()

    assert serving.get("/v2/health/ready").status == 503
    assert serving.get("/v2/health/live").status == 200


def test_slow_and_silent_clients_cannot_use_up_the_gateway(gateway, runner):
    serving = gateway(picture(sockets={"1.0.0": [runner()]}), connections=20, header_seconds=1.0)
    silent = [http.client.HTTPConnection("127.0.0.1", serving.port) for _ in range(20)]
    for each in silent:
        each.connect()
        each.sock.sendall(b"GET / HTTP/1.1\r\nx: ")

    def status() -> int:
        try:
            return serving.infer().status
        except (BrokenPipeError, ConnectionResetError):
            return 503  # refused before the request was read

    assert status() == 503
    until(lambda: status() == 200, 6)


@pytest.mark.django_db(transaction=True)
def test_the_ingester_killed_again_and_again_loses_and_doubles_nothing(tmp_path, served):  # noqa: F811
    folder = tmp_path / "calllog" / "0-abc"
    folder.mkdir(parents=True)
    for number in range(6):
        records = [segments.pack(facts(served, ms=1.0), REQUEST, ANSWER) for _ in range(5000)]
        (folder / f"{number:06d}.seg").write_bytes(b"".join(records))

    def start() -> Started:
        return Started(
            "manage.py", "ingest", "--skip-checks",
            log=tmp_path / "ingest.log", ATRIUM_DATA_DIR=str(tmp_path), DATABASE_URL=database_url(),
            PYTHONPATH="sdk", DJANGO_SETTINGS_MODULE="portal.settings",
        )  # fmt: skip

    killed = 0
    while list(folder.glob("*.seg")):
        running = start()
        before = Call.objects.count()
        until(lambda: Call.objects.count() > before or not list(folder.glob("*.seg")), 30)  # noqa: B023
        time.sleep(random.uniform(0, 0.2))
        running.kill()
        killed += 1
    running = start()
    until(lambda: not folder.exists() or not list(folder.iterdir()), 20)
    until(lambda: Call.objects.count() == 30_000, 20)
    running.stop()

    assert killed > 1
    grant = served[2]
    assert sum(row.count for row in usage(since=grant.created_at, grants=[grant.pk])) == 30_000


def database_url() -> str:
    """The database of the tests, in words for another process."""
    found = settings.DATABASES["default"]
    return (
        f"postgresql://{found['USER']}:{found['PASSWORD']}@/{connection.settings_dict['NAME']}"
        f"?host={found['HOST']}"
    )


def _moved(whole, segment):
    """Whether the segment is in its folder, which the ingester takes away where nothing is left in it."""
    segment.parent.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        whole.rename(segment)
    return not whole.exists()


@pytest.mark.django_db(transaction=True)
def test_the_log_waits_on_the_disk_while_the_database_is_away(tmp_path, served):  # noqa: F811
    """The ingester's connection is cut again and again, as a restart of PostgreSQL cuts it."""
    folder = tmp_path / "calllog" / "0-abc"
    folder.mkdir(parents=True)
    running = Started(
        "manage.py", "ingest", "--skip-checks",
        log=tmp_path / "ingest.log", ATRIUM_DATA_DIR=str(tmp_path), DATABASE_URL=database_url(),
        PYTHONPATH="sdk", DJANGO_SETTINGS_MODULE="portal.settings",
    )  # fmt: skip
    written = 0
    for number in range(4):
        records = [segments.pack(facts(served), REQUEST, ANSWER) for _ in range(500)]
        whole = folder.parent / "whole"
        whole.write_bytes(b"".join(records))
        until(lambda whole=whole, number=number: _moved(whole, folder / f"{number:06d}.seg"))
        written += 500
        with psycopg.connect(database_url(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
                [connection.connection.info.backend_pid],
            )
        time.sleep(0.5)
    until(lambda: Call.objects.count() == written, 30)
    running.stop()
    assert Call.objects.count() == written


def test_the_watching_process_takes_its_children_with_it(gateway):
    serving = gateway(processes=2)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(serving.started.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(children) == 2

    serving.started.kill()
    until(lambda: not any(alive(int(pid)) for pid in children), 15)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(tmp_path):
    config = tmp_path / "gateway.json"
    config.write_text('{"port": "eighty"}')
    done = subprocess.run(
        [sys.executable, "-m", "apps.gateway.dataplane", str(config)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "port is 'eighty'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_manage_py_gateway_serves_alone_with_processes_that_share_one_port(folder, runner):
    """No database, no Valkey, no centre: what was kept is enough."""
    port = free_port()
    data = folder / "var"
    (data / "gateway").mkdir(parents=True)
    shot = picture(sockets={"1.0.0": [runner()]})
    (data / "gateway" / "snapshot").write_bytes(dump(1, shot))
    here = Gateway(folder / "unused")
    here.port, here.calllog = port, data / "calllog"
    nowhere = {
        "ATRIUM_DATA_DIR": str(data), "DATABASE_URL": "postgresql://a:b@127.0.0.1:9/none",
        "REDIS_URL": "redis://127.0.0.1:9/0", "DJANGO_SETTINGS_MODULE": "portal.settings",
    }  # fmt: skip
    words = ("manage.py", "gateway", "--processes", "2", "--port", str(port))
    here.started = Started(*words, log=folder / "alone.log", **nowhere)
    try:
        until(here.answers, 30)
        until(lambda: len({here.get("/healthz").json["pid"] for _ in range(20)}) == 2)
        assert {here.infer().status for _ in range(20)} == {200}
        assert len(here.records()) == 20
        counted = 'atrium_gateway_call_seconds_count{capability="digits",version="1.0.0",status="200"} 20'
        until(lambda: counted in here.get("/metrics").text.decode())
    finally:
        here.stop()
