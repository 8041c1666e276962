"""Reads of data sets, always under the reader's rights."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.policy import is_platform_admin
from apps.accounts.selectors import teams_of
from apps.core import objects
from apps.core.errors import Invalid, NotFound
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.policy import READERS, WRITERS, may_view
from apps.datasets.tables import rows_of, table_files

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


def datasets_visible_to(user: User | AnonymousUser) -> QuerySet[Dataset]:
    """Every data set that a person may read."""
    found = Dataset.objects.select_related("team")
    if is_platform_admin(user):
        return found
    if not user.is_authenticated:
        return found.none()
    return found.filter(Q(visibility=Dataset.Visibility.ORGANISATION) | Q(team__in=teams_of(user, *READERS)))


def datasets_of_builder(user: User) -> QuerySet[Dataset]:
    """The data sets that a person may add a version to."""
    found = Dataset.objects.select_related("team").order_by("slug")
    return found if is_platform_admin(user) else found.filter(team__in=teams_of(user, *WRITERS))


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
    return dataset.versions.select_related("created_by", "dataset").order_by("-number")


def latest_version(dataset: Dataset) -> DatasetVersion | None:
    """The version that was made last."""
    return versions_of(dataset).first()


def newest_visible_to(user: User | AnonymousUser, *, most: int = 200) -> list[DatasetVersion]:
    """The versions that a form offers to a person: the newest first."""
    found = DatasetVersion.objects.filter(dataset__in=datasets_visible_to(user)).select_related("dataset")
    return list(found.order_by("-pk")[:most])


def version_by_name(name: str, *, user: User | AnonymousUser) -> DatasetVersion:
    """The version written as <data set>/<number>. Raises Invalid, NotFound for what the person may not know of."""
    slug, _slash, number = name.strip().partition("/")
    if not number.isdecimal() or len(number) > 9:
        raise Invalid(
            _("“%(name)s” is no data set version. Write it as <data set>/<number>.") % {"name": name[:80]},
            fields={"dataset_version": _("must be <data set>/<number>")},
        )
    return get_version(get_dataset(slug, user=user), int(number))


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
    """Every row of the version's CSV and JSONL files as {column: value}; CSV values are strings."""
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
