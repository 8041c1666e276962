"""`/healthz`: the state of each part, for people, load balancers and the supervisor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from redis.exceptions import RedisError

from portal.supervisor.answers import listens
from portal.supervisor.identity import ProcessIdentity

if TYPE_CHECKING:
    from django.http import HttpRequest


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when all essential parts are up, else 503; `?part=web` asks only whether this process answers."""
    if request.GET.get("part") == "web":
        return JsonResponse({"status": "up", "parts": {"web": "up"}})
    processes = _processes()
    parts = {"web": "up", "database": _database(), "valkey": _valkey(), **_ports(processes)}
    parts |= {name: state for name, state in processes.items() if name not in ASKED_DIRECTLY}
    up = all(state == "up" for part, state in parts.items() if part not in OPTIONAL)
    answer = JsonResponse({"status": "up" if up else "down", "parts": parts}, status=200 if up else 503)
    answer._has_been_logged = True  # type: ignore[attr-defined]  # asked every second while the portal starts
    return answer


#: Supervised processes whose state is what they answer, not what the record says.
ASKED_DIRECTLY = frozenset({"web", "live", "gateway", "postgres", "valkey"})
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


def _ports(processes: dict[str, str]) -> dict[str, str]:
    here = settings.ATRIUM
    ports = {"live": here.live_port, "gateway": here.gateway_port}
    if processes:
        ports = {part: port for part, port in ports.items() if part in processes}
    return {part: "up" if listens(here.bind, port) else "down" for part, port in ports.items()}


def _processes() -> dict[str, str]:
    """By the supervisor's record, each pid checked; nothing where another machine runs them."""
    try:
        text = (settings.ATRIUM.run_dir / "processes.json").read_text(encoding="utf-8")
        records: dict[str, dict[str, Any]] = json.loads(text)["processes"]
    except (OSError, ValueError, KeyError):
        return {}
    states = {}
    for name, record in records.items():
        alive = record["pid"] and ProcessIdentity(record["pid"], record["start_time"]).alive()
        states[name] = record["state"] if alive or record["state"] != "up" else "down"
    return states
