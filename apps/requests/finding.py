"""Requests in the global search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.core.search import Hit
from apps.requests.selectors import requests_visible_to
from apps.requests.services import page_of

if TYPE_CHECKING:
    from apps.accounts.models import User


def find_requests(user: User, query: str, limit: int) -> list[Hit]:
    """Requests whose title contains the words, in any language."""
    named = Q(title__icontains=query) | Q(searched__icontains=query)
    found = requests_visible_to(user).filter(named).order_by("-pk")[:limit]
    return [
        Hit(_("Request"), request.title_words, page_of(request), str(request.get_status_display()), "inbox")
        for request in found
    ]
