"""What happens to the keys of a subscription."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.store.models import Subscription, SubscriptionKey
from apps.store.policy import may_use_keys
from apps.store.selectors import scope_of

if TYPE_CHECKING:
    from apps.accounts.models import User

OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)
MOST_KEYS = 10


def live_keys(subscription: Subscription) -> list[SubscriptionKey]:
    """The keys that were not revoked."""
    keys = subscription.keys.select_related("grant").exclude(grant__status=Grant.Status.REVOKED)
    return list(keys)


@transaction.atomic
def issue_key(
    subscription: Subscription,
    *,
    by: User,
    label: str = "",
    once: str = "",
    addresses: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> tuple[SubscriptionKey, str]:
    """Make a key; the secret is returned this once and kept nowhere.

    `once` is a word that the form carries: a second click with the same word makes no second key (Conflict).
    With `addresses` it is refused from any other: Raises Invalid naming one that is no address or network.
    It works until `expires_at`, at most as long as the subscription, which is also what holds without one.
    """
    require(may_use_keys(by, subscription))
    Subscription.objects.select_for_update().get(pk=subscription.pk)
    _require_granted(subscription)
    if once and subscription.keys.filter(once=once).exists():
        raise Conflict(
            _(
                "The key was made by your first click, and is shown only there. Make another one if you lost it."
            )
        )
    if len(live_keys(subscription)) >= MOST_KEYS:
        raise Conflict(
            _("The subscription has %(most)d keys, which is the most. Revoke one that is not used.")
            % {"most": MOST_KEYS}
        )
    end = _checked_end(subscription, expires_at) or subscription.expires_at
    return _issue(subscription, by=by, label=label, once=once or None, addresses=addresses, expires_at=end)


def _checked_end(subscription: Subscription, expires_at: datetime | None) -> datetime | None:
    """The end that was chosen for a key. Raises Invalid where it has passed, or the subscription ends before."""
    if expires_at is None:
        return None
    if expires_at <= timezone.now():
        raise Invalid(
            _("A key cannot end in the past; choose a later end."), fields={"expires_at": _("has passed")}
        )
    subscription.refresh_from_db(fields=["expires_at"])
    last = subscription.expires_at
    if last is not None and expires_at > last:
        raise Invalid(
            _("The subscription ends on %(end)s; a key ends then or earlier.")
            % {"end": date_format(timezone.localtime(last), "DATETIME_FORMAT")},
            fields={"expires_at": _("is after the subscription's end")},
        )
    return expires_at


def _require_granted(subscription: Subscription) -> None:
    subscription.refresh_from_db(fields=["status"])
    if subscription.status != Subscription.Status.GRANTED:
        raise Conflict(
            _("A key needs a granted subscription; this one is: %(status)s.")
            % {"status": subscription.get_status_display()}
        )


def _issue(
    subscription: Subscription,
    *,
    by: User,
    label: str,
    once: str | None,
    addresses: Iterable[str],
    expires_at: datetime | None,
) -> tuple[SubscriptionKey, str]:
    grant, secret = gateway.create_grant(
        kind=Grant.Kind.SUBSCRIPTION,
        capability=subscription.capability,
        team=subscription.team,
        user=by,
        pool=subscription.pool,
        limits=subscription.plan.limits,
        scope=scope_of(subscription),
        expires_at=expires_at,
        label=label.strip()[:80],
        addresses=addresses,
        by=by,
    )
    key = SubscriptionKey.objects.create(subscription=subscription, grant=grant, created_by=by, once=once)
    return key, secret


@transaction.atomic
def rotate_key(
    key: SubscriptionKey, *, by: User, overlap: timedelta = OVERLAP, expires_at: datetime | None = None
) -> tuple[SubscriptionKey, str]:
    """Make the successor of a key. The old one works for `overlap` more; both share the same quota.

    The successor ends at `expires_at`, without one when the old key would have. Raises Invalid for an overlap
    outside of 0 to 30 days, an end that has passed or lies after the subscription's.
    """
    subscription = key.subscription
    require(may_use_keys(by, subscription))
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Invalid(
            _("The old key can work on for 0 to %(days)d days.") % {"days": LONGEST_OVERLAP.days},
            fields={"overlap_hours": _("is outside of that")},
        )
    Subscription.objects.select_for_update().get(pk=subscription.pk)
    _require_granted(subscription)
    key.refresh_from_db()
    if key.replaced_by_id is not None or key.grant.status != Grant.Status.ACTIVE:
        raise Conflict(_("This key was rotated or revoked already. Look at the list of keys again."))
    end = _checked_end(subscription, expires_at)
    grant, secret = gateway.rotate_grant(key.grant, by=by, overlap=overlap, expires_at=end)
    successor = SubscriptionKey.objects.create(subscription=subscription, grant=grant, created_by=by)
    SubscriptionKey.objects.filter(pk=key.pk).update(replaced_by=successor)
    return successor, secret


@transaction.atomic
def revoke_key(key: SubscriptionKey, *, by: User) -> None:
    """Refuse a key for good, within seconds. Revoking it again changes nothing."""
    require(may_use_keys(by, key.subscription))
    key.grant.refresh_from_db()
    if key.grant.status != Grant.Status.REVOKED:
        gateway.revoke_grant(key.grant, by=by)
