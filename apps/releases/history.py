"""Which version answered whom, with what share, at any moment of the past.

The audit log is the source: every change of the shares and every pin is an entry of its sealed chain, kept for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from apps.accounts.models import Team
from apps.core.models import AuditEntry
from apps.core.urns import urn
from apps.gateway.dataplane.routing import by_weight, point_of
from apps.gateway.dataplane.snapshot import Route
from apps.instances.models import Deployment, TrafficWeight
from apps.store.models import Subscription

if TYPE_CHECKING:
    from apps.catalog.models import Capability

WEIGHTS = "instances.weights.set"
PIN_SET, PIN_ENDED = "instances.pin.set", "instances.pin.ended"


@dataclass(frozen=True)
class Share:
    """One deployment's part of the calls, in percent."""

    deployment: int
    version: str
    percent: int


@dataclass(frozen=True)
class Moment:
    """How the calls were divided at a moment, and which version one caller got.

    `changed_at` is when the shares became so. `version` is empty when nothing took traffic, or when no caller was
    asked about; `pinned` when the caller stayed with a version of its own. `at_sites` are the sites whose callers had
    other shares; with a caller, `shares` are those of the caller's site.
    """

    at: datetime
    shares: list[Share]
    changed_at: datetime | None
    version: str = ""
    pinned: bool = False
    at_sites: dict[str, list[Share]] = field(default_factory=dict)


class Change(NamedTuple):
    """An entry of the audit log with the shares that it led to; `at_sites` are the sites with other ones."""

    entry: AuditEntry
    shares: list[Share]
    at_sites: dict[str, list[Share]]


def at_moment(capability: Capability, at: datetime, *, caller: str = "", end_user: str = "") -> Moment:
    """The shares at a moment. `caller` is the pool of a key, such as `subscription:7`; `end_user` what a system
    named in Atrium-Caller.
    """
    entry = _last(capability, at, action=WEIGHTS)
    if entry is None:
        return Moment(at, [], None)
    versions = _versions(capability)
    elsewhere = _at_sites(entry, versions)
    shares = _shares(entry, versions)
    if not caller or not shares:
        return Moment(at, shares, entry.at, at_sites=elsewhere)
    pin = _pin(capability, at, caller)
    if pin is not None:
        return Moment(at, shares, entry.at, pin, pinned=True, at_sites=elsewhere)
    shares = elsewhere.get(_site_of(caller, at), shares) if elsewhere else shares
    routes = [Route(str(share.deployment), share.version, share.percent) for share in shares]
    subject = f"{caller}/{end_user}" if end_user else caller
    route = by_weight(routes, point_of(subject, _salt(capability, entry)))
    return Moment(at, shares, entry.at, route.version if route else "", at_sites=elsewhere)


def changes(capability: Capability, limit: int = 200) -> list[Change]:
    """Every change of the shares, newest first."""
    entries = AuditEntry.objects.filter(urn=urn(capability), action=WEIGHTS).order_by("-pk")[:limit]
    versions = _versions(capability)
    return [Change(entry, _shares(entry, versions), _at_sites(entry, versions)) for entry in entries]


def _last(capability: Capability, at: datetime, **facts: Any) -> AuditEntry | None:
    return AuditEntry.objects.filter(urn=urn(capability), at__lte=at, **facts).order_by("-pk").first()


def _pin(capability: Capability, at: datetime, caller: str) -> str | None:
    """The version that a caller was pinned to, None without a pin in force."""
    last = _last(capability, at, action__in=[PIN_SET, PIN_ENDED], facts__caller=caller)
    if last is None or last.action != PIN_SET or datetime.fromisoformat(last.facts["until"]) <= at:
        return None
    return str(last.facts["version"])


def _versions(capability: Capability) -> dict[str, str]:
    rows = Deployment.objects.filter(capability=capability).values_list("pk", "version__number")
    return {str(pk): number for pk, number in rows}


def _shares(
    entry: AuditEntry, versions: dict[str, str], percents: dict[str, int] | None = None
) -> list[Share]:
    """In the order in which the gateway lays the shares end to end."""
    known = {**versions, **entry.facts.get("versions", {})}
    percents = entry.facts["after"] if percents is None else percents
    found = [Share(int(pk), known.get(pk, ""), percent) for pk, percent in percents.items()]
    return sorted(found, key=lambda share: share.deployment)


def _at_sites(entry: AuditEntry, versions: dict[str, str]) -> dict[str, list[Share]]:
    return {
        site: _shares(entry, versions, percents) for site, percents in entry.facts.get("at_sites", {}).items()
    }


def _site_of(caller: str, at: datetime) -> str:
    """The site at which a subscriber's team was at a moment, by the audit log."""
    word, _colon, number = caller.partition(":")
    if word != "subscription" or not number.isdecimal():
        return ""
    team = (
        Team.objects.select_related("site")
        .filter(pk__in=Subscription.objects.filter(pk=int(number)).values("team"))
        .first()
    )
    if team is None:
        return ""
    moves = AuditEntry.objects.filter(
        urn=urn(team), action__in=["accounts.team.created", "accounts.team.changed"]
    )
    then = moves.filter(at__lte=at).order_by("-pk").first()
    return str(then.facts["site"]) if then is not None else team.site.slug


def _salt(capability: Capability, entry: AuditEntry) -> str:
    """What decided who got which version; entries of the first releases of the portal do not have it."""
    if "salt" in entry.facts:
        return str(entry.facts["salt"])
    now = TrafficWeight.objects.filter(capability=capability).values_list("salt", flat=True).first()
    return now or capability.slug
