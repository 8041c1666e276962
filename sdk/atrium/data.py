"""Data sets: mounted into a job or workspace, else fetched from the portal."""

import os
import tempfile
from pathlib import Path
from typing import Any

MOUNT = "ATRIUM_DATASETS"
FETCHED = Path(tempfile.gettempdir()) / "atrium-datasets"


def dataset_path(name: str, version: int | None = None) -> Path:
    """The folder of a data set version, the newest unless one is named.

    Mounted ones lie at <mount>/<name>/<version>/…; the mount is /work/datasets unless ATRIUM_DATASETS says
    otherwise. What is not mounted is fetched from the portal, if there is one: raises FileNotFoundError with the
    names that are mounted, or what the portal answers.
    """
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
