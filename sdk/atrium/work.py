"""The working folder of a job: its inputs, parameters, progress and result."""

import json
import os
from pathlib import Path
from typing import Any

from atrium import jsontext

FOLDER = "ATRIUM_WORK"


def folder() -> Path:
    """Where the job works: `/work` in the sandbox, ATRIUM_WORK or the current folder elsewhere."""
    return Path(os.environ.get(FOLDER) or Path.cwd())


def inputs() -> Path:
    """The folder with the files that the job was given."""
    return folder() / "inputs"


def outputs() -> Path:
    """The folder whose files are kept when the job succeeds; made when it is asked for."""
    path = folder() / "outputs"
    path.mkdir(parents=True, exist_ok=True)
    return path


def base_model() -> Path:
    """The folder of the model that a recipe refines. Raises FileNotFoundError where there is none."""
    path = inputs() / "model"
    if not path.is_dir():
        raise FileNotFoundError(
            "this run refines no model; choose a version to start from when you run the recipe"
        )
    return path


def params() -> dict[str, Any]:
    """The parameters that the job was submitted with."""
    path = folder() / "params.json"
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return dict(document) if isinstance(document, dict) else {}


def progress(fraction: float, message: str = "") -> None:
    """Show on the job's page how far it is, from 0 to 1, and what it does."""
    share = min(max(float(fraction), 0.0), 1.0)
    _write("progress.json", {"fraction": round(share, 4), "message": str(message)[:500]})


def report(step: int, **metrics: float) -> None:
    """Tell the job's page, and the sweep that it is a trial of, how it does after so many steps or epochs."""
    told = {"step": int(step), **{name: float(value) for name, value in metrics.items()}}
    with (folder() / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def result(document: Any) -> None:
    """Leave the job's result; a second call replaces the first."""
    _write("result.json", document)


def _write(name: str, document: Any) -> None:
    path = folder() / name
    part = path.with_name(f".{name}.part")
    part.write_text(jsontext.pretty(document), encoding="utf-8")
    part.replace(path)  # readers see the old or the new file, never half of one
