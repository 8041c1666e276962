"""What apps above have to say on a deployment's page: that it turns calls away, for one. They register in `ready()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.instances.models import Deployment


@dataclass(frozen=True, slots=True)
class Alert:
    """A sentence, when that was last so, whether it goes on now, and the page that shows more."""

    words: str
    last_at: datetime
    lasts: bool = False
    url: str = ""
    action: str = ""


if TYPE_CHECKING:
    Source = Callable[[Deployment], Iterable[Alert]]

_sources: list[Source] = []


def register(source: Source) -> None:
    """Let an app above say something of a deployment. Called in `ready()`; twice is once."""
    if source not in _sources:
        _sources.append(source)


def alerts_of(deployment: Deployment) -> list[Alert]:
    """All that is said of a deployment now."""
    return [alert for source in _sources for alert in source(deployment)]
