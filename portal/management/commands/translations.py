"""`manage.py translations` brings the language files up to date; `--missing` prints what is untranslated as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from portal import translations

if TYPE_CHECKING:
    from argparse import ArgumentParser

LOCALES = ("zh_Hans",)


class Command(BaseCommand):
    """Extract, update, report."""

    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument(
            "--missing", action="store_true", help="print untranslated strings as a JSON list"
        )
        parser.add_argument(
            "--apply", type=Path, help="a JSON object from string to translation, to take over"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it for each language."""
        given = json.loads(options["apply"].read_text(encoding="utf-8")) if options["apply"] else None
        for locale in LOCALES:
            catalog = translations.update(locale, given)
            missing = translations.lacking(locale)
            if options["missing"]:
                self.stdout.write(json.dumps(missing, indent=0, ensure_ascii=False))
            else:
                self.stdout.write(f"{locale}: {len(catalog)} strings, {len(missing)} without translation")
