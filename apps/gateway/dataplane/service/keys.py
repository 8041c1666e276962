"""Who calls, and whether the key opens what is asked for. Checked on every call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from apps.gateway.dataplane.problems import Refused

if TYPE_CHECKING:
    from apps.gateway.dataplane.call import Target
    from apps.gateway.dataplane.http import Request
    from apps.gateway.dataplane.service.parts import Parts
    from apps.gateway.dataplane.snapshot import Capability, Grant, Snapshot


def grant_of(parts: Parts, request: Request, target: Target) -> Grant:
    """Who calls. Raises Refused with 401 or 403."""
    aim = target.aim
    if aim is not None and aim.epoch == parts.epoch:
        grant: Grant | None = aim.grant
    elif target.key is None:
        raise Refused(
            401,
            "This call has no key. Send the header 'Authorization: Bearer <key>' with a key of your "
            "subscription; the portal's Subscriptions page makes one.",
        )
    else:
        grant = parts.snapshot.grant(target.key)
    if grant is None or grant.status == "revoked":
        raise Refused(
            401,
            "This key is not known, or it has been revoked. Make a new one on the portal's "
            "Subscriptions page.",
        )
    if grant.status != "active":
        raise Refused(403, f"This key is {grant.status}; ask the capability's team to lift that.")
    if grant.expires is not None and grant.expires <= time.time():
        raise Refused(
            401,
            f"This key expired on {time.strftime('%Y-%m-%d', time.gmtime(grant.expires))}. "
            "Make a new one on the portal's Subscriptions page.",
        )
    if grant.addresses and not grant.admits(request.peer):
        raise Refused(403, f"This key may not be used from {request.peer}; its owner can add the address.")
    return grant


def capability_of(snapshot: Snapshot, grant: Grant, name: str) -> Capability:
    """What is called, where the key is for it. Raises Refused with 404 or 403."""
    capability = snapshot.capability(name)
    if capability is None:
        raise Refused(404, f"There is no capability {name[:100]!r}; this key is for {grant.capability!r}.")
    if grant.capability != name:
        raise Refused(403, f"This key is for {grant.capability!r}, not for {name!r}; subscribe to it first.")
    return capability
