"""Capabilities in the global search, for those who build them; the store finds what is published for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.catalog.selectors import capabilities_built_by, matching
from apps.core.search import Hit

if TYPE_CHECKING:
    from apps.accounts.models import User


def find_capabilities(user: User, query: str, limit: int) -> list[Hit]:
    """The workshop's pages of the person's own teams' capabilities that have every word."""
    found = matching(capabilities_built_by(user), query).order_by("name", "pk")[:limit]
    return [
        Hit(
            _("Capability in the workshop"),
            capability.name,
            reverse("catalog:detail", args=[capability.slug]),
            capability.summary,
            "cube",
        )
        for capability in found
    ]
