"""What the gateway answers: Open Inference Protocol v2, feedback, health and metrics.

One call: key → plan → deployment by weight → replica → answer → log. Bodies pass through untouched: the
runner knows the signature and says what is wrong with an input.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from random import random
from typing import TYPE_CHECKING, Any

import orjson

from apps.gateway.dataplane import feedback, sealing
from apps.gateway.dataplane.call import (
    BINARY_LENGTH,
    ENCODING,
    Aim,
    Call,
    Target,
    caller_of,
    model_of,
    new_id,
    request_head,
)
from apps.gateway.dataplane.calllog import LogFull
from apps.gateway.dataplane.http import Response, lines_of
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.routing import choose_replica, choose_route, not_ready
from apps.gateway.dataplane.upstream import Answer, Died, TooSlow

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from apps.gateway.dataplane.calllog import CallLog
    from apps.gateway.dataplane.config import Config
    from apps.gateway.dataplane.http import Request
    from apps.gateway.dataplane.limits import Limiter
    from apps.gateway.dataplane.metrics import Metrics
    from apps.gateway.dataplane.snapshot import Capability, Deployment, Grant, Snapshot
    from apps.gateway.dataplane.upstream import Pool

log = logging.getLogger("atrium.gateway")

NAME = "atrium"
VERSION = "0.1.0"
EXTENSIONS = ["binary_tensor_data", "model_repository"]
SHADOWS_AT_ONCE = 64
RETURNED = (BINARY_LENGTH, ENCODING, b"retry-after")
VALUES = b"atrium-values"


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
        self.epoch = 0
        self.pool = pool
        self.limiter = limiter
        self.calls = calls
        self.metrics = metrics
        self.sealers = sealing.Sealers()
        self.health: Callable[[], dict[str, Any]] = dict
        self._shadows: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def swap(self, snapshot: Snapshot) -> None:
        """Act on a new snapshot from the next call on."""
        self.snapshot = snapshot
        self.epoch += 1

    # --- the server's side

    def handle(self, request: Request, send: Callable[[Response], None]) -> None:
        """Send the answer to anything, now or later; never raises."""
        target: Target | None = request.head.target
        if target is None:
            target = request.head.target = Target(request.head, self.config.call_seconds)
        if target.name:
            self._infer(Call(request, target, send))
        else:
            self._spawn(self._answer_other(request, target, send))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_other(self, request: Request, target: Target, send: Callable[[Response], None]) -> None:
        try:
            if target.parts[:2] == ["v2", "models"] and len(target.parts) > 2:
                response = self._model(request, target)
            else:
                response = await self._plain(request, target)
        except Refused as refusal:
            response = self.refuse(refusal)
        except LogFull:
            response = self.refuse(log_full())
        except Exception:
            log.exception("a request failed")
            response = self.refuse(failed())
        send(response)

    def refuse(self, refusal: Refused, request_id: str = "") -> Response:
        """A problem document, with what the caller should do about it."""
        request_id = request_id or new_id()
        headers = [(b"x-request-id", request_id.encode())]
        if refusal.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(refusal.retry_after + 0.499))))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="atrium"'))
        self.metrics.add(f'atrium_gateway_refused_total{{kind="{refusal.kind}"}}')
        body = refusal.body(request_id)
        return Response(refusal.status, body, lines_of(headers) + refusal.lines, b"application/problem+json")

    # --- everything but models

    async def _plain(self, request: Request, target: Target) -> Response:
        path = "/".join(target.parts)
        if path == "v1/feedback":
            return await self._feedback(request, target)
        if path == "v2/repository/index":
            only(request, "POST")
            return json(self._index(self._grant(request, target)))
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
            f"There is nothing at {request.head.path[:200]!r}. Calls go to /v2/models/<capability>/infer, "
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

    async def _feedback(self, request: Request, target: Target) -> Response:
        only(request, "POST")
        grant = self._grant(request, target)
        admission = await self.limiter.admit(grant)
        admission.release(refund=True)  # feedback is welcome: it counts against the rate alone
        items = feedback.parse(request.body)
        now = time.time()
        capability = self.snapshot.capability(grant.capability)
        rules = self._sensitive(grant, capability)
        for item in items:
            if rules and (item["expected"] is not None or item["comment"]):
                sealer = self.sealers.of(capability.seal if capability else None, item["request_id"])
                said = {"expected": item["expected"], "comment": item["comment"]}
                item |= {"expected": sealing.hidden(said, rules, sealer), "comment": ""}
            self.calls.append({"kind": "feedback", "at": now, "grant": grant.id, **item})
        if self.config.fsync_each_call:
            await self.calls.on_disk()
        return json({"accepted": len(items)}, 202)

    def _sensitive(self, grant: Grant, capability: Capability | None) -> dict[str, Any]:
        """What the versions call sensitive that a key's calls may have reached: their feedback may repeat it."""
        ways = [*capability.routes, *capability.shadow] if capability else []
        names = [grant.deployment] if grant.deployment else [way.deployment for way in ways]
        found = [deployment for name in names if (deployment := self.snapshot.deployment(name))]
        return {f"{each.id} {part}": rules for each in found for part, rules in each.sensitive.items()}

    # --- models

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
        grant = self._grant(request, target)
        capability = self._capability(grant, name)
        caller = caller_of(request.head, grant)
        deployment, _ = choose_route(self.snapshot, grant, capability, version, caller)
        if rest == ["ready"]:
            ready = bool(deployment.addresses)
            return json({"name": name, "ready": ready}, 200 if ready else 503)
        return json(metadata_of(capability, deployment, grant))

    def _grant(self, request: Request, target: Target) -> Grant:
        """Who calls. Raises Refused with 401 or 403."""
        aim = target.aim
        if aim is not None and aim.epoch == self.epoch:
            grant: Grant | None = aim.grant
        elif target.key is None:
            raise Refused(
                401,
                "This call has no key. Send the header 'Authorization: Bearer <key>' with a key of your "
                "subscription; the portal's Subscriptions page makes one.",
            )
        else:
            grant = self.snapshot.grant(target.key)
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

    # --- inference: the ordinary call is two callbacks; one that has to wait for more goes on as a task

    def _infer(self, call: Call) -> None:
        """One call from key to log. Everything that had a valid key is logged, refusals too."""
        try:
            grant = call.grant = self._grant(call.request, call.target)
        except Refused as refusal:
            call.send(self.refuse(refusal))
            return
        try:
            self.calls.check()
            self._aim(call, grant)
            check_body(call.request)
            call.admission = self.limiter.admit_now(grant)
            if call.admission is None or not self._send(call):
                self._spawn(self._go_on(call))
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)

    def _aim(self, call: Call, grant: Grant) -> None:
        """Find the deployment; the way is the same until the snapshot changes. Raises Refused."""
        target = call.target
        aim = target.aim
        if aim is None or aim.epoch != self.epoch:
            capability = call.capability = self._capability(grant, target.name)
            caller = caller_of(call.request.head, grant)
            deployment, stage = choose_route(self.snapshot, grant, capability, target.version, caller)
            aim = target.aim = Aim(self.epoch, grant, capability, deployment, stage)
        call.aim, call.stage = aim, aim.stage
        call.capability, call.deployment = aim.capability, aim.deployment

    def _send(self, call: Call) -> bool:
        """Send the call over a kept connection; False when there is none."""
        deployment = call.deployment
        assert deployment is not None
        replica = call.replica = choose_replica(self.pool, deployment, self.config.in_flight_per_replica)
        deadline = time.monotonic() + call.target.seconds
        return self.pool.send(
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
            self._spawn(self._go_on(call))
        else:
            self._fail(call, found)

    async def _go_on(self, call: Call) -> None:
        """The same with waiting: for limits, for a new connection, for another replica."""
        try:
            if call.admission is None:
                assert call.grant is not None
                call.admission = await self.limiter.admit(call.grant)
            answer = await self._forward(call)
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)
        else:
            self._finish(call, answer)

    async def _forward(self, call: Call) -> Answer:
        """Send the call to a replica, and to another one when the first dies without a word.

        Raises Refused, Died or TooSlow.
        """
        deployment = call.deployment
        assert deployment is not None
        head, body = request_head(call, deployment), call.request.body
        deadline = time.monotonic() + call.target.seconds
        limit = self.config.in_flight_per_replica
        call.replica = choose_replica(self.pool, deployment, limit)
        try:
            return await self.pool.call(call.replica, head, body, deadline)
        except Died as death:
            if not death.untouched:
                raise
            call.replica = choose_replica(self.pool, deployment, limit, but=call.replica)
            self.metrics.add("atrium_gateway_retries_total")
            return await self.pool.call(call.replica, head, body, deadline)

    def _finish(self, call: Call, answer: Answer) -> None:
        """The runner has answered: write it down, then pass it on."""
        try:
            self._log(call, answer)
            if self.config.fsync_each_call:
                self._spawn(self._deliver_when_on_disk(call, answer))
            else:
                self._deliver(call, answer)
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)

    async def _deliver_when_on_disk(self, call: Call, answer: Answer) -> None:
        try:
            await self.calls.on_disk()
            self._deliver(call, answer)
        except Exception as problem:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(call, problem)

    def _deliver(self, call: Call, answer: Answer) -> None:
        if call.capability is not None and call.capability.shadow:
            self._mirror(call, call.capability)
        self._end(call, answer.status, self._answer(call, answer))

    def _fail(self, call: Call, problem: Exception) -> None:
        """The call ends without the runner's answer."""
        if isinstance(problem, LogFull):
            self.metrics.add("atrium_gateway_log_full_total")
            self._end(call, 503, self.refuse(log_full(), call.id))
            return
        refusal = refusal_of(call, problem)
        if refusal is None:
            log.error("a call failed", exc_info=problem)
            self._end(call, 500, self.refuse(failed(), call.id))
        else:
            self._end(call, refusal.status, self._refused(call, refusal))

    def _end(self, call: Call, status: int, response: Response) -> None:
        """Give back what the call has taken, count it, and answer. Called once for each call."""
        if call.admission is not None:
            call.admission.release(refund=status >= 500)
        self.metrics.call(
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
        body = answer.body if answer.status < 400 else as_problem(answer, call.id)
        status = answer.status if answer.status >= 200 else 502
        return Response(status, body, lines, headers.get(b"content-type", b"application/json"))

    def _refused(self, call: Call, refusal: Refused) -> Response:
        """Log a refusal without the payload: nobody can fill the disk with calls that are not served."""
        try:
            self.calls.append(call.facts(refusal.status, refusal.kind))
        except LogFull:
            return self.refuse(log_full(), call.id)
        return self.refuse(refusal, call.id)

    # --- the log

    def _log(self, call: Call, answer: Answer, *, kind: str = "call") -> None:
        """Write a call down with its bodies; the ingester moves those above the plan's limit to files."""
        assert call.capability is not None
        assert call.deployment is not None
        if self._is_ordinary(call, answer):
            assert call.aim is not None
            self.calls.append(call.record(call.aim), call.request.body, answer.body)
            return
        call.values = answer.headers.get(VALUES, b"")
        facts = call.facts(answer.status, "" if answer.status < 400 else error_of(answer.status), kind=kind)
        request, body = call.request.body, answer.body
        if binary := answer.headers.get(BINARY_LENGTH):
            facts["answer_json_bytes"] = binary.decode("latin-1")
        if coding := call.request.head.headers.get(ENCODING):
            facts["request_coding"] = coding.decode("latin-1")
        if call.deployment.sensitive:
            request, body = self._seal(call, facts, request, body)
        limit = self._limit(call, call.capability)
        if len(request) > limit or len(body) > limit:
            facts["limit"] = limit
        self.calls.append(facts, request, body)

    def _is_ordinary(self, call: Call, answer: Answer) -> bool:
        """Whether a record has nothing but its bodies and the usual facts."""
        aim = call.aim
        if aim is None or answer.status != 200 or not call.target.plain or aim.deployment.sensitive:
            return False
        if VALUES in answer.headers or BINARY_LENGTH in answer.headers:
            return False
        limit = self._limit(call, aim.capability)
        return len(call.request.body) <= limit and len(answer.body) <= limit

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
        if values := facts.pop("values", ""):
            sealer = self.sealers.of(call.capability.seal, call.id)
            facts["values"], sealed["values"] = sealing.without_values(values, rules, sealer)
        facts["sealed"] = sealed
        return kept["inputs"], kept["outputs"]

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
        shadow = Call(call.request, call.target, nobody)
        shadow.grant, shadow.capability, shadow.deployment = call.grant, capability, deployment
        task = asyncio.get_running_loop().create_task(self._shadow(shadow))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, call: Call) -> None:
        call.request.started = time.perf_counter()
        try:
            self._log(call, await self._forward(call), kind="shadow")
        except LogFull:
            return
        except (Refused, Died, TooSlow) as problem:
            refusal = refusal_of(call, problem)
            assert refusal is not None
            with suppress(LogFull):
                self.calls.append(call.facts(refusal.status, refusal.kind, kind="shadow"))


