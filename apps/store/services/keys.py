"""What happens to the keys of a subscription."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core.errors import Conflict
from apps.core.policy import require
from apps.gateway import services as gateway
from apps.gateway.models import Grant
from apps.store.models import Subscription, SubscriptionKey
from apps.store.policy import may_use_keys
from apps.store.selectors import scope_of

if TYPE_CHECKING:
    from apps.accounts.models import User

OVERLAP = timedelta(hours=24)
MOST_KEYS = 10


def live_keys(subscription: Subscription) -> list[SubscriptionKey]:
    """The keys that were not revoked."""
    keys = subscription.keys.select_related("grant").exclude(grant__status=Grant.Status.REVOKED)
    return list(keys)


@transaction.atomic
def issue_key(
    subscription: Subscription, *, by: User, label: str = "", once: str = "", addresses: Iterable[str] = ()
) -> tuple[SubscriptionKey, str]:
    """Make a key; the secret is returned this once and kept nowhere.

    `once` is a word that the form carries: a second click with the same word makes no second key (Conflict).
    With `addresses` it is refused from any other: Raises Invalid naming one that is no address or network.
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
    return _issue(subscription, by=by, label=label, once=once or None, addresses=addresses)


def _require_granted(subscription: Subscription) -> None:
    subscription.refresh_from_db(fields=["status"])
    if subscription.status != Subscription.Status.GRANTED:
        raise Conflict(
            _("A key needs a granted subscription; this one is: %(status)s.")
            % {"status": subscription.get_status_display()}
        )


def _issue(
    subscription: Subscription, *, by: User, label: str, once: str | None, addresses: Iterable[str]
) -> tuple[SubscriptionKey, str]:
    grant, secret = gateway.create_grant(
        kind=Grant.Kind.SUBSCRIPTION,
        capability=subscription.capability,
        team=subscription.team,
        user=by,
        pool=subscription.pool,
        limits=subscription.plan.limits,
        scope=scope_of(subscription),
        expires_at=subscription.expires_at,
        label=label.strip()[:80],
        addresses=addresses,
        by=by,
    )
    key = SubscriptionKey.objects.create(subscription=subscription, grant=grant, created_by=by, once=once)
    return key, secret


@transaction.atomic
def rotate_key(
    key: SubscriptionKey, *, by: User, overlap: timedelta = OVERLAP
) -> tuple[SubscriptionKey, str]:
    """Make the successor of a key. The old one works for `overlap` more; both share the same quota."""
    subscription = key.subscription
    require(may_use_keys(by, subscription))
    Subscription.objects.select_for_update().get(pk=subscription.pk)
    _require_granted(subscription)
    key.refresh_from_db()
    if key.replaced_by_id is not None or key.grant.status != Grant.Status.ACTIVE:
        raise Conflict(_("This key was rotated or revoked already. Look at the list of keys again."))
    grant, secret = gateway.rotate_grant(key.grant, by=by, overlap=overlap)
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
