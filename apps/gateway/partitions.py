"""One table per day under `gateway_call`, made before rows of that day arrive, dropped when they are too old."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import connection


def name_of(day: date) -> str:
    """The table of a day."""
    return f"gateway_call_{day:%Y%m%d}"


def make(day: date) -> None:
    """Make the table of a day when it is not there yet. Raises nothing when another process is faster."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name_of(day)])
        if cursor.fetchone()[0] is None:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('gateway_call partitions'))")
            # Not IF NOT EXISTS alone: attaching needs a lock on the parent, which only a missing day is worth.
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name_of(day)} PARTITION OF gateway_call "
                f"FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            )


def drop_before(day: date) -> list[str]:
    """Drop the tables of the days before one; returns their names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'gateway_call'::regclass AND c.relname < %s",
            [name_of(day)],
        )
        found = [row[0] for row in cursor.fetchall()]
        for table in found:
            cursor.execute(f"DROP TABLE {table}")
    return found
