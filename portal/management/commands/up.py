"""`manage.py up` runs the whole portal in the foreground."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Becomes `python -m portal.supervisor`, which needs no Django and so stays small."""

    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Never returns."""
        os.execv(sys.executable, [sys.executable, "-m", "portal.supervisor"])  # noqa: S606
