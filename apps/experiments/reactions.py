"""What experiments do when traffic or signatures change."""

from __future__ import annotations

from typing import Any

from apps.experiments.services import check_capability
from apps.releases.models import Release


def on_weights_changed(key: str, _facts: dict[str, Any]) -> None:
    """Production was divided anew: is the control of a running experiment still what it was?"""
    check_capability(int(key))


def on_voided(key: str, _facts: dict[str, Any]) -> None:
    """A signature is void: its version answers no caller of an experiment any more."""
    for pk in Release.objects.filter(pk=key).values_list("capability_id", flat=True):
        check_capability(pk)
