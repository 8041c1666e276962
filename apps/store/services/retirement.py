"""The end of a capability: only when nobody calls it any more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.catalog.models import Capability
from apps.catalog.uses import FEWEST_DAYS, MOST_DAYS
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.gateway.services import announce_capability
from apps.store.models import Subscription
from apps.store.policy import may_offer
from apps.store.services.subscriptions import end_subscription
from apps.store.usage_report import SPANS, Span, callers

if TYPE_CHECKING:
    from apps.accounts.models import User


@transaction.atomic
def retire_capability(capability: Capability, *, quiet_days: int, by: User) -> None:
    """Take a deprecated capability away for good. Its subscriptions end, its name answers 404 within seconds.

    Raises Invalid for a time outside of 1 to 90 days, Conflict naming who called it within that time.
    """
    require(may_offer(by, capability))
    if not FEWEST_DAYS <= quiet_days <= MOST_DAYS:
        raise Invalid(
            _("Choose %(low)d to %(high)d days without calls.") % {"low": FEWEST_DAYS, "high": MOST_DAYS},
            fields={"quiet_days": str(quiet_days)},
        )
    if capability.status != Capability.Status.DEPRECATED:
        raise Conflict(_("Deprecate it first, so that its callers are told."))
    # Usage is kept by the hour: the hour in which the time began counts as a whole.
    span = Span("quiet", "", timedelta(days=quiet_days, hours=1), SPANS[0].period)
    calling = callers(capability, span, tests=False)
    if calling:
        names = ", ".join(sorted({f"{caller.team} ({caller.calls})" for caller in calling})[:5])
        raise Conflict(
            _(
                "It was called within the last %(days)d days: %(names)s. It can go when nobody calls it any more."
            )
            % {"days": quiet_days, "names": names}
        )
    living = Subscription.objects.filter(capability=capability, status__in=Subscription.OPEN)
    for subscription in living.select_related("ticket", "plan"):
        end_subscription(subscription, by=by, reason=_("The capability was retired."))
    Capability.lifecycle.move(capability, Capability.Status.RETIRED, by=by, retires_on=timezone.localdate())
    announce_capability(capability.pk)
