"""One embedded PostgreSQL and Valkey for all tests of a checkout, shared by xdist's workers and other runs.

Whoever uses them holds a shared lock on a file; the last one out stops them. A killed run leaves them behind
for the next one to adopt.
"""

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

from apps.compute.adapters import keep_package_clients
from portal.environment import ROOT, Environment, load
from portal.supervisor.postgres import Postgres
from portal.supervisor.valkey import Valkey
from tests.settings import SHARED

#: Only what holds rows is emptied, and without a look at keys and triggers: Django's own flush truncates each of some
#: two hundred tables, which takes a second.
EMPTY = """
DO $$ DECLARE named text; filled boolean; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR named IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()
    AND tablename NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
  LOOP
    EXECUTE 'SELECT EXISTS (SELECT FROM ' || named || ')' INTO filled;
    IF filled THEN EXECUTE 'DELETE FROM ' || named; END IF;
  END LOOP;
END $$
"""


@pytest.fixture(scope="session")
def servers():
    """PostgreSQL and Valkey run until the last test that uses them is done."""
    SHARED.make_directories()
    own = load()
    own.make_directories()
    keep_package_clients({})  # no job of a test waits until this machine's clients have been asked
    _remove_abandoned(SHARED.data_dir)
    with _lent(SHARED):
        yield SHARED
    for folder in (own.run_dir, own.data_dir):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(servers, django_test_environment, django_db_blocker):
    """A database of this process alone, copied from one that was migrated once for all (a tenth of a second)."""
    name = f"test_{os.getpid()}"
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: _empty_database())
        _copy_database(_migrated(servers), name)
        _use_database(name)
        yield
        connection.close()
        with _server() as server:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _migrated(environment: Environment) -> str:
    """The name of a database with all present migrations, which nobody is connected to."""
    name = f"migrated_{_migrations_digest()}"
    with (environment.data_dir / "template.lock").open("a") as door, _exclusive(door), _server() as server:
        databases = {row[0] for row in server.execute("SELECT datname FROM pg_database")}
        if name not in databases:
            for old in databases:
                if old.startswith("migrated_") or (old.startswith("test_") and not _pid_lives(old)):
                    server.execute(f'DROP DATABASE "{old}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{name}_half" TEMPLATE template0')
            _use_database(f"{name}_half")
            call_command("migrate", interactive=False, verbosity=0)
            connection.close()
            server.execute(f'ALTER DATABASE "{name}_half" RENAME TO "{name}"')
    return name


def _copy_database(source: str, name: str) -> None:
    with _server() as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')


def _empty_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)


def _remove_abandoned(folder: Path) -> None:
    for own in folder.glob("p[0-9]*"):
        if not Path("/proc", own.name[1:]).exists():
            shutil.rmtree(own, ignore_errors=True)


def _use_database(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = name
    connection.settings_dict["NAME"] = name


def _server():
    """A connection beside the tests' database, in autocommit."""
    given = load().database
    return psycopg.connect(
        host=given["HOST"],
        port=given["PORT"] or None,
        user=given["USER"],
        password=given["PASSWORD"],
        dbname="postgres",
        autocommit=True,
    )


def _pid_lives(database: str) -> bool:
    return Path("/proc", database.removeprefix("test_")).exists()


def _migrations_digest() -> str:
    """Over the text of our migrations, the locked packages, which bring theirs, and which of them are used."""
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
    digest.update((ROOT / "portal" / "settings.py").read_bytes())
    for path in sorted((ROOT / "apps").glob("*/migrations/*.py")):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _lent(environment: Environment):
    postgres = Postgres.of(environment, durable=False)
    valkey = Valkey.of(environment, durable=False)
    folder = environment.data_dir
    with (folder / "servers.lock").open("a") as door, (folder / "users.lock").open("a") as users:
        with _exclusive(door):
            fcntl.flock(users, fcntl.LOCK_SH)
            if os.environ["DATABASE_URL"] == environment.database_url:
                postgres.start()
            if os.environ["REDIS_URL"] == environment.redis_url:
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
