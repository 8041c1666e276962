"""Data set versions inside workspaces and their jobs: read-only, at /datasets/<name>/<version>/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.compute.engines.base import Mount
from apps.compute.job_data import MOST, Given, JobData, Offer
from apps.core import lineage, objects
from apps.core.errors import Invalid, NotFound
from apps.core.policy import Verdict, allow, deny, require
from apps.core.urns import urn
from apps.datasets.models import DatasetVersion
from apps.datasets.policy import may_view
from apps.datasets.selectors import split_of, version_by_name
from apps.workbench.selectors import dataset_versions_offered_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apps.accounts.models import User
    from apps.compute.models import Job
    from apps.workbench.models import Workspace

INSIDE = "/datasets"
ENVIRONMENT = {"ATRIUM_DATASETS": INSIDE}
"""Where `atrium.dataset` looks first."""


NAMES = "ATRIUM_DATASET_NAMES"
"""JSON: the names by which code asks for data sets, each with the "<data set>/<number>" that it gets."""
_SPLIT = ".split.json"
_MOST_WORDS = 5
_MOST_NAMES = 200
_LONGEST_NUMBER = 10


def offered_to(user: User, words: str = "", *, most: int) -> list[Offer]:
    """The newest versions that a person may read; with `words`, those of data sets that are called so, by name."""
    found = dataset_versions_offered_to(user)
    for word in words.split()[:_MOST_WORDS]:
        meant = Q(dataset__slug__icontains=word) | Q(dataset__name__icontains=word)
        if (number := word.lstrip("vV")).isdecimal() and len(number) < _LONGEST_NUMBER:
            meant |= Q(number=int(number))
        found = found.filter(meant)
    return [_offer(version) for version in (found if words.split() else found.order_by("-pk"))[:most]]


def called(names: Sequence[str], *, user: User) -> list[Offer]:
    """Those of these "<data set>/<number>" that a person may read, in this order."""
    found = {name_of(each): each for each in dataset_versions_offered_to(user).filter(_are(names))}
    return [_offer(found[name]) for name in dict.fromkeys(names) if name in found]


def _offer(version: DatasetVersion) -> Offer:
    return Offer(name_of(version), str(version), version.dataset.name)


def _are(names: Sequence[str]) -> Q:
    """Which versions these "<data set>/<number>" are; none for none."""
    wanted = Q(pk__in=())
    for name in names[:_MOST_NAMES]:
        slug, _slash, number = name.partition("/")
        if number.isdecimal() and len(number) < _LONGEST_NUMBER:
            wanted |= Q(dataset__slug=slug, number=int(number))
    return wanted


def names_in(job: Job) -> list[str]:
    """The "<data set>/<number>" that a job finds mounted, in order."""
    inside = f"{INSIDE}/"
    places = [str(target) for _source, target, _readonly in job.mounts if str(target).startswith(inside)]
    return [place.removeprefix(inside) for place in places if not place.endswith(_SPLIT)]


def given_to(job: Job, *, reader: User) -> tuple[list[Given], int]:
    """The versions that a job reads, those that it comes from first, and how many more the reader may not see."""
    names = names_in(job)
    found = {name_of(each): each for each in dataset_versions_offered_to(reader).filter(_are(names))}
    sources = {edge.source for edge in lineage.upstream(job, depth=1) if edge.kind == "trained on"}
    seen = [(name, found[name]) for name in names if name in found]
    rows = [Given(name, str(each), _page_of(each), urn(each) in sources) for name, each in seen]
    return sorted(rows, key=lambda row: not row.source), len(names) - len(rows)


def may_read(user: User, job: Job) -> Verdict:
    """Whether a person may read all the versions that a job does. The reason names no data set."""
    for version in DatasetVersion.objects.filter(_are(names_in(job))).select_related("dataset__team"):
        if not (verdict := may_view(user, version.dataset)):
            return deny(_("The job reads data that you may not: %(why)s") % {"why": verdict.reason})
    return allow()


def _page_of(version: DatasetVersion) -> str:
    return reverse("datasets:version", args=[version.dataset.slug, version.number])


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
            mounts.append(Mount(objects.path(split.assignment), f"{place}{_SPLIT}"))
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
