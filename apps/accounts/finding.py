"""Teams in the global search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Team
from apps.core.search import Hit

if TYPE_CHECKING:
    from apps.accounts.models import User


def find_teams(user: User, query: str, limit: int) -> list[Hit]:
    """Teams whose name contains the words; everybody may know them."""
    found = Team.objects.select_related("site").filter(name__icontains=query).order_by("name")[:limit]
    return [
        Hit(_("Team"), team.name, reverse("accounts:team", args=[team.slug]), team.site.name, "users-group")
        for team in found
    ]
