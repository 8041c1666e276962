"""How busy the servers of a stage are, and how busy they would be if all the traffic came. Pure computation.

A server is a replica's process. What it has used is added up look by look, since replicas come, go and start anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from apps.releases.judgement import Judgement, Outcome
from apps.releases.reasons import Code, Reason

LEAST_S = 60.0
"""Server-seconds below which the mean says nothing."""

Noted = dict[str, Any]
"""{"cpu_s", "s", "last": {server: [cpu_s, at]}}: processor seconds within so many server-seconds."""


class Server(NamedTuple):
    """A replica as it was last observed: processor seconds since it started, and when that was, in seconds."""

    key: str
    cpu_s: float
    at: float


def noted(before: Noted, servers: Iterable[Server]) -> Noted:
    """What was used so far, with what came since the last look. A server that is new counts from now on."""
    cpu_s, seconds = float(before.get("cpu_s", 0.0)), float(before.get("s", 0.0))
    last: dict[str, list[float]] = {}
    known: dict[str, list[float]] = before.get("last", {})
    for server in servers:
        last[server.key] = [server.cpu_s, server.at]
        if server.key not in known:
            continue
        used, at = known[server.key]
        if server.at > at and server.cpu_s >= used:
            cpu_s, seconds = cpu_s + server.cpu_s - used, seconds + server.at - at
    return {"cpu_s": cpu_s, "s": seconds, "last": last}


def mean_cores(load: Noted) -> float | None:
    """Cores that a server kept busy on average; None before there was enough to see."""
    return load["cpu_s"] / load["s"] if load.get("s", 0.0) >= LEAST_S else None


def projected(cores: float | None, mine: int, all_calls: int) -> float | None:
    """Cores of a server if it got all the calls instead of `mine`, with as many servers as now."""
    return cores * all_calls / mine if cores is not None and mine else None


def judge_load(cores: float | None, most: float) -> Judgement:
    """Judge the projected load of a server. What is not known yet never passes."""
    if cores is None:
        return Judgement(Outcome.UNDECIDED, 0.0, 0, 0, Reason(Code.LOAD_UNKNOWN))
    if cores > most:
        return Judgement(Outcome.FAILURE, 0.0, 0, 0, Reason(Code.LOAD_HIGH, {"cores": cores, "most": most}))
    return Judgement(Outcome.SUCCESS, 0.0, 0, 0, Reason(Code.LOAD_FINE, {"cores": cores}))
