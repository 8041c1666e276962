"""Charts of a column's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _


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


def _bars(name: str, labels: list[str], counts: list[int]) -> dict[str, Any]:
    return {
        "data": [{"type": "bar", "x": labels, "y": counts, "name": str(_("rows"))}],
        "layout": {
            "xaxis": {"type": "category", "title": {"text": name}},
            "yaxis": {"title": {"text": str(_("rows"))}},
        },
    }
