"""What the gateway answers: Open Inference Protocol v2, feedback, health and metrics.

One call: key → plan → deployment by weight → replica → answer → log. Bodies pass through untouched: the
runner knows the signature and says what is wrong with an input.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from random import random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from apps.gateway.dataplane import feedback, sealing
from apps.gateway.dataplane.calllog import LogFull
from apps.gateway.dataplane.http import Request, Response
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.routing import choose_replica, choose_route, not_ready
from apps.gateway.dataplane.upstream import Answer, Died, TooSlow

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.gateway.dataplane.calllog import CallLog
    from apps.gateway.dataplane.config import Config
    from apps.gateway.dataplane.http import Headers
    from apps.gateway.dataplane.limits import Limiter
    from apps.gateway.dataplane.metrics import Metrics
    from apps.gateway.dataplane.snapshot import Capability, Deployment, Grant, Snapshot
    from apps.gateway.dataplane.upstream import Pool, Replica

log = logging.getLogger("atrium.gateway")

NAME = "atrium"
VERSION = "0.1.0"
EXTENSIONS = ["binary_tensor_data", "model_repository"]
SHADOWS_AT_ONCE = 64
BINARY_LENGTH = b"inference-header-content-length"
TIMEOUT = b"x-atrium-timeout-ms"
FORWARDED = (b"content-type", BINARY_LENGTH, b"content-encoding", b"accept-encoding", TIMEOUT)
RETURNED = (b"content-type", BINARY_LENGTH, b"content-encoding", b"retry-after")
ENCODING = b"content-encoding"
CALLER = b"atrium-caller"
VALUES = b"atrium-values"


class Call:
    """One inference call on its way through, and what the log will say of it."""

    __slots__ = ("at", "capability", "deployment", "grant", "id", "replica", "request", "stage", "values")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.id = new_id()
        self.at = time.time()
        self.grant: Grant | None = None
        self.capability: Capability | None = None
        self.deployment: Deployment | None = None
        self.replica: Replica | None = None
        self.stage = 0.0
        self.values = b""

    def facts(self, status: int, error: str = "", *, kind: str = "call") -> dict[str, Any]:
        """The record's JSON; short names, since a busy day has millions."""
        deployment, capability, grant = self.deployment, self.capability, self.grant
        facts: dict[str, Any] = {
            "kind": kind,
            "id": self.id,
            "at": self.at,
            "grant": grant.id if grant else None,
            "subject": grant.subject if grant else "",
            "capability": capability.id if capability else None,
            "deployment": deployment.id if deployment else None,
            "version": deployment.version if deployment else "",
            "status": status,
            "error": error,
            "ms": (time.perf_counter() - self.request.started) * 1000,
            "stage": self.stage,
        }
        if binary := self.request.headers.get(BINARY_LENGTH):
            facts["request_json_bytes"] = binary.decode("latin-1")
        if self.values:
            facts["values"] = self.values.decode("utf-8", "replace")
        return facts


