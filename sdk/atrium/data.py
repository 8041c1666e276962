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
TABLES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})
FETCHED = Path(tempfile.gettempdir()) / "atrium-datasets"


def dataset_path(name: str, version: int | str | None = None) -> Path:
    """The folder of a data set version: the newest unless a number or a tag is named.

    Mounted ones lie at <mount>/<name>/<version>/…; the mount is /work/datasets unless ATRIUM_DATASETS says
    otherwise. What is not mounted is fetched from the portal, if there is one: raises FileNotFoundError with the
    names that are mounted, or what the portal answers.
    """
    named = json.loads(os.environ.get(NAMES) or "{}").get(name)
    if named and version is None:  # a recipe asks by a name of its own
        name, version = named.partition("/")[0], named.partition("/")[2]
    folder = _found(name, _number(name, version))
    _note(f"{name}/{folder.name}")
    return folder


def _number(name: str, version: int | str | None) -> int | None:
    """The number of a version that is named by its number or a tag."""
    if version is None or isinstance(version, int) or version.isdecimal():
        return None if version is None else int(version)
    from atrium.portal import Portal

    return Portal().tagged(name, version)


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


def dataset(name: str, version: int | str | None = None, *, split: str | None = None) -> Any:
    """A data set: a data frame when it is one CSV or Parquet file, else its folder as a Path.

    With `split` ("train", "val", "test") only that part of a version that was split: its rows as one data frame over
    all tables, or the paths of its files. `frame.attrs["version"]` names the version, as `register(dataset_version=…)`
    takes it.
    """
    folder = dataset_path(name, version)
    if split is not None:
        return _part(folder, split)
    files = _files(folder)
    if len(files) == 1 and files[0].suffix in (".csv", ".parquet"):
        return _named(_frame(files[0]), folder)
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _frame(file: Path) -> Any:
    import pandas as pd

    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    if file.suffix in (".jsonl", ".ndjson"):
        return pd.read_json(file, lines=True, convert_dates=False)
    return pd.read_csv(file, sep="\t" if file.suffix == ".tsv" else ",")


def _named(frame: Any, folder: Path) -> Any:
    frame.attrs["version"] = f"{folder.parent.name}/{folder.name}"
    return frame


def _part(folder: Path, part: str) -> Any:
    """The rows or files of one part, by the assignment that the portal keeps with the version."""
    told = _assignment(folder)
    if part not in told["parts"]:
        raise ValueError(f"there is no part '{part}'; this version is split into {', '.join(told['parts'])}")
    wanted = str(told["parts"].index(part))
    if told["unit"] == "files":
        pairs = zip(told["files"], told["of"], strict=True)
        return [folder / path for path, of in pairs if of == wanted]
    import pandas as pd

    tables = [path for path in _files(folder) if path.suffix.lower() in TABLES]
    tables.sort(key=lambda path: path.relative_to(folder).as_posix())
    frame = (
        pd.concat([_frame(path) for path in tables], ignore_index=True) if tables[1:] else _frame(tables[0])
    )
    if len(frame) != len(told["of"]):
        raise ValueError(
            f"{folder} has {len(frame)} rows here, but its split is of {len(told['of'])}; is it complete?"
        )
    return _named(frame[[of == wanted for of in told["of"]]], folder)


def _assignment(folder: Path) -> dict[str, Any]:
    """What says which item is in which part: mounted beside the version's folder, else fetched."""
    beside = folder.with_name(f"{folder.name}.split.json")
    if beside.is_file():
        return dict(json.loads(beside.read_bytes()))
    from atrium.portal import Portal

    return Portal().assignment(folder.parent.name, int(folder.name))
