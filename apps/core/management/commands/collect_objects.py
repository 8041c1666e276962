"""`manage.py collect_objects`: remove stored files that nothing names any more."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.core import collecting


class Command(BaseCommand):
    help = "Remove stored files that nothing has named for two days, and say how many there were."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be removed")

    def handle(self, *args: Any, **options: Any) -> None:
        found = collecting.collect(dry_run=options["dry_run"])
        verb = "would be removed" if options["dry_run"] else "removed"
        self.stdout.write(
            f"{found.kept} files of {found.kept_bytes:,} bytes are in use; "
            f"{found.removed} of {found.removed_bytes:,} bytes {verb}"
        )
