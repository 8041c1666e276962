"""Data sets in the global search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core.search import Hit
from apps.datasets.selectors import datasets_visible_to

if TYPE_CHECKING:
    from apps.accounts.models import User


def find_datasets(user: User, query: str, limit: int) -> list[Hit]:
    """Data sets that a person may read and whose name contains the words."""
    found = datasets_visible_to(user).filter(name__icontains=query).order_by("name", "pk")[:limit]
    return [
        Hit(
            _("Data set"),
            dataset.name,
            reverse("datasets:detail", args=[dataset.slug]),
            dataset.description[:100],
            "database",
        )
        for dataset in found
    ]
