"""The environment variables of our processes."""

from __future__ import annotations

import os

from portal.environment import ROOT


def child_environment() -> dict[str, str]:
    """The variables that our processes get: the caller's, and what makes Python start quickly and stay small."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **given,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "sdk"))),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
        "CELERY_SKIP_CHECKS": "1",  # they load every page's code, which a worker never shows
        "C_FORCE_ROOT": "1",  # Celery's warning is about pickle, which we do not use
    }
