"""The outside: what the portal's own pages ask of the tracker (MLflow's REST)."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

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


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run left in the tracker: its name there, and where its files lie."""

    name: str
    uri: str


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

    def runs_of_job(self, job_id: int, most: int = 20) -> list[Run]:
        """The runs that a job made, newest first."""
        ids = [number for number, _name in self.experiments()]
        body = {"experiment_ids": ids, "max_results": most, "order_by": ["start_time DESC"]}
        wanted = {"filter": f"tags.`atrium.job` = '{job_id}'"}
        return [_run(row) for row in self._ask("runs/search", body | wanted).get("runs", [])] if ids else []

    def run(self, run_id: str) -> Run:
        """One run. Raises NotFound, also for a run of another team."""
        return _run(self._get("mlflow/runs/get", run_id=run_id)["run"])

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """A metric's values as (step, value), at most 5,000."""
        query = {"run_id": run_id, "metric_key": metric, "max_results": 5000}
        rows = self._get("mlflow/metrics/get-history", **query).get("metrics", [])
        return [(int(row.get("step", 0)), float(row["value"])) for row in rows]

    def models_of(self, run_id: str) -> list[LoggedModel]:
        """The models that a run logged: those of clients from 3.x on, then those that lie among its files."""
        run = self._get("mlflow/runs/get", run_id=run_id)["run"]
        ids = [one["model_id"] for one in run.get("outputs", {}).get("model_outputs", [])]
        found = [_logged(self._get(f"mlflow/logged-models/{number}")["model"]) for number in ids]
        try:
            history = json.loads(_run(run).tags.get("mlflow.log-model.history", "[]"))
            names = [str(one["artifact_path"]) for one in history if not one.get("model_id")]
        except (ValueError, TypeError, KeyError):
            names = []
        known = {model.name for model in found}
        root = run["info"]["artifact_uri"]
        return found + [
            LoggedModel(name, f"{root}/{name}") for name in dict.fromkeys(names) if name not in known
        ]

    def model_version(self, name: str, number: str) -> tuple[str, str]:
        """Where the files of a registered model's version lie, and the run that made them ("" when none is known)."""
        asked = {"name": name, "version": number}
        uri = str(self._get("mlflow/model-versions/get-download-uri", **asked)["artifact_uri"])
        row = self._get("mlflow/model-versions/get", **asked)["model_version"]
        run_id = str(row.get("run_id", ""))
        model_id = row.get("model_id")
        if not run_id and model_id:
            info = self._get(f"mlflow/logged-models/{model_id}")["model"]["info"]
            run_id = str(info.get("source_run_id", ""))
        return uri, run_id

    def files(self, uri: str) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(path, content in pieces) of all files below an artifact URI; read each before asking for the next."""
        scheme, _colon, place = uri.partition(":")
        if scheme != "mlflow-artifacts":
            raise NotFound(
                _("The files of the model do not lie in the portal's tracker: %(uri)s") % {"uri": uri}
            )
        folder = place.strip("/")
        for path in self._paths(folder):
            with self._sent("GET", f"mlflow-artifacts/artifacts/{quote(path)}") as answer:
                if answer.status != 200:
                    raise NotFound(_("The tracker does not give the file %(path)s.") % {"path": path})
                yield path[len(folder) + 1 :], iter(lambda: answer.read(1 << 20), b"")

    def _paths(self, folder: str) -> Iterator[str]:
        for row in self._get("mlflow-artifacts/artifacts", path=folder).get("files", []):
            below = f"{folder}/{row['path']}"
            if row.get("is_dir"):
                yield from self._paths(below)
            else:
                yield below

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._sent("POST", f"mlflow/{what}", json.dumps(body)) as answer:
            return _read(answer, what)

    def _get(self, what: str, **query: Any) -> dict[str, Any]:
        with self._sent("GET", f"{what}?{urlencode(query)}") as answer:
            found = _read(answer, what)
        if answer.status >= 500:
            raise Unavailable(_("Experiment tracking does not answer. Try again in a moment."), retry_after=5)
        if not found and answer.status != 200:
            raise NotFound(_("The tracker does not know this: %(what)s") % {"what": what})
        return found

    @contextmanager
    def _sent(self, method: str, what: str, body: str | None = None) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("localhost", timeout=_ANSWERS_WITHIN_S)
        headers = {"Content-Type": "application/json", "X-MLFLOW-WORKSPACE": self._team}
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(_ANSWERS_WITHIN_S)
            with real_socket(tracker_socket()) as name:
                connection.sock.connect(name)
            connection.request(method, f"{PREFIX}/api/2.0/{what}", body, headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            words = _("Experiment tracking is starting. Reload the page in a moment.")
            raise Unavailable(words, retry_after=5) from error
        finally:
            connection.close()


def _read(answer: http.client.HTTPResponse, what: str) -> dict[str, Any]:
    """The answer's JSON; nothing when the tracker refused. Raises NotFound, ValueError."""
    data: dict[str, Any] = json.loads(answer.read(_LARGEST_ANSWER))
    if answer.status == 404:
        raise NotFound(data.get("message", what))
    return data if answer.status == 200 else {}


def _logged(row: dict[str, Any]) -> LoggedModel:
    info = row["info"]
    return LoggedModel(info.get("name") or info["model_id"], info["artifact_uri"])


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
