"""Builds the picture of keys and routes that the data plane acts on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from apps.catalog.models import Capability, Version
from apps.gateway import pictured
from apps.gateway.models import Grant
from apps.gateway.sealed import public_keys, rules_of
from apps.instances.selectors import living_deployments, living_pins, shadows, weights

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.instances.models import Deployment, TrafficWeight

FORGET_EXPIRED = timedelta(days=30)


def next_revision() -> int:
    """A number above all that were given out before. Taken before the rows are read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('gateway_revision')")
        return int(cursor.fetchone()[0])


@dataclass(frozen=True)
class Part:
    """The keys, by SHA-256, and the capabilities, by id, that are read again."""

    keys: frozenset[str]
    capabilities: frozenset[int]


def build(part: Part | None = None) -> dict[str, Any]:
    """Keys, capabilities and deployments as of now, or a part of them, in one consistent read; no revision."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return picture(part)


def picture(part: Part | None = None) -> dict[str, Any]:
    """The same within the caller's transaction. A part also names the `slugs` that it covers."""
    grants = Grant.objects.all() if part is None else Grant.objects.filter(key_hash__in=part.keys)
    capabilities = Capability.objects.all()
    deployments, shares = living_deployments().select_related("version__successor"), weights()
    if part is not None:
        capabilities = capabilities.filter(pk__in=part.capabilities)
        deployments = deployments.filter(capability__in=part.capabilities)
        shares = shares.filter(capability__in=part.capabilities)
    rows = list(deployments)
    found = {
        "keys": _keys(grants),
        "capabilities": _capabilities(capabilities, rows, list(shares)),
        "deployments": {str(row.pk): _deployment(row) for row in rows},
    }
    return found if part is None else {**found, "slugs": set(capabilities.values_list("slug", flat=True))}


def _keys(grants: QuerySet[Grant]) -> dict[str, Any]:
    rows = (
        grants.exclude(status=Grant.Status.REVOKED)
        .exclude(expires_at__lt=timezone.now() - FORGET_EXPIRED)
        .values_list(
            "key_hash",
            "id",
            "pool",
            "capability__slug",
            "scope",
            "limits",
            "expires_at",
            "status",
            "addresses",
            "team__site__slug",
        )
    )
    return {digest: _key(*row) for digest, *row in rows.iterator(5000)}


def _key(
    pk: int,
    pool: str,
    slug: str,
    scope: str,
    limits: dict[str, Any],
    expires: datetime | None,
    status: str,
    addresses: list[str],
    site: str | None,
) -> dict[str, Any]:
    """What the data plane takes for granted is left out: there may be 100,000 of these."""
    told: dict[str, Any] = {"grant": pk, "pool": pool, "capability": slug}
    if limits:
        told["limits"] = limits
    if scope != Grant.PRODUCTION:
        told["scope"] = scope
    if expires:
        told["expires"] = expires.timestamp()
    if status != Grant.Status.ACTIVE:
        told["status"] = status
    if addresses:
        told["addresses"] = addresses
    if site:
        told["site"] = site
    return told


def _capabilities(
    capabilities: QuerySet[Capability], deployments: list[Deployment], weights: list[TrafficWeight]
) -> dict[str, Any]:
    by_capability: dict[int, list[TrafficWeight]] = {}
    for weight in weights:
        by_capability.setdefault(weight.capability_id, []).append(weight)
    pinned: dict[int, dict[str, Any]] = {}
    for pin in living_pins():
        told = [str(pin.deployment_id), int(pin.until.timestamp())]
        pinned.setdefault(pin.capability_id, {})[pin.caller] = told
    mirrors = {shadow.capability_id: shadow for shadow in shadows()}
    found = capabilities.exclude(status=Capability.Status.RETIRED).values_list(
        "id", "slug", "status", "deprecated_at", "retires_on"
    )
    seals = public_keys({row.capability_id for row in deployments})
    more = pictured.added({pk for pk, *_rest in found})
    pictures: dict[str, Any] = {}
    for pk, slug, status, deprecated_at, retires_on in found:
        rows = by_capability.get(pk, [])
        pictures[slug] = {
            "id": pk,
            "routes": [
                {
                    "deployment": str(row.deployment_id),
                    "version": row.deployment.version.number,
                    "weight": row.weight,
                }
                for row in rows
            ],
            "salt": rows[0].salt if rows else slug,
        }
        if sites := {site for row in rows for site in row.at_sites}:
            pictures[slug]["sites"] = {
                site: [row.at_sites.get(site, row.weight) for row in rows] for site in sorted(sites)
            }
        if status == Capability.Status.DEPRECATED and deprecated_at:
            pictures[slug] |= _end_of_life(deprecated_at, retires_on)
        if pk in pinned:
            pictures[slug]["pins"] = pinned[pk]
        if pk in seals:
            pictures[slug]["seal"] = seals[pk]
        pictures[slug] |= more.get(pk, {})
        if (mirror := mirrors.get(pk)) is not None:
            pictures[slug]["shadow"] = [
                {
                    "deployment": str(mirror.deployment_id),
                    "version": mirror.deployment.version.number,
                    "weight": mirror.percent,
                }
            ]
    return pictures


def _end_of_life(deprecated_at: datetime, retires_on: date | None) -> dict[str, Any]:
    """Since when callers are told to leave, and the midnight (UTC) from which on nobody answers, as seconds."""
    told: dict[str, Any] = {"deprecated": int(deprecated_at.timestamp())}
    if retires_on:
        told["sunset"] = int(datetime.combine(retires_on, time(), UTC).timestamp())
    return told


def _leaving(version: Version, capability: Capability) -> dict[str, Any]:
    """What callers of a deprecated version are told; where all of the capability goes earlier, that day."""
    if version.deprecated_at is None:
        return {}
    told = _end_of_life(version.deprecated_at, version.retires_on)
    if capability.status == Capability.Status.DEPRECATED and capability.deprecated_at:
        whole = _end_of_life(capability.deprecated_at, capability.retires_on)
        told |= {name: min(value, told.get(name, value)) for name, value in whole.items()}
    if version.heir is not None:
        told["successor"] = version.heir.number
    return told


def _deployment(row: Deployment) -> dict[str, Any]:
    sensitive = rules_of(row.version.signature)
    return (
        ({"sensitive": sensitive} if sensitive else {})
        | _leaving(row.version, row.capability)
        | {
            "capability": row.capability.slug,
            "version": row.version.number,
            "digest": row.version.digest,
            "kind": row.kind,
            "metadata": metadata_of(row.version),
            "replicas": [
                {"id": replica.pk, "socket": replica.socket}
                for replica in row.replica_set.all()
                if replica.status == replica.Status.READY and replica.socket
            ],
        }
    )


def metadata_of(version: Version) -> dict[str, Any]:
    """The part of the protocol's model metadata that comes from the signature."""
    signature = version.signature or {}
    return {
        "platform": f"{version.framework}_{version.runtime}",
        "inputs": [_tensor(tensor) for tensor in signature.get("inputs", [])],
        "outputs": [_tensor(tensor) for tensor in signature.get("outputs", [])],
    }


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    return {"name": tensor["name"], "datatype": tensor["datatype"], "shape": tensor["shape"]}
