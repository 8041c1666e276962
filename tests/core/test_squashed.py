"""A new database by the squashed migrations is the one that the migrations before them make."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from tests import servers

SCHEMA = (
    (
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    ),
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
    ),
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
)


@pytest.fixture
def other_database(django_db_setup, django_db_blocker):
    """An empty database of its own in place of the tests'."""
    usual = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        with servers._server() as server:
            server.execute(f'DROP DATABASE IF EXISTS "{usual}_other" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{usual}_other" TEMPLATE template0')
        servers._use_database(f"{usual}_other")
        yield
        servers._use_database(usual)
        with servers._server() as server:
            server.execute(f'DROP DATABASE "{usual}_other" WITH (FORCE)')


def schema():
    with connection.cursor() as cursor:
        return [cursor.execute(query) and cursor.fetchall() for query in SCHEMA]


def migrate_one_by_one():
    """As a database got there that was made before the squashed migrations were."""
    executor = MigrationExecutor(connection)
    executor.loader = MigrationLoader(connection, replace_migrations=False)
    squashed = {key for key, migration in executor.loader.disk_migrations.items() if migration.replaces}
    replaced = {target for key in squashed for target in executor.loader.disk_migrations[key].replaces}
    graph = executor.loader.graph
    last = [key for key in replaced if not any(child.key in replaced for child in graph.node_map[key].children
                                               if child.key[0] == key[0])]  # fmt: skip
    executor.migrate(last)
    return squashed


@pytest.mark.soak
def test_both_ways_lead_to_the_same_database(other_database, django_db_blocker):
    squashed = migrate_one_by_one()
    call_command("migrate", interactive=False, verbosity=0)
    before = schema()
    applied = set(MigrationLoader(connection).applied_migrations)
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    call_command("migrate", interactive=False, verbosity=0)

    assert squashed
    assert squashed <= applied
    assert schema() == before
