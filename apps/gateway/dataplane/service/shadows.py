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
REFUSED_ALONE = "refused-alone"
"""The kind of error of a mirrored call that the shadow refuses and another version has answered."""


class Shadows:
    """The mirrored calls under way; what is above the bound is not mirrored."""

    def __init__(self, parts: Parts, recorder: Recorder) -> None:
        self._parts = parts
        self._recorder = recorder
        self._under_way: set[asyncio.Task[None]] = set()

    def mirror(self, call: Call, capability: Capability, status: int) -> None:
        """Give a shadow version the same call, which another one answered with `status`; its answer is logged and
        never returned.

        Its share is of calls, not of callers, so that a small share sees every caller. Calls without a stage are not
        mirrored: their keys are bound to one deployment, as a test's, or their callers stay with a version or are in
        an experiment's. Nor are those that the model refused to their caller: they say nothing of a version.
        """
        if not call.stage or 400 <= status < 500:
            return
        route = capability.shadow[0]
        deployment = self._parts.snapshot.deployment(route.deployment)
        if deployment is None or deployment is call.deployment or len(self._under_way) >= AT_ONCE:
            return
        if random() * 100 >= route.weight:
            return
        shadow = Call(call.request, call.target, nobody)
        shadow.grant, shadow.capability, shadow.deployment = call.grant, capability, deployment
        task = asyncio.get_running_loop().create_task(self._shadow(shadow, answered=status < 400))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _shadow(self, call: Call, *, answered: bool) -> None:
        call.request.started = time.perf_counter()
        try:
            answer = await forward(self._parts, call)
            alone = answered and 400 <= answer.status < 500
            self._recorder.record(call, answer, kind="shadow", error=REFUSED_ALONE if alone else None)
        except LogFull:
            return
        except (Refused, Died, TooSlow) as problem:
            refusal = refusal_of(call, problem)
            assert refusal is not None
            with suppress(LogFull):
                self._parts.calls.append(call.facts(refusal.status, refusal.kind, kind="shadow"))


def nobody(response: Response) -> None:
    """Who waits for a shadow's answer."""
