"""The portal's REST API for people's code: register versions, submit and follow jobs, search."""

import hashlib
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from atrium import errors, settings
from atrium.data import read_so_far
from atrium.http import Http
from atrium.package import Case, digest, sha256_of
from atrium.signature import Signature

ENDED = frozenset({"succeeded", "failed", "cancelled"})
POLL_S = 1.0
UPLOAD_S = 600.0
SKIPPED = frozenset({"__pycache__", ".git", ".ipynb_checkpoints"})


class Portal:
    """Calls the portal as the person whose token is used; raises the classes of `atrium.errors`."""

    def __init__(self, url: str | None = None, token: str | None = None, *, timeout_s: float = 60.0) -> None:
        kept = settings.load()
        self.url = (url or kept.url).rstrip("/")
        self._http = Http(self.url, timeout_s=timeout_s, token=token or kept.token)

    def get(self, path: str, **query: Any) -> Any:
        """GET below /api/v1/."""
        asked = {key: value for key, value in query.items() if value is not None}
        return self._http.json("GET", f"/api/v1/{path}{'?' + urlencode(asked) if asked else ''}")

    def post(self, path: str, document: Any, *, idempotency_key: str | None = None) -> Any:
        """POST below /api/v1/; with the same key a repetition is answered like the first time."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self._http.json("POST", f"/api/v1/{path}", document, headers)

    def me(self) -> dict[str, Any]:
        """The person whose token this is."""
        return dict(self.get("users/me/"))

    def team(self) -> str:
        """The team to work for when none is named: the workspace's, or the only one that one develops in."""
        if kept := settings.load().team:
            return kept
        teams = sorted({row["team"] for row in self.me()["memberships"] if row["role"] == "developer"})
        if len(teams) != 1:
            raise errors.InvalidInput(f"name the team; you develop in {', '.join(teams) or 'none'}")
        return str(teams[0])

    def search(self, words: str, limit: int = 20) -> list[dict[str, Any]]:
        """Capabilities that the words find: those of the store, best first, then others that one's teams build."""
        found: dict[str, dict[str, Any]] = {}
        for place in ("store/", "capabilities/"):
            for row in self.get(place, q=words, page_size=limit)["results"]:
                found.setdefault(row["slug"], dict(row))
        return list(found.values())[:limit]

    def push(
        self,
        folder: Path | str,
        *,
        name: str,
        version: str = "",
        team: str | None = None,
        told: Callable[[str, int, bool], None] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Upload a model folder as a new version of a capability; packaging starts at once.

        Without a `version` it gets the next minor number.

        Files go one by one by their digest, and only those that the portal lacks, so a push that was cut
        goes on where it was. `told` hears of each file: its path, its size, and whether it had to be sent.
        With `team`, a capability that does not exist is made as that team's draft.
        """
        files = collect(Path(folder))
        self._have_capability(name, team)  # a refusal comes before gigabytes are sent
        for path, entry in files.items():
            sent = self._store(entry)
            if told is not None:
                told(path, int(entry["size"]), sent)
        document = {
            "capability": name,
            "number": version,
            "files": {path: entry["sha256"] for path, entry in files.items()},
            "digest": digest(files),
            **{key: value for key, value in fields.items() if value is not None},
        }
        mark = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return dict(self.post("versions/", document, idempotency_key=mark))

    def _store(self, entry: Mapping[str, Any]) -> bool:
        """Upload one file unless the portal has it; whether it was sent."""
        path = f"/api/v1/objects/{entry['sha256']}/"
        try:
            self._http.request("GET", path)
        except errors.NotFound:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(entry["size"])}
            self._http.request("PUT", path, entry["file"], headers, timeout_s=UPLOAD_S)
            return True
        return False

    def _have_capability(self, name: str, team: str | None) -> None:
        try:
            self.get(f"capabilities/{quote(name, safe='')}/")
        except errors.NotFound as error:
            if team is None:
                raise errors.NotFound(
                    f"there is no capability “{name}” that you may see; name another, or the team (--team) to make "
                    "it for"
                ) from error
            self.post("capabilities/", {"slug": name, "name": name, "team": team})

    def fetch_dataset(self, name: str, version: int | None, into: Path) -> Path:
        """Download a data set version (the newest unless one is named) to <into>/<name>/<version>/, once.

        A file is moved into place when its digest fits, so that an interrupted download leaves nothing wrong.
        """
        slug = quote(name, safe="")
        number = version or self.get(f"datasets/{slug}/versions/", page_size=1)["results"][0]["number"]
        found = self.get(f"datasets/{slug}/versions/{number}/")
        folder = into / name / str(number)
        for path, entry in found["manifest"].items():
            target = folder / path
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.{os.getpid()}.part")
            place = f"/api/v1/datasets/{slug}/versions/{number}/files/{quote(path)}"
            try:
                self._http.request("GET", place, timeout_s=UPLOAD_S, into=partial)
                if _entry(partial)["sha256"] != entry["sha256"]:
                    raise errors.AtriumError(f"{path} of data set {name} arrived damaged; try again")
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
        return folder

    def tagged(self, name: str, tag: str) -> int:
        """The number of the version of a data set that a tag names. Raises NotFound with the tags that there are."""
        slug = quote(name, safe="")
        tags = {
            row["name"]: row["number"] for row in self.get(f"datasets/{slug}/tags/", page_size=200)["results"]
        }
        if tag not in tags:
            there = ", ".join(sorted(tags)) or "none"
            raise errors.NotFound(f"the data set '{name}' has no tag '{tag}'; there are: {there}")
        return int(tags[tag])

    def assignment(self, name: str, number: int) -> dict[str, Any]:
        """Which item of a data set version is in which part of its split."""
        return dict(self.get(f"datasets/{quote(name, safe='')}/versions/{number}/split/assignment/"))

    def push_dataset(
        self,
        source: Path | str,
        *,
        name: str,
        team: str | None = None,
        note: str = "",
        told: Callable[[str, int, bool], None] | None = None,
    ) -> dict[str, Any]:
        """Upload a file or a folder as the next version of a data set; only what the portal lacks is sent.

        With `team`, a data set that does not exist is made as that team's.
        """
        path, slug = Path(source), quote(name, safe="")
        files = collect(path) if path.is_dir() else {path.name: _entry(path)}
        try:
            self.get(f"datasets/{slug}/")
        except errors.NotFound as error:
            if team is None:
                raise errors.NotFound(
                    f"there is no data set “{name}” that you may see; name another, or the team to make it for"
                ) from error
            self.post("datasets/", {"slug": name, "name": name, "team": team})
        for relative, entry in files.items():
            sent = self._store(entry)
            if told is not None:
                told(relative, int(entry["size"]), sent)
        newest = self.get(f"datasets/{slug}/versions/", page_size=1)["results"]
        document = {
            "files": {relative: entry["sha256"] for relative, entry in files.items()},
            "note": note,
            **({"parent_number": newest[0]["number"]} if newest else {}),
        }
        return dict(self.post(f"datasets/{slug}/versions/", document))

    def split_dataset(
        self, name: str, version: int, shares: Mapping[str, float] | None = None, **how: Any
    ) -> dict[str, Any]:
        """Divide a version, once: `shares={"train": 0.8, "test": 0.2}`; `how` is stratify_by or group_by, and seed."""
        document = {**({"shares": dict(shares)} if shares else {}), **how}
        return dict(self.post(f"datasets/{quote(name, safe='')}/versions/{version}/split/", document))

    def tag_dataset(self, name: str, version: int, tag: str) -> dict[str, Any]:
        """Name a version, so that `atrium.dataset(name, version=tag)` finds it; another one loses that name."""
        return dict(self.post(f"datasets/{quote(name, safe='')}/tags/", {"name": tag, "number": version}))

    def compare_dataset(
        self, name: str, before: int | str, after: int | str, *, key: str | None = None
    ) -> dict[str, Any]:
        """What changed between two versions: files, schema, rows (recognised by `key`), how columns moved."""
        path = f"datasets/{quote(name, safe='')}/comparison/"
        while True:
            found = self.get(path, before=before, after=after, key=key)
            if found["result"] is not None:
                return dict(found["result"])
            time.sleep(POLL_S)

    def submit(self, script: str, *, title: str, team: str, **facts: Any) -> dict[str, Any]:
        """Run a Python script as a job; `facts` as the API takes them (params, inputs, resources, …)."""
        return dict(self.post("jobs/", {"title": title, "team": team, "script": script, **facts}))

    def publish_recipe(
        self, folder: Path | str, entry: str, *, name: str, team: str, **facts: Any
    ) -> dict[str, Any]:
        """Make a recipe of a folder with code, started with the script or notebook `entry`; again: its next version.

        `facts` as the API takes them: parameters, slots, refines, summary, visibility, environment, labels,
        note.
        """
        files = collect(Path(folder))
        for one in files.values():
            self._store(one)
        digests = {path: one["sha256"] for path, one in files.items()}
        document = {"slug": name, "team": team, "files": digests, "entry": entry, **facts}
        return dict(self.post("recipes/", document))

    def run_recipe(self, name: str, *, team: str, **facts: Any) -> dict[str, Any]:
        """Run a recipe; `facts` as the API takes them: params, datasets ({slot: "digits/3"}), base, capability, labels,
        resources, timeout_s, max_attempts, priority.
        """
        return dict(self.post(f"recipes/{quote(name, safe='')}/run/", {"team": team, **facts}))

    def job(self, number: int) -> dict[str, Any]:
        return dict(self.get(f"jobs/{number}/"))

    def follow(self, number: int) -> Iterator[str]:
        """The job's log as it grows, until the job has ended and all of it has been given."""
        offset = 0
        while True:
            ended = self.job(number)["status"] in ENDED
            while True:
                answer = self._http.request("GET", f"/api/v1/jobs/{number}/log/?offset={offset}")
                if not answer.body:
                    break
                yield answer.body.decode(errors="replace")
                offset = int(answer.headers.get("x-next-offset") or offset + len(answer.body))
            if ended:
                return
            time.sleep(POLL_S)

    def wait(self, number: int) -> dict[str, Any]:
        """The job after its end."""
        while True:
            job = self.job(number)
            if job["status"] in ENDED:
                return job
            time.sleep(POLL_S)

    def version(self, number: int) -> dict[str, Any]:
        return dict(self.get(f"versions/{number}/"))

    def version_of(self, capability: str, number: str) -> dict[str, Any]:
        """A version by its number, like "1.2.0". Raises NotFound."""
        found = self.get("versions/", capability=capability, number=number)["results"]
        if not found:
            raise errors.NotFound(f"there is no version {number} of {capability!r} that you may see")
        return dict(found[0])


def collect(folder: Path) -> dict[str, dict[str, Any]]:
    """The files of a model folder with size and digest; links are refused, caches left out."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the folder that holds the model")
    files: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if SKIPPED & set(relative.parts):
            continue
        if file.is_symlink():
            raise ValueError(f"{relative} is a link; the portal takes plain files only")
        if file.is_file():
            files[relative.as_posix()] = _entry(file)
    if not files:
        raise FileNotFoundError(f"{folder} holds no files; give the folder that holds the model")
    return files


def _entry(file: Path) -> dict[str, Any]:
    return {"file": file, "sha256": sha256_of(file), "size": file.stat().st_size}


def register(
    model: Any,
    *,
    name: str,
    version: str = "",
    signature: Signature | Mapping[str, Any] | str | None = None,
    cases: Sequence[Case | Mapping[str, Any]] = (),
    input_example: Any = None,
    card: str = "",
    parsing: Mapping[str, Any] | None = None,
    portal: Portal | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Save a model and make it a new version of the capability `name`; returns the version.

    A `signature` like "1.0.0" is that of this version of the capability, for callers who shall notice nothing.
    `fields` go with it: `team` (then a capability that does not exist is made), `changelog`,
    `dataset_version` ("<data set>/<number>"; else the last one that was read), `parameters`, `code_digest`,
    `run` (the id of the MLflow run that made it; else the one that is active or ended last).
    """
    fields.setdefault("run", _run_now())
    if not fields.get("dataset_version"):
        fields["dataset_version"] = next(reversed(read_so_far()), None)
    asked = portal or Portal()
    taken: Signature | Mapping[str, Any] | None = (
        asked.version_of(name, signature)["signature"] if isinstance(signature, str) else signature
    )
    with tempfile.TemporaryDirectory(prefix="atrium-") as folder:
        from atrium.saving import save_model  # needs NumPy, as whoever has a model does

        save_model(
            model,
            folder,
            signature=taken,
            cases=cases,
            input_example=input_example,
            card=card,
            parsing=parsing,
        )
        return asked.push(folder, name=name, version=version, **fields)


def _run_now() -> str | None:
    """The MLflow run of this process, if it has one."""
    mlflow = sys.modules.get("mlflow")
    run = (mlflow.active_run() or mlflow.last_active_run()) if mlflow else None
    return str(run.info.run_id) if run else None


def submit(
    source: Path | str, *, team: str = "", title: str = "", portal: Portal | None = None, **facts: Any
) -> dict[str, Any]:
    """Run a script or notebook file as a job; returns the job. `facts` as the API takes them (params, resources, …).

    Without a `team` it is the workspace's, or the only one that one develops in.
    With `labels=["zone=gpu"]` only a node that has all of them takes it. With `datasets=["faults@3"]` (a number or a
    tag) `atrium.dataset("faults")` gives that version there, without a download, and the lineage says so.
    Of a notebook the executed copy is kept with the job's files; `params` replace what its cell tagged
    `parameters` sets. With `sweep` it is run with many sets of parameters, and the sweep is returned:
    `sweep={"space": {"depth": [2, 4]}, "metric": "accuracy"}`, with method, count, seed, goal, at_once if wanted;
    `"early_stop": "halving"` ends the trials that fall behind in what they tell with `atrium.report`.
    """
    path, sweep = Path(source), facts.pop("sweep", None)
    kind = "notebook" if path.suffix == ".ipynb" else "script"
    asked, code = portal or Portal(), path.read_text(encoding="utf-8")
    document = {"title": title or path.name, "team": team or asked.team(), kind: code, **facts}
    if sweep is not None:
        return dict(asked.post("sweeps/", document | dict(sweep)))
    return dict(asked.post("jobs/", document))
