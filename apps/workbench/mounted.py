"""Data set versions inside workspaces and their jobs: read-only, at /datasets/<name>/<version>/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _

from apps.compute.engines.base import Mount
from apps.compute.job_data import MOST, JobData
from apps.core import objects
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.core.urns import urn
from apps.datasets.policy import may_view
from apps.datasets.selectors import split_of, version_by_name
from apps.workbench.selectors import dataset_versions_offered_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apps.accounts.models import User
    from apps.datasets.models import DatasetVersion
    from apps.workbench.models import Workspace

INSIDE = "/datasets"
ENVIRONMENT = {"ATRIUM_DATASETS": INSIDE}
"""Where `atrium.dataset` looks first."""


NAMES = "ATRIUM_DATASET_NAMES"
"""JSON: the names by which code asks for data sets, each with the "<data set>/<number>" that it gets."""


MOST_OFFERED = 200


def offered_to(user: User) -> list[tuple[str, str]]:
    """("<data set>/<number>", label) of the newest versions that a person may read, by name."""
    newest = dataset_versions_offered_to(user).order_by("-pk")[:MOST_OFFERED]
    rows = sorted(newest, key=lambda version: (version.dataset.slug, -version.number))
    return [(name_of(version), str(version)) for version in rows]


def name_of(version: DatasetVersion) -> str:
    """How code, recipes and sweeps name a version."""
    return f"{version.dataset.slug}/{version.number}"


def data_named(names: Sequence[str], *, user: User) -> JobData:
    """What a job of this person is given for these names. Raises Invalid."""
    if len(names) > MOST:
        message = _("%(n)d data set versions are too many for one job; name at most %(most)d.")
        raise Invalid(message % {"n": len(names), "most": MOST}, fields={"datasets": _("too many")})
    return data_of(versions_named(names, user=user), user=user)


def versions_named(names: Sequence[str], *, user: User) -> list[DatasetVersion]:
    """The versions written as faults@3, faults/3 or faults@golden. Raises Invalid for what is not there or may not be
    read."""
    try:
        return [version_by_name(name, user=user) for name in names]
    except (Invalid, NotFound) as error:
        raise Invalid(error.message, fields={"datasets": error.message}) from error


def data_of(
    versions: Iterable[DatasetVersion], *, user: User, beside: Iterable[DatasetVersion] = ()
) -> JobData:
    """What a job of this person is given so that its code finds these versions, and those of other data sets that are
    in its workspace anyway. Only the former are its sources. Raises NotAllowed."""
    chosen = {version.pk: version for version in versions}
    for version in chosen.values():
        require(may_view(user, version.dataset))
    taken = {version.dataset_id for version in chosen.values()}
    # Code that names no version gets the newest that is there: it is to be the chosen one.
    others = [version for version in beside if version.dataset_id not in taken]
    mounts = mounts_of_versions([*others, *chosen.values()])
    return JobData(mounts, ENVIRONMENT, [urn(version) for version in chosen.values()])


def versions_in(workspace: Workspace, user: User) -> list[DatasetVersion]:
    """The workspace's data sets that this person may still read."""
    rows = workspace.datasets.select_related("dataset__team").order_by("pk")
    return [version for version in rows if may_view(user, version.dataset)]


def mounts_of(workspace: Workspace, user: User) -> list[Mount]:
    """The workspace's data sets that this person may still read, laid out as folders."""
    return mounts_of_versions(versions_in(workspace, user))


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
