"""One at a time, over all processes: a lock of the database that ends with whoever holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

WORKSPACE = 0x41545742
ENVIRONMENT = 0x41545745
SPARES = 0x41545753
REGISTRATION = 0x41545752
RECIPE_RUN = 0x41545750
CALL_EXPORT = 0x41545843
RECHECKS = 0x41545251
BULK = 0x4154424B
PULL = 0x41545055
WEIGH = 0x41545747


@contextmanager
def only_one(kind: int, pk: int) -> Iterator[bool]:
    """Whether this is the only one at work on that row. Call it outside a transaction."""
    key = [kind, pk % (1 << 31)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        got = bool(cursor.fetchone()[0])
        try:
            yield got
        finally:
            if got:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
