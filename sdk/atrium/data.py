"""Data sets that are mounted into a job or workspace."""

import os
from pathlib import Path
from typing import Any

MOUNT = "ATRIUM_DATASETS"


def dataset_path(name: str, version: int | None = None) -> Path:
    """The folder of a mounted data set, the newest of its mounted versions unless one is named.

    Data sets lie at <mount>/<name>/<version>/…; the mount is /work/datasets unless ATRIUM_DATASETS says
    otherwise. Raises FileNotFoundError with the names that are there.
    """
    root = Path(os.environ.get(MOUNT) or "/work/datasets")
    folder = root / name
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
    """A mounted data set: a data frame when it is one CSV or Parquet file, else its folder as a Path."""
    folder = dataset_path(name, version)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) == 1 and files[0].suffix in (".csv", ".parquet"):
        import pandas as pd

        return pd.read_csv(files[0]) if files[0].suffix == ".csv" else pd.read_parquet(files[0])
    return folder
