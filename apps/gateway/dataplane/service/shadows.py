"""Gives shadow versions the calls that others answer."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from random import random
from typing import TYPE_CHECKING

from apps.gateway.dataplane.call import Call
from apps.gateway.dataplane.calllog import LogFull
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.service.forwarding import forward
from apps.gateway.dataplane.service.refusals import refusal_of
from apps.gateway.dataplane.upstream import Died, TooSlow

if TYPE_CHECKING:
    from apps.gateway.dataplane.http import Response
    from apps.gateway.dataplane.service.parts import Parts
    from apps.gateway.dataplane.service.recording import Recorder
    from apps.gateway.dataplane.snapshot import Capability

AT_ONCE = 64


class Shadows:
    """The mirrored calls under way; what is above the bound is not mirrored."""

    def __init__(self, parts: Parts, recorder: Recorder) -> None:
        self._parts = parts
        self._recorder = recorder
        self._under_way: set[asyncio.Task[None]] = set()

    def mirror(self, call: Call, capability: Capability) -> None:
        """Give a shadow version the same call; its answer is logged and never returned.

        Its share is of calls, not of callers, so that a small share sees every caller. A key that is bound to
        one deployment is a test's, not production. Nobody gives it what the model has refused to its caller: what
        a shadow refuses, another version has taken.
        """
        route = capability.shadow[0]
        deployment = self._parts.snapshot.deployment(route.deployment)
        if deployment is None or deployment is call.deployment or len(self._under_way) >= AT_ONCE:
            return
        if (call.grant and call.grant.deployment) or random() * 100 >= route.weight:
            return
        shadow = Call(call.request, call.target, nobody)
        shadow.grant, shadow.capability, shadow.deployment = call.grant, capability, deployment
        task = asyncio.get_running_loop().create_task(self._shadow(shadow))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _shadow(self, call: Call) -> None:
        call.request.started = time.perf_counter()
        try:
            self._recorder.record(call, await forward(self._parts, call), kind="shadow")
        except LogFull:
            return
        except (Refused, Died, TooSlow) as problem:
            refusal = refusal_of(call, problem)
            assert refusal is not None
            with suppress(LogFull):
                self._parts.calls.append(call.facts(refusal.status, refusal.kind, kind="shadow"))


def nobody(response: Response) -> None:
    """Who waits for a shadow's answer."""
