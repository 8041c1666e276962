"""What the store does in the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.catalog.models import Version
from apps.core import background
from apps.gateway.services import announce_capability
from apps.store import announcing, services, standing
from apps.store.models import Subscription

EVERYTHING = 100
"""The share of a version that answers all calls."""


@background.every(10, "store.expire_due")
def expire_due() -> None:
    """End subscriptions whose time is over. Their keys carry the same end, so calls stop on the second."""
    services.expire_due()


@background.every(15, "store.settle_copies")
def settle_copies() -> None:
    """Make the copies at other sites follow their terms, their deployments and the signature."""
    services.settle_copies()


@background.every(3600, "store.tell_of_ends")
def tell_of_ends() -> None:
    """Tell teams in time that a subscription ends."""
    services.tell_of_ends()


@background.every(300, "store.tell_of_quotas")
def tell_of_quotas() -> None:
    """Tell teams that the quota of a day or a month is used up."""
    services.tell_of_quotas()


@background.every(60, "store.move_subscribers")
def move_subscribers() -> None:
    """Move the subscribers of withdrawn plans to the plans in their place, when the day has come."""
    services.move_due()


@background.every(60, "store.refresh_standings")
def refresh_standings() -> None:
    """Compute what the store sorts and badges by, for what has none yet and what was computed longest ago."""
    standing.refresh_oldest()


def _capability_changed(key: str, facts: dict[str, Any]) -> None:
    standing.refresh([int(key)])


def _version_changed(key: str, facts: dict[str, Any]) -> None:
    standing.refresh(Version.objects.filter(pk=key).values_list("capability", flat=True))


def _version_retired(key: str, facts: dict[str, Any]) -> None:
    for capability in Version.objects.filter(pk=key).values_list("capability", flat=True):
        announce_capability(capability)  # answers of those that it was to follow link to it no longer
    announcing.tell_of_retired_version(int(key))


def _subscription(what: str) -> Callable[[str, dict[str, Any]], None]:
    def told(key: str, facts: dict[str, Any]) -> None:
        standing.refresh(Subscription.objects.filter(pk=key).values_list("capability", flat=True))
        services.settle_copies(subscription=int(key))
        announcing.tell_of_subscription(int(key), what, str(facts.get("at", "")))

    return told


def _quota_exhausted(key: str, facts: dict[str, Any]) -> None:
    announcing.tell_of_quota(int(key), facts)


def _weights_changed(key: str, facts: dict[str, Any]) -> None:
    standing.refresh([int(key)])
    after = facts.get("after", {})
    deployments = [int(pk) for pk, weight in after.items() if weight == EVERYTHING]  # not while in gray
    services.tell_of_versions(int(key), deployments)
    announcing.tell_of_versions(int(key), deployments)


def _deprecated(key: str, facts: dict[str, Any]) -> None:
    standing.refresh([int(key)])
    announce_capability(int(key))  # answers carry Deprecation and Sunset from now on
    services.tell_of_deprecation(int(key))
    announcing.tell_of_deprecation(int(key))


def _version_deprecated(key: str, facts: dict[str, Any]) -> None:
    for capability in Version.objects.filter(pk=key).values_list("capability", flat=True):
        announce_capability(capability)
    services.tell_of_deprecated_version(int(key))
    announcing.tell_of_deprecated_version(int(key))


def _published(key: str, facts: dict[str, Any]) -> None:
    standing.refresh([int(key)])
    announce_capability(int(key))
    services.tell_of_publication(int(key))


def _plan_withdrawn(key: str, facts: dict[str, Any]) -> None:
    services.tell_of_withdrawal(int(key))
    announcing.tell_of_withdrawal(int(key))


def _job_finished(key: str, facts: dict[str, Any]) -> None:
    services.end_batch(int(key))


def _deployment_changed(key: str, facts: dict[str, Any]) -> None:
    services.settle_copies(deployment=int(key))


_SUBSCRIPTION_EVENTS = (
    *("requested", "granted", "rejected", "changed"),
    *("suspended", "resumed", "expiring", "ended"),
)

HANDLERS = (
    ("compute.job_finished", _job_finished),
    ("catalog.capability_published", _published),
    ("catalog.capability_changed", _capability_changed),
    ("catalog.capability_deprecated", _deprecated),
    ("catalog.version_deprecated", _version_deprecated),
    ("catalog.version_packaged", _version_changed),
    ("catalog.version_retired", _version_changed),
    ("catalog.version_retired", _version_retired),
    ("store.plan_withdrawn", _plan_withdrawn),
    ("store.subscription_quota_exhausted", _quota_exhausted),
    ("instances.weights_changed", _weights_changed),
    ("instances.deployment_ready", _deployment_changed),
    ("instances.deployment_stopping", _deployment_changed),
    *((f"store.subscription_{what}", _subscription(what)) for what in _SUBSCRIPTION_EVENTS),
)
"""Events of this app and those below, with who listens."""
