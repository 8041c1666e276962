"""Which deployment and which replica a call goes to."""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING

from apps.gateway.dataplane.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.gateway.dataplane.snapshot import Capability, Deployment, Grant, Route, Snapshot
    from apps.gateway.dataplane.upstream import Pool, Replica


def point_of(caller: str, salt: str) -> float:
    """A caller's fixed place in [0, 1). A new salt deals the places anew."""
    digest = blake2b(caller.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64


def by_weight(routes: Sequence[Route], point: float) -> Route | None:
    """The route that covers this place when the weights are laid end to end; None when all are 0.

    A caller moves only when the boundary passes over it, so raising one version's weight moves
    callers to it and hardly any between the others.
    """
    total = sum(route.weight for route in routes)
    reached = 0.0
    chosen = None
    for route in routes:
        if route.weight <= 0:
            continue
        reached += route.weight / total
        chosen = route
        if point < reached:
            break
    return chosen


def choose_route(
    snapshot: Snapshot, grant: Grant, capability: Capability, version: str | None, caller: str
) -> tuple[Deployment, float]:
    """The deployment for this call and its weight. Raises Refused with 404 or 503."""
    if grant.deployment is not None:
        return _bound(snapshot, grant, grant.deployment, capability, version), 0.0
    pinned = _pinned(snapshot, grant, capability)
    if pinned is not None and version in (None, pinned.version):
        return pinned, 0.0
    if version is not None:
        route = next((item for item in capability.routes_at(grant.site) if item.version == version), None)
        if route is None:
            offered = ", ".join(sorted({item.version for item in capability.routes})) or "none"
            raise Refused(
                404,
                f"{capability.name} has no version {version!r} in production; there is: {offered}. "
                "Leave out /versions/… to follow the current one.",
            )
    else:
        route = by_weight(capability.routes_at(grant.site), point_of(caller, capability.salt))
        if route is None:
            raise Refused(
                503,
                f"No version of {capability.name} takes production traffic now; try again later.",
                kind="no-route",
                retry_after=5,
            )
    deployment = snapshot.deployment(route.deployment)
    if deployment is None:
        raise Refused(503, f"{capability.name} {route.version} is not deployed.", retry_after=5)
    return deployment, route.weight


def _pinned(snapshot: Snapshot, grant: Grant, capability: Capability) -> Deployment | None:
    """The deployment that this caller stays with for now, if any. It ends by the clock, with the centre away too."""
    name, until = capability.pins.get(grant.pool, ("", 0.0))
    return snapshot.deployment(name) if until > time.time() else None


def _bound(
    snapshot: Snapshot, grant: Grant, name: str, capability: Capability, version: str | None
) -> Deployment:
    deployment = snapshot.deployment(name)
    if deployment is None or deployment.capability != capability.name:
        raise Refused(
            404,
            f"The deployment {name} that this key is bound to has been removed. Ask its team for a new key.",
        )
    if version is not None and version != deployment.version:
        raise Refused(
            404,
            f"This key is bound to a deployment of version {deployment.version}, not {version!r}. "
            "Leave out /versions/… to call it.",
        )
    return deployment


def choose_replica(pool: Pool, deployment: Deployment, limit: int, *, but: Replica | None = None) -> Replica:
    """The least busy replica that is up, a failing one only when nothing else is left.

    Raises Refused with 503 when there is none, or when all have `limit` calls at work.
    """
    others = [found for address in deployment.addresses if (found := pool.replica(address)) is not but]
    if not others:
        raise not_ready(deployment)
    chosen = others[0]
    if len(others) > 1:
        now = time.monotonic()
        chosen = min([replica for replica in others if replica.ready(now)] or others, key=_busy)
    if chosen.in_flight >= limit:
        raise Refused(
            503,
            f"All replicas of {deployment.capability} {deployment.version} are busy; try again shortly.",
            kind="overloaded",
            retry_after=1,
        )
    return chosen


def _busy(replica: Replica) -> int:
    return replica.in_flight


def not_ready(deployment: Deployment) -> Refused:
    """The refusal when no replica answers."""
    return Refused(
        503,
        f"No replica of {deployment.capability} {deployment.version} answers now; try again shortly.",
        kind="no-replica",
        retry_after=2,
    )
