"""Where versions come from: data, code, job and author, linked where the reader may look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.compute.selectors import jobs_visible_to
from apps.datasets.models import DatasetVersion
from apps.datasets.selectors import datasets_visible_to

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version


@dataclass(frozen=True)
class Origin:
    """One thing that went into a version; `url` is empty where the reader may not look."""

    title: str
    name: str
    url: str = ""


def _key(urn: str, model: str) -> int | None:
    kind, _colon, key = urn.removeprefix("atrium:").partition(":")
    return int(key) if kind == model and key.isdecimal() else None


def origins_of(versions: Iterable[Version], *, user: User) -> dict[int, list[Origin]]:
    """{version id: where it comes from}, in three queries for any number of versions."""
    versions = list(versions)
    data = {version.pk: _key(version.dataset_version_urn, "datasets.datasetversion") for version in versions}
    jobs = {version.pk: _key(version.training_job_urn, "compute.job") for version in versions}
    sets = {
        row.pk: row
        for row in DatasetVersion.objects.select_related("dataset").filter(
            pk__in=[pk for pk in data.values() if pk]
        )
    }
    seen = set(
        datasets_visible_to(user)
        .filter(pk__in={row.dataset_id for row in sets.values()})
        .values_list("pk", flat=True)
    )
    runs = set(
        jobs_visible_to(user).filter(pk__in=[pk for pk in jobs.values() if pk]).values_list("pk", flat=True)
    )
    return {
        version.pk: [
            *_data_origin(sets.get(data[version.pk] or 0), seen),
            *_job_origin(jobs[version.pk], runs),
            *([Origin(_("Code"), version.code_digest[:12])] if version.code_digest else []),
        ]
        for version in versions
    }


def _data_origin(row: DatasetVersion | None, seen: set[int]) -> list[Origin]:
    if row is None:
        return []
    url = reverse("datasets:detail", args=[row.dataset.slug]) if row.dataset_id in seen else ""
    name = f"{row.dataset.name} v{row.number}" if url else f"v{row.number} · {row.digest[:12]}"
    return [Origin(_("Data"), name, url)]


def _job_origin(pk: int | None, runs: set[int]) -> list[Origin]:
    if pk is None:
        return []
    return [Origin(_("Training job"), f"#{pk}", reverse("jobs:detail", args=[pk]) if pk in runs else "")]
