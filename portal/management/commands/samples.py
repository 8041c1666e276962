"""`manage.py samples` makes the sample content that is missing; the supervisor calls it at the first start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.samples.people import make_people


class Command(BaseCommand):
    """Refuses where ATRIUM_SAMPLES=0: the password of the sample people is public."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """May be repeated at any time."""
        if not settings.ATRIUM.samples:
            raise CommandError("ATRIUM_SAMPLES=0 leaves out the sample content.")
        people = make_people()
        self.stdout.write(f"sample people: {', '.join(people)}")
