"""What webhooks of subscribers and providers are told: subscriptions, versions, the end of a capability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Capability, Version
from apps.instances.models import Deployment
from apps.requests import webhooks
from apps.store.models import Plan, Subscription, Succession

EVENTS = {
    "subscription.requested": _("A subscription is asked for"),
    "subscription.granted": _("A subscription is granted"),
    "subscription.rejected": _("A subscription is rejected"),
    "subscription.changed": _("A subscription is renewed or gets another plan"),
    "subscription.suspended": _("A subscription is suspended"),
    "subscription.resumed": _("A subscription is resumed"),
    "subscription.ended": _("A subscription has ended"),
    "subscription.expiring": _("A subscription ends in 90, 45, 30 or 7 days"),
    "subscription.quota_exhausted": _("A subscription's quota of the day or the month is used up"),
    "plan.withdrawn": _("A plan is withdrawn, or another one takes its place"),
    "version.live": _("A version starts to answer"),
    "version.deprecated": _("A version is deprecated"),
    "version.retired": _("A version is retired"),
    "capability.deprecated": _("A capability is deprecated"),
}


_SUBSCRIPTION = {
    "subscription": 7,
    "capability": "digits",
    "team": "transport",
    "plan": "standard",
    "status": "granted",
    "reason": "",
    "expires_at": "2027-11-28T08:00:00+00:00",
}
_VERSION = {"capability": "digits", "version": "1.0.0"}
EXAMPLES: dict[str, dict[str, Any]] = {
    **{name: _SUBSCRIPTION for name in EVENTS if name.startswith("subscription.")},
    "subscription.quota_exhausted": _SUBSCRIPTION
    | {"limit": "per_day", "allowed": 1000, "used": 1000, "until": "2026-11-29T00:00:00+00:00"},
    "plan.withdrawn": {
        "capability": "digits",
        "plan": "standard",
        "limits": {"per_day": 1000},
        "successor": {
            "id": 9,
            "plan": "standard-2",
            "limits": {"per_day": 800},
            "stricter": True,
            "needs_approval": False,
            "moves_on": "2026-12-20",
        },
        "subscription": 7,
    },
    "version.live": _VERSION | {"digest": "9f86d0…", "changelog": "Reads tilted digits, too."},
    "version.deprecated": _VERSION
    | {"note": "Inputs are scaled now.", "retires_on": "2027-01-31", "successor": "1.1.0"},
    "version.retired": _VERSION,
    "capability.deprecated": {"capability": "digits", "note": "Use digits-2.", "retires_on": "2027-01-31"},
}


def register() -> None:
    """Offer the events; called once when the app is ready."""
    for name, label in EVENTS.items():
        webhooks.register_event(name, label, EXAMPLES[name])


def tell_of_subscription(pk: int, what: str, moment: str = "") -> None:
    """Tell both sides' webhooks. `moment` tells two of the same kind apart."""
    found = Subscription.objects.select_related("plan", "capability", "team").filter(pk=pk).first()
    if found is not None:
        _emit(found, f"subscription.{what}", f"subscription.{what}:{pk}:{moment}", _facts(found))


def tell_of_quota(pk: int, told: Mapping[str, Any]) -> None:
    """Tell both sides' webhooks, once for each day or month, that nothing is left of it."""
    found = Subscription.objects.select_related("plan", "capability", "team").filter(pk=pk).first()
    if found is not None:
        event = "subscription.quota_exhausted"
        spent = {name: told[name] for name in ("limit", "allowed", "used", "until")}
        _emit(
            found,
            event,
            f"{event}:{pk}:{told['limit']}:{told['since']}:{told['allowed']}",
            _facts(found) | spent,
        )


def _facts(found: Subscription) -> dict[str, Any]:
    return {
        "subscription": found.pk,
        "capability": found.capability.slug,
        "team": found.team.slug,
        "plan": found.plan.name,
        "status": found.status,
        "reason": found.status_reason,
        "expires_at": found.expires_at.isoformat() if found.expires_at else None,
    }


