"""DATABASE_URL and REDIS_URL: the portal on servers that somebody else runs, reached over TCP."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from portal.environment import read
from portal.supervisor import valkey
from portal.supervisor.outside import check
from portal.supervisor.postgres import Postgres, ServerFailed, without_root
from portal.supervisor.processes import declare
from tests.portal.test_faults import Calls, wait_for
from tests.stack import free_ports, new_stack

PASSWORD = "of-somebody-else"


def test_servers_of_others_are_not_started(tmp_path):
    outside = {"DATABASE_URL": "postgresql://a:b@db.example/atrium", "REDIS_URL": "redis://cache.example"}
    told = {process.name for process in declare(read({"ATRIUM_DATA_DIR": str(tmp_path), **outside}))}

    assert "web" in told
    assert not told & {"postgres", "valkey"}


@pytest.mark.parametrize("setting", ["DATABASE_URL", "REDIS_URL"])
def test_one_that_nobody_reaches_is_named_with_its_place_and_without_its_password(tmp_path, setting):
    (port,) = free_ports(1)
    scheme = {"DATABASE_URL": "postgresql", "REDIS_URL": "redis"}[setting]
    asked = {setting: f"{scheme}://atrium:{PASSWORD}@127.0.0.1:{port}/1"}

    with pytest.raises(
        ServerFailed, match=f"^{setting}: the server at 127.0.0.1:{port} .* correct the setting"
    ) as told:
        check(read({"ATRIUM_DATA_DIR": str(tmp_path), **asked}), waits_s=0)

    assert PASSWORD not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_password_that_is_not_quoted_is_not_repeated_and_nobody_waits(tmp_path):
    wrong = read({"ATRIUM_DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://a:100%sure@127.0.0.1/db"})
    with pytest.raises(ServerFailed, match="DATABASE_URL cannot be read; write %40") as told:
        check(wrong, waits_s=30)
    assert "sure" not in str(told.value)

    away = read({"ATRIUM_DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/db"})
    check(away, waits_s=30, stop=lambda: True)


class Outside:
    """A PostgreSQL and a Valkey with ports on loopback, started by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, (self.postgres_port, self.valkey_port) = folder, free_ports(2)
        self.cluster = Postgres(folder / "pg", folder / "sockets", folder / "pg.log", PASSWORD)
        self.cluster.prepare()
        self.postgres = self.start_postgres()
        arguments = [
            "--port",
            str(self.valkey_port),
            "--requirepass",
            PASSWORD,
            "--dir",
            str(folder),
            "--save",
            "",
        ]
        self.valkey = self._run("valkey.log", [str(valkey.binary()), *arguments])

    def start_postgres(self) -> subprocess.Popen[bytes]:
        command = [*without_root(), *self.cluster.command(), "-c", "listen_addresses=127.0.0.1"]
        started = self._run("pg.log", [*command, "-c", f"port={self.postgres_port}"])
        wait_for(self._answers)
        return started

    def _run(self, log: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.variables["DATABASE_URL"]):
            return True
        return False

    @property
    def variables(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"postgresql://atrium:{PASSWORD}@127.0.0.1:{self.postgres_port}/atrium",
            "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{self.valkey_port}/0",
        }

    def end(self) -> None:
        for started in (self.postgres, self.valkey):
            started.send_signal(signal.SIGINT)
            started.wait(20)


@pytest.fixture
def outside():
    with tempfile.TemporaryDirectory(prefix="atrium-o-") as folder:
        servers = Outside(Path(folder))
        yield servers
        servers.end()


@pytest.mark.soak
def test_the_portal_lives_on_servers_of_others_and_outlives_their_restart(outside):
    with tempfile.TemporaryDirectory(prefix="atrium-o-") as folder:
        stack = new_stack(Path(folder), **outside.variables)
        stack.start()
        try:
            stack.wait_until_up()
            key = stack.manage("key", "consumer", "digits").splitlines()[-1]

            assert not {"postgres", "valkey"} & {entry.name for entry in Path(folder).iterdir()}
            assert redis.Redis.from_url(outside.variables["REDIS_URL"]).dbsize() > 0
            with psycopg.connect(outside.variables["DATABASE_URL"]) as connection:
                published = "SELECT count(*) FROM catalog_capability WHERE published_at IS NOT NULL"
                assert connection.execute(published).fetchone()[0] >= 1

            with Calls(stack, key) as calls:
                outside.postgres.send_signal(signal.SIGINT)
                outside.postgres.wait(20)
                time.sleep(2)
                assert stack.health()["parts"]["database"] == "down"
                outside.postgres = outside.start_postgres()
                stack.wait_until_up(60)
            assert set(calls.statuses()) == {200}
            assert requests.get(stack.url("/healthz"), timeout=10).json()["parts"]["database"] == "up"
            assert stack.logged_in("consumer").get("/store/").ok
        finally:
            stack.end()