def json(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


def only(request: Request, *methods: str) -> None:
    """Raises Refused with 405."""
    head = request.head
    if head.method not in methods:
        refusal = Refused(405, f"{head.path[:200]} takes {' and '.join(methods)}, not {head.method}.")
        refusal.lines = lines_of([(b"allow", ", ".join(methods).encode())])
        raise refusal


def nobody(response: Response) -> None:
    """Who waits for a shadow's answer."""


def check_body(request: Request) -> None:
    """What can be said of a body without its model. Raises Refused with 400 or 411's kind."""
    if not request.body:
        raise Refused(400, 'The body is empty; send {"inputs": [{"name", "shape", "datatype", "data"}]}.')
    declared = request.head.headers.get(BINARY_LENGTH)
    if declared is not None and not (declared.isdigit() and int(declared) <= len(request.body)):
        raise Refused(
            400,
            f"Inference-Header-Content-Length is {declared.decode('latin-1')[:50]!r}; it must be the length of "
            f"the JSON at the start of the body, which has {len(request.body)} bytes.",
        )


def refusal_of(call: Call, problem: Exception) -> Refused | None:
    """What the caller is told when a call has failed; None for what nobody foresaw."""
    if isinstance(problem, Refused):
        return problem
    deployment = call.deployment
    if deployment is None or not isinstance(problem, Died | TooSlow):
        return None
    model = f"{deployment.capability} {deployment.version}"
    if isinstance(problem, TooSlow):
        return Refused(
            504,
            f"The model {model} did not answer within {call.target.seconds:g} s; send fewer rows per call, "
            "or give it more time.",
        )
    if problem.untouched:
        return not_ready(deployment)
    return Refused(
        502,
        f"The model {model} broke off its answer: {problem}. Its team sees this call in the log.",
        kind="runner-died",
    )


def failed() -> Refused:
    """The refusal when something went wrong that nobody foresaw."""
    return Refused(500, "The gateway failed on this call; it has been noted. Try again later.")


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
