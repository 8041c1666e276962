"""Comparisons of two versions of a data set, worked out once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.core import background
from apps.core.errors import Invalid
from apps.datasets import comparing
from apps.datasets.models import Comparison, DatasetVersion
from apps.datasets.selectors import iterate_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

WORK_OUT = "datasets.compare"
AT_ONCE_ROWS = 40_000
"""Up to so many rows of both together the answer is worked out while one waits: about half a second."""


def compare_versions(before: DatasetVersion, after: DatasetVersion, *, key: str = "") -> Comparison:
    """What changed between two versions; without a `result` while a task still works on it.

    `key` is the column by which rows are recognised; without one a likely column is taken, or none. Whoever calls it
    has made sure that its reader may see the data set. Raises Invalid.
    """
    if before.dataset_id != after.dataset_id:
        raise Invalid(_("Both versions must be of one data set."))
    shared = {one["name"] for one in before.schema.get("columns", [])} & {
        one["name"] for one in after.schema.get("columns", [])
    }
    if key and key not in shared:
        raise _no_key(key)
    found, made = Comparison.objects.get_or_create(before=before, after=after, key=key)
    if found.result is None and (before.rows or 0) + (after.rows or 0) <= AT_ONCE_ROWS:
        work_out(found.pk)
        found.refresh_from_db()
    elif made:
        background.enqueue(WORK_OUT, found.pk)
    if found.result and found.result.get("key_not_unique"):
        raise _no_key(key)
    return found


def work_out(pk: int) -> None:
    """Work out a comparison; again is harmless."""
    found = Comparison.objects.select_related("before", "after").filter(pk=pk, result__isnull=True).first()
    if found is None:
        return
    try:
        result = comparing.compare(_side(found.before), _side(found.after), found.key)
    except comparing.KeyNotUnique:
        result = {"key_not_unique": True}
    Comparison.objects.filter(pk=pk).update(result=result)


def work_out_waiting() -> None:
    """The safety net under the task: what a kill or an absent broker left."""
    for pk in Comparison.objects.filter(result__isnull=True).order_by("pk").values_list("pk", flat=True)[:20]:
        work_out(pk)


def _side(version: DatasetVersion) -> comparing.Side:
    return comparing.Side(
        manifest=version.manifest,
        columns=version.schema.get("columns", []),
        statistics=_columns_of(version.statistics),
        rows=version.rows,
        read=lambda: iterate_rows(version),
    )


def _columns_of(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """The statistics by column; the classes of images count as a column of their own."""
    columns = dict(statistics.get("columns", {}))
    classes = statistics.get("images", {}).get("classes")
    if classes:
        images = statistics["images"]
        values = {name: facts["count"] for name, facts in classes.items()}
        columns["folder"] = {
            "count": images["count"],
            "missing": images["count"] - sum(values.values()),
            "values": values,
        }
    return columns


def _no_key(key: str) -> Invalid:
    message = _(
        "Rows cannot be recognised by “%(key)s”: it is not in both versions, or a value stands there twice. "
        "Choose another column, or none."
    )
    return Invalid(message % {"key": key[:80]}, fields={"key": _("is no key")})
