"""What upper apps show on a job's page: addresses of fragments that it loads and asks for again while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.compute.models import Job

Panel = Callable[["Job"], str]
_panels: list[Panel] = []


def register(panel: Panel) -> None:
    """Add a panel, which gives its fragment's address for a job, or nothing; for an app's `ready()`."""
    if panel not in _panels:
        _panels.append(panel)


def panels_for(job: Job) -> list[str]:
    """The addresses of all panels that have something to say about a job."""
    return [url for panel in _panels if (url := panel(job))]
