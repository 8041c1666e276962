"""One embedded PostgreSQL and Valkey for all tests of a checkout, shared by xdist's workers and other runs.

Whoever uses them holds a shared lock on a file; the last one out stops them. A killed run leaves them behind
for the next one to adopt.
"""

import fcntl
from contextlib import contextmanager, suppress

import pytest

from portal.environment import Environment, load
from portal.supervisor.postgres import Postgres
from portal.supervisor.valkey import Valkey


@pytest.fixture(scope="session")
def servers():
    """PostgreSQL and Valkey run until the last test that uses them is done."""
    environment = load()
    environment.make_directories()
    with _lent(environment):
        yield environment


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers, django_db_modify_db_settings_parallel_suffix):
    """pytest-django asks for this before it makes the test database."""


@contextmanager
def _lent(environment: Environment):
    postgres = Postgres.of(environment, durable=False)
    valkey = Valkey.of(environment, durable=False)
    folder = environment.data_dir
    with (folder / "servers.lock").open("a") as door, (folder / "users.lock").open("a") as users:
        with _exclusive(door):
            fcntl.flock(users, fcntl.LOCK_SH)
            if environment.embedded_database:
                postgres.start()
            if environment.embedded_redis:
                valkey.start()
        yield
        with _exclusive(door), suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            postgres.stop()
            valkey.stop()


@contextmanager
def _exclusive(file):
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