class Service:
    """Answers complete requests; everything that it keeps between calls is in its parts."""

    def __init__(
        self,
        config: Config,
        snapshot: Snapshot,
        pool: Pool,
        limiter: Limiter,
        calls: CallLog,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.snapshot = snapshot
        self.pool = pool
        self.limiter = limiter
        self.calls = calls
        self.metrics = metrics
        self.sealers = sealing.Sealers()
        self.health: Callable[[], dict[str, Any]] = dict
        self._shadows: set[asyncio.Task[None]] = set()

    def swap(self, snapshot: Snapshot) -> None:
        """Act on a new snapshot from the next call on."""
        self.snapshot = snapshot

    # --- the server's side

    async def handle(self, request: Request) -> Response:
        """The answer to anything; never raises."""
        try:
            parts = request.path.split("/")[1:]
            if "%" in request.path:
                parts = [unquote(part) for part in parts]
            if parts[0] == "v2" and len(parts) > 2 and parts[1] == "models":
                return await self._model(request, parts[2:])
            return await self._plain(request, parts)
        except Refused as refusal:
            return self.refuse(refusal)
        except Exception:
            log.exception("a call failed")
            return self.refuse(
                Refused(500, "The gateway failed on this call; it has been noted. Try again later.")
            )

    def refuse(self, refusal: Refused, request_id: str = "") -> Response:
        """A problem document, with what the caller should do about it."""
        request_id = request_id or new_id()
        headers = [(b"x-request-id", request_id.encode()), *refusal.headers]
        if refusal.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(refusal.retry_after + 0.499))))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="atrium"'))
        self.metrics.add(f'atrium_gateway_refused_total{{kind="{refusal.kind}"}}')
        return Response(refusal.status, refusal.body(request_id), headers, b"application/problem+json")

    # --- everything but models

    async def _plain(self, request: Request, parts: list[str]) -> Response:
        path = "/".join(parts)
        if path == "v1/feedback":
            return await self._feedback(request)
        if path == "v2/repository/index":
            only(request, "POST")
            return json(self._index(self._grant(request)))
        only(request, "GET", "HEAD")
        if path == "v2":
            return json({"name": NAME, "version": VERSION, "extensions": EXTENSIONS})
        if path == "v2/health/live":
            return json({"live": True})
        if path == "v2/health/ready":
            ready = self.snapshot.revision >= 0
            return json({"live": True, "ready": ready}, 200 if ready else 503)
        if path == "healthz":
            return json({**self.health(), **self.snapshot.counts()})
        if path == "metrics":
            return Response(200, self.metrics.text(), content_type=b"text/plain; version=0.0.4")
        raise Refused(
            404,
            f"There is nothing at {request.path[:200]!r}. Calls go to /v2/models/<capability>/infer, "
            "feedback to /v1/feedback.",
        )

    def _index(self, grant: Grant) -> list[dict[str, str]]:
        snapshot = self.snapshot
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

    async def _feedback(self, request: Request) -> Response:
        only(request, "POST")
        grant = self._grant(request)
        admission = await self.limiter.admit(grant)
        admission.release(refund=True)  # feedback is welcome: it counts against the rate alone
        items = feedback.parse(request.body)
        now = time.time()
        for item in items:
            self._append({"kind": "feedback", "at": now, "grant": grant.id, **item})
        if self.config.fsync_each_call:
            await self.calls.on_disk()
        return json({"accepted": len(items)}, 202)

    # --- models

    async def _model(self, request: Request, parts: list[str]) -> Response:
        """`<name>[/versions/<version>][/ready|/infer]`."""
        name, rest = parts[0], parts[1:]
        version = None
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        if rest == ["infer"]:
            only(request, "POST")
            return await self._infer(Call(request), name, version)
        if rest not in ([], ["ready"]):
            raise Refused(404, f"There is nothing at {request.path[:200]!r}; a model has /ready and /infer.")
        only(request, "GET", "HEAD")
        grant = self._grant(request)
        capability = self._capability(grant, name)
        deployment, _ = choose_route(self.snapshot, grant, capability, version, caller_of(request, grant))
        if rest == ["ready"]:
            ready = bool(deployment.addresses)
            return json({"name": name, "ready": ready}, 200 if ready else 503)
        return json(metadata_of(capability, deployment, grant))

    def _grant(self, request: Request) -> Grant:
        """Who calls. Raises Refused with 401 or 403."""
        scheme, _, key = request.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not key:
            raise Refused(
                401,
                "This call has no key. Send the header 'Authorization: Bearer <key>' with a key of your "
                "subscription; the portal's Subscriptions page makes one.",
            )
        grant = self.snapshot.grant(hashlib.sha256(key.strip()).digest())
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
            raise Refused(
                403, f"This key may not be used from {request.peer}; its owner can add the address."
            )
        return grant

    def _capability(self, grant: Grant, name: str) -> Capability:
        capability = self.snapshot.capability(name)
        if capability is None:
            raise Refused(
                404, f"There is no capability {name[:100]!r}; this key is for {grant.capability!r}."
            )
        if grant.capability != name:
            raise Refused(
                403, f"This key is for {grant.capability!r}, not for {name!r}; subscribe to it first."
            )
        return capability

    async def _infer(self, call: Call, name: str, version: str | None) -> Response:
        """One call from key to log. Everything that had a valid key is logged, refusals too."""
        grant = call.grant = self._grant(call.request)
        admission = None
        status = 500
        try:
            self.calls.check()
            capability = call.capability = self._capability(grant, name)
            caller = caller_of(call.request, grant)
            call.deployment, call.stage = choose_route(self.snapshot, grant, capability, version, caller)
            check_body(call.request)
            admission = await self.limiter.admit(grant)
            answer = await self._forward(call)
            status = answer.status
            self._log(call, answer)
            if self.config.fsync_each_call:
                await self.calls.on_disk()
            if capability.shadow:
                self._mirror(call, capability)
            return self._answer(call, answer, admission.pool.headers())
        except Refused as refusal:
            status = refusal.status
            return self._refused(call, refusal)
        except LogFull:
            status = 503
            self.metrics.add("atrium_gateway_log_full_total")
            return self.refuse(log_full(), call.id)
        finally:
            if admission is not None:
                admission.release(refund=status >= 500)
            self.metrics.call(
                call.capability.name if call.capability else "",
                call.deployment.version if call.deployment else "",
                status,
                time.perf_counter() - call.request.started,
            )

    async def _forward(self, call: Call) -> Answer:
        """Send the call to a replica, and to another one when the first dies without a word."""
        deployment = call.deployment
        assert deployment is not None
        head = request_head(call, deployment)
        seconds = seconds_given(call.request, self.config.call_seconds)
        deadline = time.monotonic() + seconds
        limit = self.config.in_flight_per_replica
        call.replica = choose_replica(self.pool, deployment, limit)
        try:
            try:
                return await self.pool.call(call.replica, head, call.request.body, deadline)
            except Died as death:
                if not death.untouched:
                    raise
                call.replica = choose_replica(self.pool, deployment, limit, but=call.replica)
                self.metrics.add("atrium_gateway_retries_total")
                return await self.pool.call(call.replica, head, call.request.body, deadline)
        except Died as death:
            if death.untouched:
                raise not_ready(deployment) from death
            raise Refused(
                502,
                f"The model {deployment.capability} {deployment.version} broke off its answer: {death}. "
                "Its team sees this call in the log.",
                kind="runner-died",
            ) from death
        except TooSlow as slow:
            raise Refused(
                504,
                f"The model {deployment.capability} {deployment.version} did not answer within "
                f"{seconds:g} s; send fewer rows per call, or give it more time.",
            ) from slow

    def _answer(self, call: Call, answer: Answer, limits: Headers) -> Response:
        assert call.deployment is not None
        headers = [
            (b"x-request-id", call.id.encode()),
            (b"atrium-version", call.deployment.version.encode()),
            *limits,
            *(call.capability.farewell if call.capability else ()),
        ]
        content_type = b"application/json"
        for name in RETURNED:
            if (value := answer.headers.get(name)) is None:
                continue
            if name == b"content-type":
                content_type = value
            else:
                headers.append((name, value))
        body = answer.body
        if answer.status >= 400:
            body = as_problem(answer, call.id)
        return Response(answer.status if answer.status >= 200 else 502, body, headers, content_type)

    def _refused(self, call: Call, refusal: Refused) -> Response:
        """Log a refusal without the payload: nobody can fill the disk with calls that are not served."""
        try:
            self._append(call.facts(refusal.status, refusal.kind))
        except LogFull:
            return self.refuse(log_full(), call.id)
        return self.refuse(refusal, call.id)

    # --- the log

    def _log(self, call: Call, answer: Answer, *, kind: str = "call") -> None:
        """Write a call down with its bodies; the ingester moves those above the plan's limit to files."""
        assert call.capability is not None
        assert call.deployment is not None
        call.values = answer.headers.get(VALUES, b"")
        facts = call.facts(answer.status, "" if answer.status < 400 else error_of(answer.status), kind=kind)
        request, body = call.request.body, answer.body
        if binary := answer.headers.get(BINARY_LENGTH):
            facts["answer_json_bytes"] = binary.decode("latin-1")
        if coding := call.request.headers.get(ENCODING):
            facts["request_coding"] = coding.decode("latin-1")
        if call.deployment.sensitive:
            request, body = self._seal(call, facts, request, body)
        limit = self._limit(call, call.capability)
        if len(request) > limit or len(body) > limit:
            facts["limit"] = limit
        self._append(facts, request, body)

    def _limit(self, call: Call, capability: Capability) -> int:
        """Bodies above this are kept as files: what the plan says, else the capability, else the gateway."""
        of_plan = call.grant.limits.payload_bytes if call.grant else None
        limit = capability.payload_limit if of_plan is None else of_plan
        return self.config.payload_bytes if limit is None else limit

    def _seal(self, call: Call, facts: dict[str, Any], request: bytes, answer: bytes) -> tuple[bytes, bytes]:
        """Both bodies without what the signature calls sensitive. A body that cannot be read is not kept, nor one
        that was refused: its tensors need not be where the signature has them.
        """
        assert call.capability is not None
        assert call.deployment is not None
        rules = call.deployment.sensitive
        failed = facts["status"] >= 400  # its answer may quote what was sent
        refused = failed and facts["status"] < 500
        sealed: dict[str, Any] = {}
        request = b"" if refused else request
        parts = {"inputs": (request, facts.pop("request_json_bytes", None), facts.pop("request_coding", "")),
                 "outputs": (b"" if failed else answer, facts.pop("answer_json_bytes", None), "")}  # fmt: skip
        kept: dict[str, bytes] = {}
        for key, (body, json_bytes, coding) in parts.items():
            try:
                text = sealing.plain(body, coding.encode("latin-1"))
                sealer = self.sealers.of(call.capability.seal, call.id)
                found = sealing.without_sensitive(text, json_bytes, key, rules.get(key, {}), sealer)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                kept[key] = b""
                continue
            kept[key] = found.body
            sealed[key] = found.tensors
            if found.json_bytes:
                facts["request_json_bytes" if key == "inputs" else "answer_json_bytes"] = found.json_bytes
        facts["sealed"] = sealed
        return kept["inputs"], kept["outputs"]

    def _append(self, facts: dict[str, Any], request: bytes = b"", answer: bytes = b"") -> None:
        self.calls.append(facts, request, answer)

    # --- shadows

    def _mirror(self, call: Call, capability: Capability) -> None:
        """Give a shadow version the same call; its answer is logged and never returned.

        Its share is of calls, not of callers, so that a small share sees every caller. A key that is bound to
        one deployment is a test's, not production.
        """
        route = capability.shadow[0]
        deployment = self.snapshot.deployment(route.deployment)
        if deployment is None or deployment is call.deployment or len(self._shadows) >= SHADOWS_AT_ONCE:
            return
        if (call.grant and call.grant.deployment) or random() * 100 >= route.weight:
            return
        shadow = Call(call.request)
        shadow.id, shadow.grant, shadow.capability, shadow.deployment = (
            new_id(),
            call.grant,
            capability,
            deployment,
        )
        task = asyncio.get_running_loop().create_task(self._shadow(shadow))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, call: Call) -> None:
        call.request.started = time.perf_counter()
        try:
            self._log(call, await self._forward(call), kind="shadow")
        except Refused as refusal:
            self._append(call.facts(refusal.status, refusal.kind, kind="shadow"))
        except LogFull:
            return


