"""The servers of others that DATABASE_URL and REDIS_URL name: do they let the portal in?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from portal.supervisor.postgres import ServerFailed

if TYPE_CHECKING:
    from portal.environment import Environment

WAITS_S = 15.0
"""They may be started together with the portal."""
TRY_S = 3


def check(
    environment: Environment, *, waits_s: float = WAITS_S, stop: Callable[[], bool] = lambda: False
) -> None:
    """Raises ServerFailed with one line that names the setting, where and why; a password stands in none.

    `stop` says that nobody waits any more.
    """
    if not environment.embedded_database:
        _reach("DATABASE_URL", environment.database_url, _ask_postgres, waits_s, stop)
    if not environment.embedded_redis:
        _reach("REDIS_URL", environment.redis_url, _ask_redis, waits_s, stop)


def _reach(
    setting: str, url: str, ask: Callable[[str], None], waits_s: float, stop: Callable[[], bool]
) -> None:
    until = time.monotonic() + waits_s
    while not stop():
        try:
            ask(url)
            return
        except ValueError:
            raise ServerFailed(
                f"{setting} cannot be read; write %40 for an @ in the password, %25 for a %, and so on."
            ) from None
        except OSError as problem:
            if time.monotonic() >= until:
                parts = urlsplit(url)
                where = f"{parts.hostname or parts.path}{f':{parts.port}' if parts.port else ''}"
                raise ServerFailed(
                    f"{setting}: the server at {where} does not let the portal in: {_one_line(problem)}. "
                    "Start it, or correct the setting."
                ) from None
        time.sleep(0.5)


def _one_line(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[0] if lines else type(problem).__name__).rstrip(".")


def _ask_postgres(url: str) -> None:
    import psycopg  # the supervisor stays small where the servers are its own

    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error as problem:
        raise ValueError from problem
    try:
        psycopg.connect(url, connect_timeout=TRY_S).close()
    except psycopg.Error as problem:
        raise OSError(str(problem)) from problem


def _ask_redis(url: str) -> None:
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=TRY_S, socket_timeout=TRY_S) as client:
            client.ping()
    except redis.RedisError as problem:
        raise OSError(str(problem)) from problem