def _emit(subscription: Subscription, event: str, key: str, data: dict[str, Any]) -> None:
    webhooks.emit({subscription.team_id, subscription.capability.team_id}, event, key, data)


def tell_of_withdrawal(plan_id: int) -> None:
    """Tell the webhooks of all who hold a withdrawn plan, once for each time that its successor is named."""
    plan = Plan.objects.select_related("succession__successor", "capability").get(pk=plan_id)
    named: Succession | None = getattr(plan, "succession", None)
    data: dict[str, Any] = {
        "capability": plan.capability.slug,
        "plan": plan.name,
        "limits": plan.limits,
        "successor": _successor(named) if named else None,
    }
    moment = named.named_at.isoformat() if named else ""
    held = Subscription.objects.filter(plan=plan, status__in=Subscription.HELD)
    for pk, team in held.order_by("pk").values_list("pk", "team").iterator(500):
        key = f"plan.withdrawn:{pk}:{plan.pk}:{moment}"
        webhooks.emit({team}, "plan.withdrawn", key, data | {"subscription": pk})


def _successor(named: Succession) -> dict[str, Any]:
    """The plan in place of another: its limits, whether they are less of anything, and when subscribers are moved."""
    plan = named.successor
    return {
        "id": plan.pk,
        "plan": plan.name,
        "limits": plan.limits,
        "stricter": named.stricter,
        "needs_approval": named.asks_more,
        "moves_on": named.moves_on.isoformat() if named.moves_on else None,
    }


def teams_of(capability: Capability) -> set[int]:
    """Who hears of a capability: its own team, and those that subscribe to it."""
    living = Subscription.objects.filter(capability=capability, status__in=Subscription.OPEN)
    return {capability.team_id, *living.values_list("team", flat=True)}


def tell_of_versions(capability_id: int, deployments: Iterable[int]) -> None:
    """Tell provider's and subscribers' webhooks, once for each version, that it answers now."""
    capability = Capability.objects.get(pk=capability_id)
    running = Deployment.objects.filter(pk__in=list(deployments), capability=capability).values("version")
    for version in Version.objects.filter(pk__in=running):
        data = {"capability": capability.slug, "version": version.number, "digest": version.digest}
        data["changelog"] = version.changelog[:2000]
        webhooks.emit(teams_of(capability), "version.live", f"version.live:{version.pk}", data)


def tell_of_deprecated_version(version_id: int) -> None:
    """Tell provider's and subscribers' webhooks that a version will go, once for each day and successor named."""
    found = Version.objects.select_related("capability", "successor").get(pk=version_id)
    if found.deprecated_at is None:
        return
    data: dict[str, Any] = {
        "capability": found.capability.slug,
        "version": found.number,
        "note": found.deprecation_note,
        "retires_on": found.retires_on.isoformat() if found.retires_on else None,
        "successor": found.heir.number if found.heir else None,
    }
    moment = f"{found.deprecated_at.isoformat()}:{data['retires_on']}:{found.successor_id}"
    key = f"version.deprecated:{found.pk}:{moment}"
    webhooks.emit(teams_of(found.capability), "version.deprecated", key, data)


def tell_of_retired_version(version_id: int) -> None:
    """Tell provider's and subscribers' webhooks that a version is gone."""
    found = Version.objects.select_related("capability").get(pk=version_id)
    data = {"capability": found.capability.slug, "version": found.number}
    webhooks.emit(teams_of(found.capability), "version.retired", f"version.retired:{found.pk}", data)


def tell_of_deprecation(capability_id: int) -> None:
    """Tell provider's and subscribers' webhooks that a capability will go."""
    found = Capability.objects.get(pk=capability_id)
    if found.status != Capability.Status.DEPRECATED or found.deprecated_at is None:
        return
    data: dict[str, Any] = {
        "capability": found.slug,
        "note": found.deprecation_note,
        "retires_on": found.retires_on.isoformat() if found.retires_on else None,
    }
    key = f"capability.deprecated:{found.pk}:{found.deprecated_at.isoformat()}:{data['retires_on']}"
    webhooks.emit(teams_of(found), "capability.deprecated", key, data)
