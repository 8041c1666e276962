"""Charts of a column's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from apps.datasets.models import Split


def column_chart(name: str, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Bars over bins for numbers, over values for words; None when there is nothing to draw."""
    values = facts.get("values")
    if values and len(values) <= 20:
        labels, counts = list(values), list(values.values())
        return _bars(name, labels, counts)
    histogram = facts.get("histogram")
    if histogram:
        edges = histogram["edges"]
        labels = [f"{low:.4g} – {high:.4g}" for low, high in pairwise(edges)]
        return _bars(name, labels, histogram["counts"])
    if values:
        top = list(values.items())[:20]
        return _bars(name, [label for label, _count in top], [count for _label, count in top])
    return None


def shift_chart(column: Mapping[str, Any], before: str, after: str) -> dict[str, Any] | None:
    """The shares of a column's values in two versions, side by side; None where it holds numbers."""
    values = column.get("values")
    if not values:
        return None
    names = [one["value"] for one in values[:20]]
    sides = ((before, "before"), (after, "after"))
    return {
        "data": [
            {
                "type": "bar",
                "name": title,
                "x": names,
                "y": [round(100 * one[side], 3) for one in values[:20]],
            }
            for title, side in sides
        ],
        "layout": {
            "barmode": "group",
            "xaxis": {"type": "category", "title": {"text": column["name"]}},
            "yaxis": {"title": {"text": str(_("% of rows"))}},
        },
    }


def split_chart(split: Split) -> dict[str, Any] | None:
    """How each value is divided over the parts; None where it was divided without a column."""
    if not split.by_value:
        return None
    values = sorted(split.by_value, key=lambda value: (-sum(split.by_value[value].values()), value))[:20]
    return {
        "data": [
            {"type": "bar", "name": part, "x": values, "y": [split.by_value[value][part] for value in values]}
            for part in split.counts
        ],
        "layout": {
            "barmode": "stack",
            "xaxis": {"type": "category", "title": {"text": split.column}},
            "yaxis": {"title": {"text": str(split.get_unit_display())}},
        },
    }


def class_chart(images: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many images each class has."""
    classes = images.get("classes")
    if not classes:
        return None
    rows = sorted(classes.items(), key=lambda row: (-row[1]["count"], row[0]))
    return _bars(
        str(_("class")),
        [name for name, _facts in rows],
        [facts["count"] for _name, facts in rows],
        str(_("images")),
    )


def size_chart(images: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many images have each width and height."""
    sizes = sorted(images.get("sizes", {}).items(), key=lambda row: (-row[1], row[0]))[:20]
    names, counts = [name for name, _count in sizes], [count for _name, count in sizes]
    return _bars(str(_("pixels")), names, counts, str(_("images"))) if sizes else None


def _bars(name: str, labels: list[str], counts: list[int], counted: str = "") -> dict[str, Any]:
    counted = counted or str(_("rows"))
    return {
        "data": [{"type": "bar", "x": labels, "y": counts, "name": counted}],
        "layout": {
            "xaxis": {"type": "category", "title": {"text": name}},
            "yaxis": {"title": {"text": counted}},
        },
    }
