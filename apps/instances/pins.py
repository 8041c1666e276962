"""Callers that stay with one deployment for a limited time, whatever the shares say."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.catalog.models import Capability
from apps.core import audit
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.instances import routes
from apps.instances.guard import may_take_production_traffic
from apps.instances.models import Deployment, Pin

if TYPE_CHECKING:
    from apps.accounts.models import User


@transaction.atomic
def pin_caller(
    capability: Capability, caller: str, deployment: Deployment, *, until: datetime, by: User | None
) -> Pin:
    """Send a caller's production calls to one deployment until a moment. A second pin replaces the first.

    `caller` is the pool of the caller's keys. The guard is asked as for any share of the traffic; whoever calls
    has asked its own policy. Raises NotAllowed, Invalid, Conflict.
    """
    Capability.objects.select_for_update().get(pk=capability.pk)
    _check(capability, deployment, until)
    pin, _created = Pin.objects.update_or_create(
        capability=capability,
        caller=caller,
        defaults={"deployment": deployment, "until": until, "set_by": by},
    )
    audit.record(
        "instances.pin.set",
        capability,
        by=by,
        caller=caller,
        deployment=deployment.pk,
        version=deployment.version.number,
        until=until,
    )
    routes.changed(capability.pk)
    return pin


def _check(capability: Capability, deployment: Deployment, until: datetime) -> None:
    if deployment.capability_id != capability.pk or deployment.kind != Deployment.Kind.PRODUCTION:
        raise Invalid(
            _("Deployment %(pk)d is no production deployment of this capability.") % {"pk": deployment.pk},
            fields={"deployment": str(deployment.pk)},
        )
    if until <= timezone.now():
        raise Invalid(_("A pin ends in the future."), fields={"until": until.isoformat()})
    if deployment.desired != Deployment.Desired.RUNNING:
        raise Conflict(_("Deployment %(pk)d is stopped. Start it first.") % {"pk": deployment.pk})
    verdict = may_take_production_traffic(deployment.version)
    if not verdict:
        raise NotAllowed(verdict.reason)


@transaction.atomic
def end_pins(
    capability: Capability, *, by: User | None, caller: str = "", deployment: int | None = None
) -> int:
    """Let a caller, or all who are pinned to a deployment, follow the shares again. Returns how many."""
    found = Pin.objects.select_for_update().filter(capability=capability)
    if caller:
        found = found.filter(caller=caller)
    if deployment is not None:
        found = found.filter(deployment=deployment)
    pins = list(found)
    for pin in pins:
        _end(pin, by)
    return len(pins)


@transaction.atomic
def end_expired(now: datetime) -> int:
    """Remove the pins whose time is over; the gateway has ignored them since that moment."""
    pins = list(Pin.objects.select_for_update(skip_locked=True).filter(until__lte=now)[:500])
    for pin in pins:
        _end(pin, None)
    return len(pins)


def _end(pin: Pin, by: User | None) -> None:
    audit.record(
        "instances.pin.ended", pin.capability, by=by, caller=pin.caller, deployment=pin.deployment_id
    )
    routes.changed(pin.capability_id)
    pin.delete()
