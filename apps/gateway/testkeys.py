"""Keys to test deployments: what instances asks for on its pages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.gateway.models import Grant
from apps.gateway.services import create_grant

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.instances.models import Deployment

LIFETIME = timedelta(days=1)
LIMITS = {"rate_per_s": 20, "burst": 40, "per_day": 20_000, "concurrent": 8}


@transaction.atomic
def make_test_key(deployment: Deployment, user: User) -> str:
    """A key of this person that reaches one test deployment for a day. The caller has asked the policy."""
    _grant, secret = create_grant(
        kind=Grant.Kind.TEST,
        capability=deployment.capability,
        team=deployment.capability.team,
        user=user,
        limits=LIMITS,
        scope=f"deployment:{deployment.pk}",
        expires_at=timezone.now() + LIFETIME,
        label=_("Test of deployment %(pk)d") % {"pk": deployment.pk},
        by=user,
    )
    return secret
