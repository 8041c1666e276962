"""Capabilities in the global search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from apps.catalog.models import Capability
from apps.catalog.policy import LISTED
from apps.catalog.selectors import capabilities_visible_to, matching
from apps.core.search import Hit

if TYPE_CHECKING:
    from apps.accounts.models import User


def find_capabilities(user: User, query: str, limit: int) -> list[Hit]:
    """Capabilities that a person may know of and that have every word."""
    found = matching(capabilities_visible_to(user), query).order_by("name", "pk")[:limit]
    return [
        Hit(_("Capability"), capability.name, _page_of(capability), capability.summary, "cube")
        for capability in found
    ]


def _page_of(capability: Capability) -> str:
    """Its page in the store when it is listed there, else in the workshop."""
    if capability.status in LISTED:
        try:
            return reverse("store:detail", args=[capability.slug])
        except NoReverseMatch:
            pass
    return reverse("catalog:detail", args=[capability.slug])
