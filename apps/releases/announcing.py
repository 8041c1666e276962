"""What webhooks are told of releases: a version has gone the whole way, or went back."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.core import events
from apps.releases.models import Release
from apps.requests import webhooks
from apps.store.announcing import teams_of

RELEASED, ROLLED_BACK = "release.released", "release.rolled_back"
EXAMPLE = {
    "release": 12,
    "capability": "digits",
    "version": "1.1.0",
    "digest": "9f86d0…",
    "before": "1.0.0",
    "reason": "",
}


def register() -> None:
    """Offer the events; called once when the app is ready."""
    webhooks.register_event(RELEASED, _("A version takes all of the production traffic"), EXAMPLE)
    reason = {"reason": "errors: 9 % of the calls, at most 1 % allowed"}
    webhooks.register_event(ROLLED_BACK, _("A release was rolled back"), EXAMPLE | reason)
    events.on("releases.released", _released)
    events.on("releases.rolled_back", _rolled_back)


def _released(key: str, facts: dict[str, Any]) -> None:
    _tell(RELEASED, int(key))


def _rolled_back(key: str, facts: dict[str, Any]) -> None:
    _tell(ROLLED_BACK, int(key), str(facts.get("reason", "")))


def _tell(event: str, pk: int, reason: str = "") -> None:
    """Tell provider's and subscribers' webhooks once; `before` answered before, and does again after a way back."""
    release = Release.objects.select_related("capability", "version", "baseline__version").get(pk=pk)
    data = {
        "release": release.pk,
        "capability": release.capability.slug,
        "version": release.version.number,
        "digest": release.version.digest,
        "before": release.baseline.version.number if release.baseline else None,
        "reason": reason,
    }
    webhooks.emit(teams_of(release.capability), event, f"{event}:{release.pk}", data)
