"""Data sets: mounted into a job or workspace, else fetched from the portal."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

MOUNT = "ATRIUM_DATASETS"
RUN_CONTEXT = "MLFLOW_RUN_CONTEXT"  # MLflow puts the tags of this JSON object on each run that begins
TAG = "atrium.datasets"
NAMES = "ATRIUM_DATASET_NAMES"  # JSON: name → "<data set>/<number>", where a recipe runs with other data
FETCHED = Path(tempfile.gettempdir()) / "atrium-datasets"


def dataset_path(name: str, version: int | None = None) -> Path:
    """The folder of a data set version, the newest unless one is named.

    Mounted ones lie at <mount>/<name>/<version>/…; the mount is /work/datasets unless ATRIUM_DATASETS says
    otherwise. What is not mounted is fetched from the portal, if there is one: raises FileNotFoundError with the
    names that are mounted, or what the portal answers.
    """
    named = json.loads(os.environ.get(NAMES) or "{}").get(name)
    if named and version is None:  # a recipe asks by a name of its own
        name, version = named.partition("/")[0], int(named.partition("/")[2])
    folder = _found(name, version)
    _note(f"{name}/{folder.name}")
    return folder


def read_so_far() -> list[str]:
    """The data set versions that this process has asked for, as "<name>/<version>"."""
    return [name for name in _context().get(TAG, "").split(",") if name]


def _context() -> dict[str, str]:
    try:
        kept = json.loads(os.environ.get(RUN_CONTEXT) or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def _note(name: str) -> None:
    """Let the runs from now on, and the one that is under way, say what they were made from."""
    names = ",".join(dict.fromkeys([*read_so_far(), name]))
    os.environ[RUN_CONTEXT] = json.dumps({**_context(), TAG: names})
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and mlflow.active_run() is not None:
        mlflow.set_tag(TAG, names)


def _found(name: str, version: int | None) -> Path:
    root = Path(os.environ.get(MOUNT) or "/work/datasets")
    folder = root / name
    if not folder.is_dir() and os.environ.get("ATRIUM_URL"):
        from atrium.portal import Portal

        return Portal().fetch_dataset(name, version, FETCHED)
    if not folder.is_dir():
        there = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        raise FileNotFoundError(
            f"the data set '{name}' is not mounted here; mounted are {', '.join(there) or 'none'}. "
            "Add it to the job or workspace in the portal."
        )
    if version is not None:
        chosen = folder / str(version)
        if not chosen.is_dir():
            raise FileNotFoundError(f"version {version} of '{name}' is not mounted here")
        return chosen
    versions = sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda p: int(p.name))
    return versions[-1] if versions else folder


def dataset(name: str, version: int | None = None) -> Any:
    """A data set: a data frame when it is one CSV or Parquet file, else its folder as a Path.

    `frame.attrs["version"]` names the version, as `register(dataset_version=…)` takes it.
    """
    folder = dataset_path(name, version)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) == 1 and files[0].suffix in (".csv", ".parquet"):
        import pandas as pd

        frame = pd.read_csv(files[0]) if files[0].suffix == ".csv" else pd.read_parquet(files[0])
        frame.attrs["version"] = f"{name}/{folder.name}"
        return frame
    return folder
