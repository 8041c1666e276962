"""Which ended jobs cannot be repeated as they were. Upper apps know: what they gave a job may have ended with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.compute.models import Job

Objection = Callable[["Job"], str]
_objections: list[Objection] = []


def register(objection: Objection) -> None:
    """Add an objection, which tells why a job cannot be repeated, or nothing; for an app's `ready()`."""
    if objection not in _objections:
        _objections.append(objection)


def why_not(job: Job) -> str:
    """Why a job cannot be repeated, and what to do instead; empty where nothing is against it."""
    return next((words for objection in _objections if (words := objection(job))), "")
