"""The embedded PostgreSQL and Valkey: start, adopt, survive a kill, refuse what is not theirs."""

import os
import signal
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from portal.environment import read
from portal.supervisor.identity import ProcessIdentity
from portal.supervisor.postgres import Postgres, ServerFailed
from portal.supervisor.valkey import Valkey


@pytest.fixture
def instance():
    with tempfile.TemporaryDirectory(prefix="atrium-") as folder:
        environment = read({"ATRIUM_DATA_DIR": folder})
        environment.make_directories()
        yield environment


@pytest.fixture
def postgres(instance):
    server = Postgres.of(instance)
    yield server
    server.stop()


@pytest.fixture
def valkey(instance):
    server = Valkey.of(instance)
    yield server
    server.stop()


def test_postgres_is_adopted_and_keeps_what_was_committed_through_a_kill(postgres, instance):
    started = postgres.start()
    assert postgres.start() == started, "a second start adopts the running server"

    with psycopg.connect(instance.database_url) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('信号')")
    os.kill(started.pid, signal.SIGKILL)
    started.wait(5)

    again = postgres.start()
    assert again != started
    with psycopg.connect(instance.database_url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("信号",)


def test_postgres_refuses_a_wrong_password_and_another_version(postgres, instance):
    postgres.start()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(instance.postgres_dir), user="atrium", password="guess", dbname="atrium")
    postgres.stop()
    assert postgres.running() is None

    version = instance.data_dir / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(ServerFailed, match="made by PostgreSQL 17"):
        postgres.start()


def test_a_stranger_with_the_pid_in_the_lock_file_does_not_stop_postgres(postgres, instance):
    postgres.start()
    postgres.stop()
    (instance.data_dir / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    assert postgres.start().pid != os.getpid()


def test_valkey_is_adopted_and_keeps_its_data(valkey, instance):
    client = redis.Redis.from_url(instance.redis_url)
    started = valkey.start()
    assert valkey.start() == started
    client.set("key", "value")
    valkey.stop()
    assert valkey.running() is None

    valkey.start()
    assert client.get("key") == b"value"


def test_the_configuration_of_valkey_is_closed_to_others(valkey, instance):
    valkey.start()

    assert Path(instance.data_dir / "valkey" / "valkey.conf").stat().st_mode & 0o077 == 0


def test_a_reused_pid_is_not_taken_for_the_process():
    me = ProcessIdentity.of(os.getpid())

    assert me.alive()
    assert not ProcessIdentity(me.pid, me.start_time - 1).alive()
    assert ProcessIdentity.of(2**22 + 1) is None
