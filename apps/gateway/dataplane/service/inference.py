"""One inference call: the ordinary one is two callbacks; one that has to wait for more goes on as a task."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from apps.gateway.dataplane.call import (
    BINARY_LENGTH,
    ENCODING,
    Aim,
    caller_of,
    give_parameters,
    request_head,
)
from apps.gateway.dataplane.calllog import LogFull
from apps.gateway.dataplane.experiments import part_of
from apps.gateway.dataplane.http import Response
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.routing import choose_replica, choose_route
from apps.gateway.dataplane.service.forwarding import forward
from apps.gateway.dataplane.service.keys import capability_of, grant_of
from apps.gateway.dataplane.service.recording import VALUES, Recorder
from apps.gateway.dataplane.service.refusals import as_problem, check_body, failed, log_full, refusal_of
from apps.gateway.dataplane.service.shadows import Shadows
from apps.gateway.dataplane.upstream import Answer, Died

if TYPE_CHECKING:
    from apps.gateway.dataplane.call import Call
    from apps.gateway.dataplane.experiments import Part
    from apps.gateway.dataplane.service.parts import Parts
    from apps.gateway.dataplane.snapshot import Capability, Grant

log = logging.getLogger("atrium.gateway")

TEST = "test"
"""Kind of a deployment that its own team alone calls: it may see what the model's code logged."""
RETURNED = (BINARY_LENGTH, ENCODING, b"retry-after")


class Inference:
    """Takes calls from their key to their answer."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._config, self._pool, self._limiter = parts.config, parts.pool, parts.limiter
        self._calls, self._metrics = parts.calls, parts.metrics
        self._recorder = Recorder(parts)
        self._shadows = Shadows(parts, self._recorder)

    def infer(self, call: Call) -> None:
        """One call from key to log. Everything that had a valid key is logged, refusals too."""
        try:
            grant = call.grant = grant_of(self._parts, call.request, call.target)
        except Refused as refusal:
            call.send(self._parts.refuse(refusal))
            return
        try:
            self._calls.check()
            self._aim(call, grant)
            check_body(call.request)
            if call.aim is not None and call.aim.part is not None and call.aim.part.parameters:
                give_parameters(call, call.aim.part.parameters)
            call.admission = self._limiter.admit_now(grant)
            if call.admission is None or not self._send(call):
                self._parts.spawn(self._go_on(call))
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)

    def _aim(self, call: Call, grant: Grant) -> None:
        """Find the deployment; the way is the same until the snapshot changes. Raises Refused."""
        target, parts = call.target, self._parts
        aim = target.aim
        if aim is None or aim.epoch != parts.epoch:
            capability = call.capability = capability_of(parts.snapshot, grant, target.name)
            caller = caller_of(call.request.head, grant)
            deployment, stage = choose_route(parts.snapshot, grant, capability, target.version, caller)
            part = None
            if capability.experiments and grant.deployment is None:
                part = self._part(call, capability, caller, may_move=target.version is None and stage > 0)
                if part is not None and part.deployment:
                    deployment, stage = parts.snapshot.deployment(part.deployment) or deployment, 0.0
            aim = target.aim = Aim(parts.epoch, grant, capability, deployment, stage, part)
        call.aim, call.stage = aim, aim.stage
        call.capability, call.deployment = aim.capability, aim.deployment

    def _part(self, call: Call, capability: Capability, caller: str, *, may_move: bool) -> Part | None:
        """What the caller is in of the capability's experiments."""
        return part_of(
            capability.experiments,
            caller,
            capability.unit_salt,
            may_move=may_move,
            may_set=ENCODING not in call.request.head.headers,
            answers=lambda name: bool((there := self._parts.snapshot.deployment(name)) and there.addresses),
        )

    def _send(self, call: Call) -> bool:
        """Send the call over a kept connection; False when there is none."""
        deployment = call.deployment
        assert deployment is not None
        replica = call.replica = choose_replica(self._pool, deployment, self._config.in_flight_per_replica)
        deadline = time.monotonic() + call.target.seconds
        return self._pool.send(
            replica,
            request_head(call, deployment),
            call.request.body,
            deadline,
            partial(self._on_answer, call),
        )

    def _on_answer(self, call: Call, found: Answer | Exception) -> None:
        if isinstance(found, Answer):
            self._finish(call, found)
        elif isinstance(found, Died) and found.untouched:
            self._parts.spawn(self._go_on(call))
        else:
            self._fail(call, found)

    async def _go_on(self, call: Call) -> None:
        """The same with waiting: for limits, for a new connection, for another replica."""
        try:
            if call.admission is None:
                assert call.grant is not None
                call.admission = await self._limiter.admit(call.grant)
            answer = await forward(self._parts, call)
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)
        else:
            self._finish(call, answer)

    def _finish(self, call: Call, answer: Answer) -> None:
        """The runner has answered: write it down, then pass it on."""
        try:
            self._recorder.record(call, answer)
            if self._config.fsync_each_call:
                self._parts.spawn(self._deliver_when_on_disk(call, answer))
            else:
                self._deliver(call, answer)
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)

    async def _deliver_when_on_disk(self, call: Call, answer: Answer) -> None:
        try:
            await self._calls.on_disk()
            self._deliver(call, answer)
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)

    def _deliver(self, call: Call, answer: Answer) -> None:
        if call.capability is not None and call.capability.shadow:
            self._shadows.mirror(call, call.capability, answer.status)
        self._end(call, answer.status, self._answer(call, answer))

    def _fail(self, call: Call, problem: Exception) -> None:
        """The call ends without the runner's answer."""
        if isinstance(problem, LogFull):
            self._metrics.add("atrium_gateway_log_full_total")
            self._end(call, 503, self._parts.refuse(log_full(), call.id))
            return
        refusal = refusal_of(call, problem)
        if refusal is None:
            log.error("a call failed", exc_info=problem)
            self._end(call, 500, self._parts.refuse(failed(), call.id))
        else:
            self._end(call, refusal.status, self._refused(call, refusal))

    def _end(self, call: Call, status: int, response: Response) -> None:
        """Give back what the call has taken, count it, and answer. Called once for each call."""
        if call.admission is not None:
            call.admission.release(refund=status >= 500)
        self._metrics.call(
            call.capability.name if call.capability else "",
            call.deployment.version if call.deployment else "",
            status,
            time.perf_counter() - call.request.started,
        )
        call.send(response)

    def _answer(self, call: Call, answer: Answer) -> Response:
        assert call.aim is not None
        assert call.admission is not None
        headers = answer.headers
        lines = b"\r\nx-request-id: %b%b%b" % (call.id.encode(), call.aim.lines, call.admission.pool.lines())
        for name in RETURNED:
            if name in headers:
                lines += b"\r\n%b: %b" % (name, headers[name])
        if VALUES in headers and call.aim.deployment.kind == TEST:
            lines += b"\r\n%b: %b" % (VALUES, headers[VALUES])
        body = answer.body if answer.status < 400 else as_problem(answer, call.id)
        status = answer.status if answer.status >= 200 else 502
        return Response(status, body, lines, headers.get(b"content-type", b"application/json"))

    def _refused(self, call: Call, refusal: Refused) -> Response:
        """Log a refusal without the payload: nobody can fill the disk with calls that are not served."""
        try:
            self._calls.append(call.facts(refusal.status, refusal.kind))
        except LogFull:
            return self._parts.refuse(log_full(), call.id)
        return self._parts.refuse(refusal, call.id)
