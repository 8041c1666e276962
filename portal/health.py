"""`/healthz`: the state of each part, for people, load balancers and the supervisor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from redis.exceptions import RedisError

from apps.core import heartbeats
from portal.supervisor.answers import listens
from portal.supervisor.identity import ProcessIdentity

if TYPE_CHECKING:
    from django.http import HttpRequest


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when all essential parts are up, else 503; `?part=web` asks only whether this process answers."""
    if request.GET.get("part") == "web":
        return JsonResponse({"status": "up", "parts": {"web": "up"}})
    parts = states()
    up = all(state == "up" for part, state in parts.items() if part not in OPTIONAL)
    answer = JsonResponse({"status": "up" if up else "down", "parts": parts}, status=200 if up else 503)
    answer._has_been_logged = True  # type: ignore[attr-defined]  # asked every second while the portal starts
    return answer


def states() -> dict[str, str]:
    """The state of each part: up, down, or what the supervisor says of it."""
    processes = _processes()
    parts = {"web": "up", "database": _database(), "valkey": _valkey(), **_ports(processes)}
    parts |= {name: process.state for name, process in processes.items() if name not in ASKED_DIRECTLY}
    if parts["database"] == "up":
        parts |= {name: _by_word(name, processes.get(name)) for name in SPEAKING}
    return parts


#: Supervised processes whose state is what they answer, not what the record says.
ASKED_DIRECTLY = frozenset({"web", "live", "gateway", "postgres", "valkey"})
#: Parts that say by themselves, every few seconds, that they work: the worker does so by a task that beat sends.
SPEAKING = ("worker", "ingest")
#: So long nothing was heard of a part that works.
SILENT_AFTER = timedelta(seconds=45)
#: Parts without which the portal still works.
OPTIONAL = frozenset({"mlflow", "environments", "forkserver"})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()
        return "down"
    return "up"


def _valkey() -> str:
    try:
        cache.get("healthz")
    except (RedisError, OSError):
        return "down"
    return "up"


def _ports(processes: dict[str, _Process]) -> dict[str, str]:
    here = settings.ATRIUM
    ports = {"live": here.live_port, "gateway": here.gateway_port}
    if processes:
        ports = {part: port for part, port in ports.items() if part in processes}
    return {part: "up" if listens(here.bind, port) else "down" for part, port in ports.items()}


@dataclass(frozen=True)
class _Process:
    """What the supervisor's record says of a process, its pid checked."""

    state: str
    started_at: datetime | None


def _by_word(part: str, process: _Process | None) -> str:
    """Up when the part, as it runs now, was heard of lately; `silent` when it runs and does not work."""
    if process is not None and process.started_at is None:
        return process.state
    heard = heartbeats.heard(part)
    now = timezone.now()
    since = process.started_at if process and process.started_at else None
    if heard and (since is None or heard > since) and now - heard < SILENT_AFTER:
        return "up"
    return "starting" if since and now - since < SILENT_AFTER else "silent"


def _processes() -> dict[str, _Process]:
    """By the supervisor's record; nothing where another machine runs them."""
    try:
        text = (settings.ATRIUM.run_dir / "processes.json").read_text(encoding="utf-8")
        records: dict[str, dict[str, Any]] = json.loads(text)["processes"]
    except (OSError, ValueError, KeyError):
        return {}
    return {name: _process(record) for name, record in records.items()}


def _process(record: dict[str, Any]) -> _Process:
    state: str = record["state"]
    identity = ProcessIdentity(record["pid"], record["start_time"]) if record["pid"] else None
    if identity and identity.alive():
        return _Process(state, datetime.fromtimestamp(identity.started_at(), UTC))
    return _Process("down" if state == "up" else state, None)
