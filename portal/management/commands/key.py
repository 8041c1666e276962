"""`manage.py key <user> <capability>`: subscribes through the automatic plan and prints a fresh key, for scripts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import Team, User
from apps.accounts.policy import roles_of
from apps.catalog.models import Capability
from apps.core.errors import PortalError
from apps.store.models import Plan
from apps.store.policy import SUBSCRIBERS
from apps.store.selectors import teams_to_subscribe_for
from apps.store.services import issue_key, revoke_key, subscribe
from portal.samples.progress import where
from portal.samples.steps import unfinished

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from apps.store.models import Subscription

WAIT_S = 300
LABEL = "manage.py key"


class Command(BaseCommand):
    """The secret alone is the last line of stdout; everything else goes to stderr."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, and what for."""
        parser.add_argument("user")
        parser.add_argument("capability")

    def handle(self, *args: Any, **options: Any) -> None:
        """Waits up to five minutes for a sample that is still being made."""
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active person called “{options['user']}”")
        capability = self._capability(options["capability"])
        plan = Plan.objects.filter(
            capability=capability, status=Plan.Status.PUBLISHED, approval=Plan.Approval.AUTO, trial=False
        ).first()
        if plan is None:
            raise CommandError(f"“{capability.slug}” has no plan that is granted at once")
        try:
            subscription = subscribe(plan, _team_of(user), by=user, use_case=LABEL)
            _make_room(subscription, user)
            _key, secret = issue_key(subscription, by=user, label=LABEL)
        except PortalError as error:
            raise CommandError(error.message) from error
        print(f"a key of subscription {subscription.pk} to {capability.slug} ({plan.name})", file=sys.stderr)
        self.stdout.write(secret)

    def _capability(self, slug: str) -> Capability:
        deadline, told = time.monotonic() + WAIT_S, False
        while True:
            found = (
                Capability.objects.select_related("team")
                .filter(slug=slug, published_at__isnull=False)
                .first()
            )
            if found is not None:
                return found
            if slug not in {sample.slug for sample in unfinished()}:
                raise CommandError(f"there is no published capability “{slug}”")
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the sample “{slug}” is still being made after {WAIT_S} s: {where(slug)}; look at /store/"
                )
            if not told:
                print(f"the sample “{slug}” is still being made, waiting …", file=sys.stderr)
                told = True
            time.sleep(0.5)


def _team_of(user: User) -> Team:
    teams = list(teams_to_subscribe_for(user))
    own = [team for team in teams if roles_of(user, team) & set(SUBSCRIBERS)] or teams
    if not own:
        raise CommandError(f"“{user.username}” is in no team that could subscribe")
    return own[0]


def _make_room(subscription: Subscription, user: User) -> None:
    """Scripts ask again and again: the oldest of their own keys makes room for the next."""
    living = subscription.keys.select_related("grant", "subscription__team").filter(grant__status="active")
    if living.count() >= 10:
        oldest = living.filter(grant__label=LABEL).order_by("pk").first()
        if oldest is not None:
            revoke_key(oldest, by=user)
