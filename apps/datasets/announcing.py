"""What webhooks are told of data sets: their new versions."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.datasets.models import DatasetVersion
from apps.requests import webhooks

VERSION = "dataset.version"
EXAMPLE = {
    "dataset": "fault-tickets",
    "number": 3,
    "rows": 12_000,
    "digest": "9f86d0…",
    "note": "The tickets of November.",
}


def register() -> None:
    """Offer the event; called once when the app is ready."""
    webhooks.register_event(VERSION, _("A data set has a new version"), EXAMPLE)


def tell_of_version(key: str, facts: dict[str, Any]) -> None:
    """Tell the team's webhooks that a version was made."""
    version = DatasetVersion.objects.select_related("dataset").filter(pk=int(key)).first()
    if version is None:
        return
    data = {
        "dataset": version.dataset.slug,
        "number": version.number,
        "rows": version.rows,
        "digest": version.digest,
        "note": version.note,
    }
    webhooks.emit([version.dataset.team_id], VERSION, f"{VERSION}:{version.pk}", data)
