"""Data set versions inside workspaces and their jobs: read-only, at /datasets/<name>/<version>/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from django.conf import settings

from apps.compute.engines.base import Mount
from apps.core import objects
from apps.datasets.policy import may_view
from apps.datasets.selectors import split_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.accounts.models import User
    from apps.datasets.models import DatasetVersion
    from apps.workbench.models import Workspace

INSIDE = "/datasets"
ENVIRONMENT = {"ATRIUM_DATASETS": INSIDE}
"""Where `atrium.dataset` looks first."""


NAMES = "ATRIUM_DATASET_NAMES"
"""JSON: the names by which code asks for data sets, each with the "<data set>/<number>" that it gets."""


def mounts_of(workspace: Workspace, user: User) -> list[Mount]:
    """The workspace's data sets that this person may still read, laid out as folders."""
    return mounts_of_versions(
        version
        for version in workspace.datasets.select_related("dataset__team").order_by("pk")
        if may_view(user, version.dataset)
    )


def mounts_of_versions(versions: Iterable[DatasetVersion]) -> list[Mount]:
    """Versions at their places in a sandbox, each with its split beside it if it has one."""
    mounts = []
    for version in versions:
        place = f"{INSIDE}/{version.dataset.slug}/{version.number}"
        mounts.append(Mount(_laid_out(version), place))
        if split := split_of(version):
            mounts.append(Mount(objects.path(split.assignment), f"{place}.split.json"))
    return mounts


def _laid_out(version: DatasetVersion) -> Path:
    """A folder with the version's files, made once: versions never change. Links to the stored objects, no copies."""
    folder: Path = settings.ATRIUM.data_dir / "mounted" / str(version.pk)
    if folder.is_dir():
        return folder
    part = folder.with_name(f"{version.pk}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path, entry in version.manifest.items():
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            continue
        place = part / pure
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(entry["sha256"], place)
    try:
        part.rename(folder)
    except OSError:  # somebody else was first
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _link(sha256: str, place: Path) -> None:
    try:
        os.link(objects.path(sha256), place)
    except OSError:  # another file system
        with objects.open_object(sha256) as stream, place.open("xb") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