def new_id() -> str:
    """A UUID of version 7: unique everywhere, and neighbours in time are neighbours in an index."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def json(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


def only(request: Request, *methods: str) -> None:
    """Raises Refused with 405."""
    if request.method not in methods:
        refusal = Refused(405, f"{request.path[:200]} takes {' and '.join(methods)}, not {request.method}.")
        refusal.headers = [(b"allow", ", ".join(methods).encode())]
        raise refusal


def caller_of(request: Request, grant: Grant) -> str:
    """Who sticks to a version: the key's subject, or the end user that a system names in Atrium-Caller."""
    named = request.headers.get(CALLER)
    return f"{grant.subject}/{named.decode('latin-1')}" if named else grant.subject


def seconds_given(request: Request, most: float) -> float:
    """How long the caller waits at most: X-Atrium-Timeout-Ms, by which the runner sheds what would come too late."""
    given = request.headers.get(TIMEOUT, b"")
    return min(int(given) / 1000, most) if given.isdigit() and len(given) < 10 and int(given) else most


def check_body(request: Request) -> None:
    """What can be said of a body without its model. Raises Refused with 400 or 411's kind."""
    if not request.body:
        raise Refused(400, 'The body is empty; send {"inputs": [{"name", "shape", "datatype", "data"}]}.')
    declared = request.headers.get(BINARY_LENGTH)
    if declared is not None and not (declared.isdigit() and int(declared) <= len(request.body)):
        raise Refused(
            400,
            f"Inference-Header-Content-Length is {declared.decode('latin-1')[:50]!r}; it must be the length of "
            f"the JSON at the start of the body, which has {len(request.body)} bytes.",
        )


