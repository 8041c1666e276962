"""`manage.py prepare STEP …` does what an instance needs before it works; the supervisor calls it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from portal.environment import ROOT

if TYPE_CHECKING:
    from argparse import ArgumentParser


STEPS = ["migrate", "collectstatic", "compilemessages", "samples", "refuse-samples"]


class Command(BaseCommand):
    """The steps in one process, because each import of Django costs a second."""

    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The steps to do, in this order."""
        parser.add_argument("steps", nargs="+", choices=STEPS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do them; each may be repeated at any time."""
        for step in options["steps"]:
            self.stdout.write(f"{step} …")
            getattr(self, f"_{step.replace('-', '_')}")()

    def _migrate(self) -> None:
        call_command("migrate", interactive=False, verbosity=1, stdout=self.stdout)

    def _collectstatic(self) -> None:
        with _alone("collectstatic"):
            call_command("collectstatic", interactive=False, clear=False, verbosity=1, stdout=self.stdout)

    def _compilemessages(self) -> None:
        with _alone("compilemessages"):
            for source in (ROOT / "portal" / "locale").glob("*/LC_MESSAGES/*.po"):
                with source.open("rb") as text, source.with_suffix(".mo").open("wb") as compiled:
                    write_mo(compiled, read_po(text))

    def _samples(self) -> None:
        if settings.ATRIUM.samples:
            call_command("samples", stdout=self.stdout)

    def _refuse_samples(self) -> None:
        left = User.objects.filter(sample=True, is_active=True).values_list("username", flat=True)
        if left:
            raise CommandError(
                f"ATRIUM_BIND={settings.ATRIUM.bind} would offer the sample accounts {', '.join(left)}, whose "
                "password is public, to the network; deactivate them on the people page first."
            )


@contextmanager
def _alone(step: str) -> Iterator[None]:
    """Two instances of one checkout share what these steps make."""
    folder = ROOT / "var"
    folder.mkdir(exist_ok=True)
    with (folder / f"{step}.lock").open("a") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield
