"""Names for any row, stable across apps: `atrium:<app>.<model>:<pk>`."""

from __future__ import annotations

from django.db import models


def urn(obj: models.Model | str) -> str:
    """The URN of a row; a string is taken as a URN already."""
    if isinstance(obj, str):
        return obj
    return f"atrium:{obj._meta.label_lower}:{obj.pk}"
