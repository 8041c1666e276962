"""Reads of data sets, always under the reader's rights."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from guardian.shortcuts import get_objects_for_user, get_users_with_perms

from apps.accounts.policy import is_platform_admin
from apps.accounts.selectors import teams_of
from apps.core import objects
from apps.core.errors import Invalid, NotFound
from apps.datasets.models import VIEW_DATASET, Dataset, DatasetVersion, Split, Tag
from apps.datasets.policy import READERS, WRITERS, may_view
from apps.datasets.tables import rows_of, table_files

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


MOST_PREVIEWED = 100
MOST_PREVIEWED_COLUMNS = 200
LONGEST_CELL = 1000


def datasets_visible_to(user: User | AnonymousUser) -> QuerySet[Dataset]:
    """Every data set that a person may read."""
    found = Dataset.objects.select_related("team")
    if is_platform_admin(user):
        return found
    if not user.is_authenticated:
        return found.none()
    seen = Q(visibility=Dataset.Visibility.ORGANISATION) | Q(team__in=teams_of(user, *READERS))
    return found.filter(seen | Q(pk__in=datasets_shared_with(user).values("pk")))


def datasets_shared_with(user: User) -> QuerySet[Dataset]:
    """The data sets of other teams that a person was let into by name."""
    return get_objects_for_user(
        user, VIEW_DATASET, Dataset, use_groups=False, with_superuser=False, accept_global_perms=False
    )


def readers_of(dataset: Dataset, *, with_left: bool = False) -> QuerySet[User]:
    """The people outside the team who were let into a data set by name; those who have left only when asked for."""
    named = get_users_with_perms(
        dataset,
        only_with_perms_in=[VIEW_DATASET.split(".")[1]],
        with_superusers=False,
        with_group_users=False,
    )
    found = cast("QuerySet[User]", named).order_by("username")
    return found if with_left else found.filter(is_active=True)


def datasets_of_builder(user: User) -> QuerySet[Dataset]:
    """The data sets that a person may add a version to."""
    found = Dataset.objects.select_related("team").order_by("slug")
    return found if is_platform_admin(user) else found.filter(team__in=teams_of(user, *WRITERS))


def datasets_found_to_build(user: User, words: str) -> QuerySet[Dataset]:
    """Those that are called so, by name; without words the newest first."""
    mine = datasets_of_builder(user)
    if not words.strip():
        return mine.order_by("-pk")
    words = words.strip()
    return mine.filter(Q(slug__icontains=words) | Q(name__icontains=words))


def get_dataset(slug: str, *, user: User | AnonymousUser) -> Dataset:
    """A data set by its short name. Raises NotFound for what the person may not know of."""
    dataset = Dataset.objects.select_related("team").filter(slug=slug).first()
    if dataset is None or not may_view(user, dataset):
        raise NotFound(_("There is no data set “%(slug)s” that you may see.") % {"slug": slug[:80]})
    return dataset


def get_version(dataset: Dataset, number: int) -> DatasetVersion:
    """A version of a data set by its number. Raises NotFound."""
    version = (
        DatasetVersion.objects.filter(dataset=dataset, number=number).select_related("created_by").first()
    )
    if version is None:
        raise NotFound(_("%(name)s has no version %(number)s.") % {"name": dataset.name, "number": number})
    return version


def versions_of(dataset: Dataset) -> QuerySet[DatasetVersion]:
    """All versions of a data set, newest first."""
    rows = dataset.versions.select_related("created_by", "dataset", "parent")
    return rows.prefetch_related("tags").order_by("-number")


def latest_version(dataset: Dataset) -> DatasetVersion | None:
    """The version that was made last."""
    return versions_of(dataset).first()


def version_by_name(name: str, *, user: User | AnonymousUser) -> DatasetVersion:
    """The version written as <data set>/<number> or <data set>/<tag>; an @ does for the slash.

    Raises Invalid, NotFound for what the person may not know of.
    """
    slug, _slash, wanted = name.strip().replace("@", "/", 1).partition("/")
    if not wanted:
        raise Invalid(
            _("“%(name)s” is no data set version. Write it as <data set>/<number>.") % {"name": name[:80]},
            fields={"dataset_version": _("must be <data set>/<number>")},
        )
    return version_called(get_dataset(slug, user=user), wanted)


def version_called(dataset: Dataset, wanted: str) -> DatasetVersion:
    """A version by its number or by a tag. Raises NotFound."""
    if wanted.isdecimal() and len(wanted) < 10:
        return get_version(dataset, int(wanted))
    tag = dataset.tags.filter(name=wanted).select_related("version__created_by", "version__dataset").first()
    if tag is None:
        message = _("%(name)s has no version and no tag “%(wanted)s”.")
        raise NotFound(message % {"name": dataset.name, "wanted": wanted[:80]})
    return tag.version


def tags_of(dataset: Dataset) -> QuerySet[Tag]:
    """The tags of a data set by name."""
    return dataset.tags.select_related("version", "moved_by").order_by("name")


def split_of(version: DatasetVersion) -> Split | None:
    """A version's split, if it has one."""
    return Split.objects.filter(version=version).select_related("created_by").first()


def get_split(version: DatasetVersion) -> Split:
    """A version's split. Raises NotFound."""
    split = split_of(version)
    if split is None:
        raise NotFound(
            _("%(version)s is not split. Split it on its page or with its API.") % {"version": version}
        )
    return split


def named_versions(pks: Collection[int], user: User | AnonymousUser) -> dict[int, tuple[str, str]]:
    """{pk: (name, address)} of the versions that a person may see."""
    rows = DatasetVersion.objects.filter(pk__in=pks, dataset__in=datasets_visible_to(user))
    return {
        row.pk: (str(row), reverse("datasets:version", args=[row.dataset.slug, row.number]))
        for row in rows.select_related("dataset")
    }


def open_file(version: DatasetVersion, path: str) -> BinaryIO:
    """One file of a version, for reading. Raises NotFound."""
    entry = version.manifest.get(path)
    if entry is None:
        raise NotFound(_("There is no file “%(path)s” in this version.") % {"path": path[:120]})
    return objects.open_object(entry["sha256"])


def iterate_rows(version: DatasetVersion) -> Iterator[dict[str, Any]]:
    """Every row of the version's tables as {column: value}; CSV values are strings."""
    for path in table_files(version.manifest):
        with open_file(version, path) as stream:
            yield from rows_of(path, stream)


def preview(version: DatasetVersion, *, rows: int = 20) -> list[dict[str, Any]]:
    """The first rows, for looking at. Empty when nothing tabular can be read."""
    try:
        return list(islice(iterate_rows(version), rows))
    except (csv.Error, json.JSONDecodeError, UnicodeDecodeError):
        return []


def preview_columns(rows: list[dict[str, Any]]) -> list[str]:
    """The columns of a preview in the order in which they appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def preview_table(version: DatasetVersion, *, rows: int) -> dict[str, Any]:
    """The first rows for programs: {"columns": names, "rows": [[cell, …], …]}.

    Numbers and truth values stay what they are, where a table says so itself; what is long is cut.
    """
    found = preview(version, rows=rows)
    names = preview_columns(found)[:MOST_PREVIEWED_COLUMNS]
    return {"columns": names, "rows": [[_cell(row.get(name)) for name in names] for row in found]}


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"


_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}


def thumbnail(version: DatasetVersion, path: str) -> str:
    """A small image of a version as a data URI; nothing when it is none of the kinds that are shown."""
    with open_file(version, path) as stream:
        content = stream.read()
    kind = next((name for begins, name in _PICTURES.items() if content.startswith(begins)), None)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}" if kind else ""
