"""Which parts of the portal are alive, by their own word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from apps.core.models import Heartbeat


def beat(part: str, **facts: object) -> None:
    """Say that a part is alive now."""
    Heartbeat.objects.update_or_create(part=part, defaults={"at": timezone.now(), "facts": facts})


def heard(part: str) -> datetime | None:
    """When a part was last alive; None when it never was."""
    return Heartbeat.objects.filter(part=part).values_list("at", flat=True).first()


States = Callable[[], dict[str, str]]
_states: list[States] = []


def tell_states(states: States) -> None:
    """Say who knows the state of each part (up, down …); for the portal's `ready()`."""
    _states[:] = [states]


def states() -> dict[str, str]:
    """The state of each part now, as `/healthz` tells it."""
    return _states[0]() if _states else {}
