"""`manage.py token <user>`: a personal token for scripts."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from apps.accounts.services import create_token


class Command(BaseCommand):
    help = "Make a personal token and print it alone on stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active person called “{options['user']}”")
        token, secret = create_token(user, "manage.py token", by=user)
        print(f"token {token.pk} for {user.username}, until it is revoked in the profile", file=sys.stderr)
        self.stdout.write(secret)
