"""`manage.py verify_audit`: recompute the audit chain."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import audit


class Command(BaseCommand):
    help = "Recompute the audit log's hash chain and name the first entry that does not fit."

    def handle(self, *args: Any, **options: Any) -> None:
        found = audit.verify()
        if not found.intact:
            raise CommandError(f"the chain is broken at {found.broken_at}: {found.problem}")
        self.stdout.write(f"intact: {found.checked} entries sealed, {found.unsealed} not sealed yet")
