"""The grant with which a person tries a capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from apps.catalog.policy import may_build
from apps.core import secrets
from apps.core.policy import require
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.store.limits import Limits
from apps.store.models import Plan
from apps.store.policy import may_try

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.instances.models import Deployment

TRIAL_LIMITS = Limits(rate_per_s=2, burst=5, per_day=100, concurrent=2)


def trial_limits(capability: Capability) -> Limits:
    """What one person may try: the published trial plan's limits, else the portal's."""
    plan = Plan.objects.filter(capability=capability, trial=True, status=Plan.Status.PUBLISHED).first()
    return plan.allowed if plan else TRIAL_LIMITS


@transaction.atomic
def trial_grant(
    user: User, capability: Capability, deployment: Deployment | None = None
) -> tuple[Grant, str]:
    """The person's grant for Try it, made at first use, with its key, which is derived at need and stored nowhere.

    With a `deployment` it reaches that one, which only those may who build the capability. One quota for all.
    """
    require(may_try(user, capability) if deployment is None else may_build(user, capability))
    limits = trial_limits(capability).to_json()
    scope = f"deployment:{deployment.pk}" if deployment else Grant.PRODUCTION
    mark = ",".join(f"{name}={value}" for name, value in sorted(limits.items()))
    mark += f":{scope}" if deployment else ""
    secret = "atk_" + secrets.derived(f"trial:{user.pk}:{capability.pk}:{mark}")
    grant = Grant.objects.filter(key_hash=secrets.digest(secret)).first()
    if grant is not None:
        return grant, secret
    return gateway.create_grant(
        kind=Grant.Kind.TRIAL,
        capability=capability,
        team=capability.team,
        user=user,
        pool=f"trial:{user.pk}:{capability.pk}",
        limits=limits,
        label="Try it",
        scope=scope,
        by=user,
        secret=secret,
    )
