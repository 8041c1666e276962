"""What still uses a version: its deployments, its callers. Apps above say it, since they know where anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.catalog.models import Version

QUIET_DAYS = 7
"""For so many days nobody must have called a version that is retired, unless another number is chosen."""
FEWEST_DAYS, MOST_DAYS = 1, 90


@dataclass(frozen=True, slots=True)
class Use:
    """One deployment or caller, in a few words; `url` is where a person sees more of it."""

    words: str
    url: str = ""


if TYPE_CHECKING:
    Source = Callable[[Version, timedelta], Iterable[Use]]

_sources: list[Source] = []


def register(source: Source) -> None:
    """Let an app above name the uses of a version within a time up to now. Called in `ready()`; twice is once."""
    if source not in _sources:
        _sources.append(source)


def uses_of(version: Version, quiet_days: int = QUIET_DAYS) -> list[Use]:
    """All that stands against retiring a version."""
    return [use for source in _sources for use in source(version, timedelta(days=quiet_days))]
