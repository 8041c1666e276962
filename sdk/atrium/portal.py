"""The portal's REST API for people's code: register versions, submit and follow jobs, search."""

import hashlib
import io
import json
import os
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from atrium import errors, settings
from atrium.http import Http
from atrium.package import Case
from atrium.saving import save_model
from atrium.signature import Signature

ENDED = frozenset({"succeeded", "failed", "cancelled"})
POLL_S = 1.0
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
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
        return dict(self.get("me/"))

    def search(self, words: str, limit: int = 20) -> list[dict[str, Any]]:
        """Capabilities that the words find, best first."""
        page = self.get("capabilities/", search=words, page_size=limit)
        rows = page["results"] if isinstance(page, dict) else page
        return [dict(row) for row in rows][:limit]

    def push(self, folder: Path | str, *, name: str, version: str, **fields: Any) -> dict[str, Any]:
        """Upload a model folder as a new version of a capability; packaging starts at once.

        Pushing the same folder again answers with the same version, so a broken upload is just repeated.
        """
        archive = pack(Path(folder))
        mark = hashlib.sha256(f"{name}\0{version}\0".encode() + archive).hexdigest()
        form = {"capability": name, "number": version, **fields}
        body, kind = multipart(form, "archive", f"{name}-{version}.zip", archive)
        headers = {"Content-Type": kind, "Idempotency-Key": mark, "Accept": "application/json"}
        answer = self._http.request("POST", "/api/v1/versions/", body, headers, timeout_s=600)
        return dict(answer.json())

    def submit(self, script: str, *, title: str, team: str, **facts: Any) -> dict[str, Any]:
        """Run a Python script as a job; `facts` as the API takes them (params, inputs, resources, …)."""
        return dict(self.post("jobs/", {"title": title, "team": team, "script": script, **facts}))

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


def pack(folder: Path) -> bytes:
    """A folder as a zip archive that is the same, byte for byte, for the same files."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the folder that holds the model")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            relative = file.relative_to(folder)
            if SKIPPED & set(relative.parts) or not file.is_file():
                continue
            if file.is_symlink():
                raise ValueError(f"{relative} is a link; the portal takes plain files only")
            entry = zipfile.ZipInfo(relative.as_posix(), ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return stream.getvalue()


def multipart(fields: Mapping[str, Any], name: str, filename: str, content: bytes) -> tuple[bytes, str]:
    """A form with one file, and its content type."""
    boundary = uuid.uuid4().hex
    parts: list[bytes] = []
    for key, value in fields.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'
        parts.append(f"{head}{text}\r\n".encode())
    disposition = f'form-data; name="{name}"; filename="{quote(filename)}"'
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/zip\r\n\r\n"
    parts += [head.encode(), content, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def register(
    model: Any,
    *,
    name: str,
    version: str,
    signature: Signature | Mapping[str, Any] | None = None,
    cases: Sequence[Case | Mapping[str, Any]] = (),
    input_example: Any = None,
    card: str = "",
    parsing: Mapping[str, Any] | None = None,
    portal: Portal | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Save a model and make it a new version of the capability `name`; returns the version.

    `fields` go with the upload: `changelog`, `dataset_version`, `parameters`. In a job its number is
    sent too, so that the version's lineage names it.
    """
    with tempfile.TemporaryDirectory(prefix="atrium-") as folder:
        save_model(
            model,
            folder,
            signature=signature,
            cases=cases,
            input_example=input_example,
            card=card,
            parsing=parsing,
        )
        if "ATRIUM_JOB" in os.environ:
            fields.setdefault("job", os.environ["ATRIUM_JOB"])
        return (portal or Portal()).push(folder, name=name, version=version, **fields)


def submit(
    source: Path | str, *, team: str, title: str = "", portal: Portal | None = None, **facts: Any
) -> dict[str, Any]:
    """Run a script or notebook file as a job; returns the job. Cells of a notebook run in order."""
    path = Path(source)
    text = path.read_text(encoding="utf-8")
    script = notebook_script(text) if path.suffix == ".ipynb" else text
    return (portal or Portal()).submit(script, title=title or path.name, team=team, **facts)


def notebook_script(text: str) -> str:
    """The code cells of a notebook as one script, run by IPython so that magics work."""
    notebook = json.loads(text)
    cells = ["".join(cell["source"]) for cell in notebook.get("cells", []) if cell.get("cell_type") == "code"]
    if not cells:
        raise errors.InvalidInput("the notebook has no code cell; there is nothing to run")
    return NOTEBOOK.format(cells=cells)


NOTEBOOK = """\
import sys

from IPython.core.interactiveshell import InteractiveShell

CELLS = {cells!r}
shell = InteractiveShell.instance()
for number, cell in enumerate(CELLS, start=1):
    outcome = shell.run_cell(cell, store_history=True)
    if not outcome.success:
        print(f"Cell {{number}} of {{len(CELLS)}} failed.", file=sys.stderr)
        sys.exit(1)
"""
