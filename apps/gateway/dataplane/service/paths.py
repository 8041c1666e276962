"""Every address but inference: models and their readiness, the index, feedback, health, metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from apps.gateway.dataplane import feedback, sealing
from apps.gateway.dataplane.call import caller_of, model_of
from apps.gateway.dataplane.http import Response, lines_of
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.routing import choose_route
from apps.gateway.dataplane.service.keys import capability_of, grant_of

if TYPE_CHECKING:
    from apps.gateway.dataplane.call import Target
    from apps.gateway.dataplane.http import Request
    from apps.gateway.dataplane.service.parts import Parts
    from apps.gateway.dataplane.snapshot import Capability, Deployment, Grant

NAME = "atrium"
VERSION = "0.1.0"
EXTENSIONS = ["binary_tensor_data", "model_repository"]
READ = frozenset({"v2", "v2/health/live", "v2/health/ready", "healthz", "metrics"})


class Paths:
    """Answers what is no inference call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(self, request: Request, target: Target) -> Response:
        """Raises Refused, or LogFull where feedback cannot be written down."""
        if target.parts[:2] == ["v2", "models"] and len(target.parts) > 2:
            return self._model(request, target)
        return await self._plain(request, target)

    async def _plain(self, request: Request, target: Target) -> Response:
        path = "/".join(target.parts)
        if path == "v1/feedback":
            return await self._feedback(request, target)
        if path == "v2/repository/index":
            only(request, "POST")
            return json(self._index(grant_of(self._parts, request, target)))
        if path not in READ:
            raise Refused(
                404,
                f"There is nothing at {request.head.path[:200]!r}. Calls go to /v2/models/<capability>/infer, "
                "feedback to /v1/feedback.",
            )
        only(request, "GET", "HEAD")
        if path == "v2":
            return json({"name": NAME, "version": VERSION, "extensions": EXTENSIONS})
        if path == "v2/health/live":
            return json({"live": True})
        if path == "v2/health/ready":
            ready = self._parts.snapshot.revision >= 0
            return json({"live": True, "ready": ready}, 200 if ready else 503)
        if path == "healthz":
            return json({**self._parts.health(), **self._parts.snapshot.counts()})
        return Response(200, self._parts.metrics.text(), content_type=b"text/plain; version=0.0.4")

    def _index(self, grant: Grant) -> list[dict[str, str]]:
        snapshot = self._parts.snapshot
        if grant.deployment is not None:
            deployment = snapshot.deployment(grant.deployment)
            deployments = [deployment] if deployment else []
        else:
            capability = snapshot.capability(grant.capability)
            routes = capability.routes if capability else ()
            deployments = [d for route in routes if (d := snapshot.deployment(route.deployment))]
        return [
            {
                "name": deployment.capability,
                "version": deployment.version,
                "state": "READY" if deployment.addresses else "UNAVAILABLE",
                "reason": "" if deployment.addresses else "no replica is ready",
            }
            for deployment in deployments
        ]

    async def _feedback(self, request: Request, target: Target) -> Response:
        only(request, "POST")
        grant = grant_of(self._parts, request, target)
        admission = await self._parts.limiter.admit(grant)
        admission.release(refund=True)  # feedback is welcome: it counts against the rate alone
        items = feedback.parse(request.body)
        now = time.time()
        capability = self._parts.snapshot.capability(grant.capability)
        rules = self._sensitive(grant, capability)
        for item in items:
            if rules and (item["expected"] is not None or item["comment"]):
                sealer = self._parts.sealers.of(capability.seal if capability else None, item["request_id"])
                said = {"expected": item["expected"], "comment": item["comment"]}
                item |= {"expected": sealing.hidden(said, rules, sealer), "comment": ""}
        self._parts.calls.append_all(
            [{"kind": "feedback", "at": now, "grant": grant.id, **item} for item in items]
        )
        if self._parts.config.fsync_each_call:
            await self._parts.calls.on_disk()
        return json({"accepted": len(items)}, 202)

    def _sensitive(self, grant: Grant, capability: Capability | None) -> dict[str, Any]:
        """What the versions call sensitive that a key's calls may have reached: their feedback may repeat it."""
        ways = [*capability.routes, *capability.shadow] if capability else []
        names = [grant.deployment] if grant.deployment else [way.deployment for way in ways]
        found = [deployment for name in names if (deployment := self._parts.snapshot.deployment(name))]
        return {f"{each.id} {part}": rules for each in found for part, rules in each.sensitive.items()}

    def _model(self, request: Request, target: Target) -> Response:
        """`<name>[/versions/<version>][/ready|/infer]`."""
        name, version, rest = model_of(target.parts)
        if rest == ["infer"]:
            only(request, "POST")
        if rest not in ([], ["ready"]):
            raise Refused(
                404, f"There is nothing at {request.head.path[:200]!r}; a model has /ready and /infer."
            )
        only(request, "GET", "HEAD")
        grant = grant_of(self._parts, request, target)
        capability = capability_of(self._parts.snapshot, grant, name)
        caller = caller_of(request.head, grant)
        deployment, _ = choose_route(self._parts.snapshot, grant, capability, version, caller)
        if rest == ["ready"]:
            ready = bool(deployment.addresses)
            return json({"name": name, "ready": ready}, 200 if ready else 503)
        return json(metadata_of(capability, deployment, grant))


def json(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


def only(request: Request, *methods: str) -> None:
    """Raises Refused with 405."""
    head = request.head
    if head.method not in methods:
        refusal = Refused(405, f"{head.path[:200]} takes {' and '.join(methods)}, not {head.method}.")
        refusal.lines = lines_of([(b"allow", ", ".join(methods).encode())])
        raise refusal


def metadata_of(capability: Capability, deployment: Deployment, grant: Grant) -> dict[str, Any]:
    """The model metadata of the protocol."""
    known = deployment.metadata or capability.metadata
    versions = (
        [deployment.version] if grant.deployment else sorted({route.version for route in capability.routes})
    )
    return {
        "name": capability.name,
        "versions": versions,
        "platform": known.get("platform", ""),
        "inputs": known.get("inputs", []),
        "outputs": known.get("outputs", []),
    }
