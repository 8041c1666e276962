"""Jobs in the global search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.compute.selectors import jobs_visible_to
from apps.core.search import Hit

if TYPE_CHECKING:
    from apps.accounts.models import User


def find_jobs(user: User, query: str, limit: int) -> list[Hit]:
    """Jobs whose title contains the words."""
    rows = jobs_visible_to(user).filter(title__icontains=query).order_by("-pk")[:limit]
    return [
        Hit(
            _("Job"),
            job.title,
            reverse("jobs:detail", args=[job.pk]),
            str(job.get_status_display()),
            "player-play",
        )
        for job in rows
    ]
