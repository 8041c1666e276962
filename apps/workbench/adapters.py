"""The outside: what the portal's own pages ask of the tracker (MLflow's REST)."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from apps.compute.engines.sockets import real_socket
from apps.core.errors import NotFound, Unavailable
from apps.workbench.tracking import PREFIX, tracker_socket

_ANSWERS_WITHIN_S = 10.0
_LARGEST_ANSWER = 16 << 20


@dataclass(frozen=True)
class Run:
    """One training run as the tracker keeps it; times are aware, metrics the last values."""

    id: str
    name: str
    status: str
    started: datetime | None
    ended: datetime | None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


class Tracker:
    """The experiments of one team. Raises Unavailable while the tracker starts."""

    def __init__(self, team: str) -> None:
        self._team = team

    def experiments(self) -> list[tuple[str, str]]:
        """Id and name, newest first, at most 200."""
        body = {"max_results": 200, "order_by": ["last_update_time DESC"]}
        try:
            found = self._ask("experiments/search", body).get("experiments", [])
        except NotFound:
            return []  # the team's first request makes its MLflow workspace
        return [(row["experiment_id"], row["name"]) for row in found]

    def runs(self, experiment_id: str, most: int = 100) -> list[Run]:
        """The newest runs of an experiment."""
        body = {"experiment_ids": [experiment_id], "max_results": most, "order_by": ["start_time DESC"]}
        return [_run(row) for row in self._ask("runs/search", body).get("runs", [])]

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost", timeout=_ANSWERS_WITHIN_S)
        headers = {"Content-Type": "application/json", "X-MLFLOW-WORKSPACE": self._team}
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(_ANSWERS_WITHIN_S)
            with real_socket(tracker_socket()) as name:
                connection.sock.connect(name)
            connection.request("POST", f"{PREFIX}/api/2.0/mlflow/{what}", json.dumps(body), headers)
            answer = connection.getresponse()
            data = json.loads(answer.read(_LARGEST_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            words = _("Experiment tracking is starting. Reload the page in a moment.")
            raise Unavailable(words, retry_after=5) from error
        finally:
            connection.close()
        if answer.status == 404:
            raise NotFound(data.get("message", what))
        return data if answer.status == 200 else {}


def _run(row: dict[str, Any]) -> Run:
    info, data = row["info"], row.get("data", {})
    return Run(
        id=info["run_id"],
        name=info.get("run_name") or info["run_id"][:8],
        status=info.get("status", "").lower(),
        started=_moment(info.get("start_time")),
        ended=_moment(info.get("end_time")),
        params={one["key"]: one["value"] for one in data.get("params", [])},
        metrics={one["key"]: float(one["value"]) for one in data.get("metrics", [])},
        tags={one["key"]: one["value"] for one in data.get("tags", [])},
    )


def _moment(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
