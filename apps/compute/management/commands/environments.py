"""Builds the environments that workloads run in; `make up` and `make test` call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from apps.compute import environments

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """`manage.py environments [NAME …]` builds those that are not built yet, all of them by default."""

    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Names of environments."""
        parser.add_argument("names", nargs="*", help="environments to build; all when none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        """Build one after the other, a line of progress each."""
        for name in options["names"] or environments.names():
            try:
                self.stdout.write(f"environment {name}: {environments.build(name, self._say)}")
            except environments.BuildError as error:
                raise CommandError(f"environment {name}: {error}") from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
