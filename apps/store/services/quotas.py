"""Telling teams that a quota is used up: from the refusals of the last hours, so that what is well costs nothing."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.core import events
from apps.gateway import selectors as gateway
from apps.store.models import Subscription
from apps.store.services.following import told_before
from apps.store.services.subscriptions import tell_team
from apps.store.usage_report import Quota, quotas_of

_LOOKED_BACK = timedelta(hours=2)


def tell_of_quotas() -> int:
    """Tell the team of each subscription that was refused lately for want of quota, once for each day or month.

    Returns how many were told.
    """
    grants = gateway.refused_for_quota(timezone.now() - _LOOKED_BACK)
    refused = Subscription.objects.filter(status=Subscription.Status.GRANTED, keys__grant__in=grants)
    return sum(
        _tell(subscription, quota)
        for subscription in refused.select_related("capability", "team", "plan").distinct().order_by("pk")
        for quota in quotas_of(subscription)
        if quota.exhausted
    )


@transaction.atomic
def _tell(subscription: Subscription, quota: Quota) -> bool:
    if told_before(f"quota:{subscription.pk}:{quota.name}:{quota.start:%Y%m%d}:{quota.limit}"):
        return False

    def title() -> str:
        facts = {"name": subscription.capability.name, "limit": quota.limit}
        if quota.name == "per_day":
            return _("%(name)s: the %(limit)d calls of today are used up") % facts
        return _("%(name)s: the %(limit)d calls of this month are used up") % facts

    def body() -> str:
        until = date_format(timezone.localtime(quota.end), "Y-m-d H:i")
        return _("Calls are refused until %(until)s. A larger plan takes over at once.") % {"until": until}

    tell_team(subscription, title, by=None, body=body)
    spent = {"limit": quota.name, "allowed": quota.limit, "used": quota.used}
    moments = {"since": quota.start.isoformat(), "until": quota.end.isoformat()}
    events.publish("store.subscription_quota_exhausted", subscription.pk, **spent, **moments)
    return True
