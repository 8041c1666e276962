"""The cursor of the portal's database, where values are bound by the server, so that a statement is planned once."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import CursorMixin
from psycopg import ClientCursor
from psycopg import Cursor as ServerBindingCursor

MOST_VALUES = 2**16 - 1
"""What PostgreSQL's protocol takes with one statement."""


class Cursor(CursorMixin, ServerBindingCursor[Any]):
    """Puts the values into a statement's text where they are too many to be bound, as a long list of `__in`."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """As psycopg's."""
        if params is not None and len(params) > MOST_VALUES:
            query, params = ClientCursor(self.connection).mogrify(query, params), None
        return super().execute(query, params, **options)
