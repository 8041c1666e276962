"""The way to a replica that may have to be waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from apps.gateway.dataplane.call import request_head
from apps.gateway.dataplane.routing import choose_replica
from apps.gateway.dataplane.upstream import Died

if TYPE_CHECKING:
    from apps.gateway.dataplane.call import Call
    from apps.gateway.dataplane.service.parts import Parts
    from apps.gateway.dataplane.upstream import Answer


async def forward(parts: Parts, call: Call) -> Answer:
    """Send the call to a replica, and to another one when the first dies without a word.

    Raises Refused, Died or TooSlow.
    """
    deployment = call.deployment
    assert deployment is not None
    head, body = request_head(call, deployment), call.request.body
    deadline = time.monotonic() + call.target.seconds
    limit = parts.config.in_flight_per_replica
    call.replica = choose_replica(parts.pool, deployment, limit)
    try:
        return await parts.pool.call(call.replica, head, body, deadline)
    except Died as death:
        if not death.untouched:
            raise
        call.replica = choose_replica(parts.pool, deployment, limit, but=call.replica)
        parts.metrics.add("atrium_gateway_retries_total")
        return await parts.pool.call(call.replica, head, body, deadline)
