"""Environment variables that upper apps add to a job at each start, such as a token that ends with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.compute.models import Job

Provider = Callable[["Job"], Mapping[str, str]]
_providers: list[Provider] = []


def register(provider: Provider) -> None:
    """Add a provider; for an app's `ready()`."""
    if provider not in _providers:
        _providers.append(provider)


def variables_for(job: Job) -> dict[str, str]:
    """What all providers add for this start of the job."""
    return {name: value for provider in _providers for name, value in provider(job).items()}