def request_head(call: Call, deployment: Deployment) -> bytes:
    """The head that the runner gets; of the caller's headers only those that describe the body."""
    request = call.request
    lines = [
        f"POST /v2/models/{deployment.capability}/infer HTTP/1.1\r\nhost: runner\r\n"
        f"x-request-id: {call.id}\r\ncontent-length: {len(request.body)}".encode()
    ]
    sent = request.headers
    lines += [name + b": " + sent[name] for name in FORWARDED if name in sent]
    return b"\r\n".join(lines) + b"\r\n\r\n"


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


def error_of(status: int) -> str:
    """The kind of error of an answer that the runner gave."""
    if status == 503:
        return "overloaded"
    return "input" if status < 500 else "model"


def as_problem(answer: Answer, request_id: str) -> bytes:
    """A runner's `{"error": …}` with the fields of a problem document beside it."""
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("error"), str):
        text = answer.body[:500].decode("utf-8", "replace")
        said = {"error": f"The model answered {answer.status}: {text}"}
    kind = "model-error" if answer.status >= 500 else "invalid-input"
    problem = Refused(answer.status, said["error"], kind=kind).body(request_id)
    return orjson.dumps({**orjson.loads(problem), **said})


def log_full() -> Refused:
    """The refusal when a call could not be written down."""
    return Refused(
        503,
        "The gateway cannot write its call log, so it takes no calls; its operators have to make room on the disk.",
        kind="log-full",
        retry_after=5,
    )
