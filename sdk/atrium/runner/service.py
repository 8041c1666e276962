"""What a runner answers to each path, apart from HTTP itself.

GET  /v2                              server metadata
GET  /v2/health/live | ready          the process answers | the model has passed its cases
GET  /v2/models/<name>[/versions/<v>][/ready]
POST /v2/models/<name>[/versions/<v>]/infer
POST /v2/repository/index
GET  /atrium/status                   counters
POST /atrium/swap {"package": path}   load another package, run its cases, switch, drain the old one

The portal itself starts a replica beside the old one, so that two versions can share the traffic. A swap is for who
runs a runner alone, at an edge site with the memory for one. Through the gateway no path below /atrium/ is reached.
"""

import asyncio
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atrium import jsontext, logged
from atrium.oip.arrays import Array, to_array
from atrium.oip.messages import Request, decode_request
from atrium.oip.tensors import InvalidTensor
from atrium.package import InvalidPackage
from atrium.runner.answers import encode
from atrium.runner.batching import DEFAULT_TIMEOUT_S, Answer, Batcher, ModelFailed, Overloaded
from atrium.runner.replica import describe, load_replica
from atrium.signature import check_inputs
from atrium.told import Told, tell

JSON_LENGTH = b"inference-header-content-length"
ENCODING = b"content-encoding"
TIMEOUT = b"x-atrium-timeout-ms"
DRAIN_S = 30.0
MAX_LOG_BYTES = 16 * 1024
MAX_PLAIN = 64 << 20
INLINE_BODY = 64 << 10  # a larger call would hold up the others: it goes to the worker thread
WINDOWS = {b"gzip": 31, b"deflate": 15}
VALUES = b"atrium-values"

Headers = Mapping[bytes, bytes]


@dataclass(slots=True)
class Reply:
    """Status, body and the headers beyond content type and length."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = b"application/json"


def reply(status: int, document: Any) -> Reply:
    return Reply(status, jsontext.dumps(document))


def refusal(status: int, message: str) -> Reply:
    return reply(status, {"error": message})


def _not_ready(why: str, **more: Any) -> Reply:
    """Why no call is answered; `told` is what the sentence is made of, for readers of another language."""
    told = {"told": why.parts()} if isinstance(why, Told) else {}
    return reply(503, {"ready": False, **more, "error": why, **told})


def _why(error: Exception) -> str:
    """What is wrong with a package in its own words; what else went wrong with its kind."""
    words = error.args[0] if isinstance(error, InvalidPackage) and error.args else None
    return words if isinstance(words, Told) else f"{type(error).__name__}: {error}"


class Service:
    """The one model that this process serves, and the doors to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.active: Batcher | None = None
        self.failure = ""
        self.started_at = time.time()
        self._names: frozenset[str] = frozenset()

    async def load(self, path: Path | None = None) -> None:
        """Load a package beside what runs, and switch when its cases have passed."""
        replica = await asyncio.to_thread(load_replica, path or self.path)
        old, self.active = self.active, Batcher(replica)
        name, version = replica.package.capability, replica.package.version
        base = f"/v2/models/{name}"
        self._names = frozenset({f"{base}/infer", f"{base}/versions/{version}/infer"})
        self.failure = ""
        if old is not None:
            await self._drain(old)

    async def start(self) -> None:
        """Load the first package; a failure stays, with its reason, in the answer to `ready`."""
        try:
            await self.load()
        except Exception as error:
            self.failure = _why(error)
            print(f"The model cannot be served. {self.failure}", flush=True)
            return
        assert self.active is not None
        facts = describe(self.active.replica)
        print(
            "Ready: {capability} {version}, {framework} by {runtime}, {cases} shipped cases passed, "
            "{call_ms} ms a call".format(**facts),
            flush=True,
        )

    async def _drain(self, old: Batcher) -> None:
        until = time.monotonic() + DRAIN_S
        while not old.idle and time.monotonic() < until:
            await asyncio.sleep(0.02)
        old.close()

    def answer_now(self, method: str, path: str, headers: Headers, body: bytes) -> Reply | None:
        """Answer without waiting where that is possible, else None: then `answer` must be awaited."""
        active = self.active
        if active is None or not active.replica.inline or len(body) > INLINE_BODY:
            return None
        if path not in self._names or method != "POST":
            return None
        try:
            request, arrays = _arrays(active, headers, body)
            return self._write(active, request, active.answer_now(arrays))
        except Exception as error:
            return _refuse(error)

    async def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        """The reply to any request; never raises."""
        try:
            if method == "POST":
                return await self._post(path, headers, body)
            if method not in ("GET", "HEAD"):
                return refusal(405, f"{method} is not answered here; use GET or POST")
            return self._get(path)
        except Exception as error:
            return _refuse(error)

    async def _post(self, path: str, headers: Headers, body: bytes) -> Reply:
        if path == "/v2/repository/index":
            return reply(200, [self._index()])
        if path == "/atrium/swap":
            return await self._swap(body)
        active = self.active
        if active is None:
            return self._unready()
        if path not in self._names:
            return self._unknown(path)
        return await self._infer(active, headers, body)

    async def _infer(self, active: Batcher, headers: Headers, body: bytes) -> Reply:
        request, arrays = _arrays(active, headers, body)
        if active.replica.inline and len(body) <= INLINE_BODY:
            return self._write(active, request, active.answer_now(arrays))
        first = next(iter(arrays.values()))
        items = first.shape[0] if first.shape else 1
        answer = await active.answer(arrays, items, _timeout(headers), request.parameters)
        return self._write(active, request, answer)

    def _write(self, active: Batcher, request: Request, answer: Answer) -> Reply:
        package = active.replica.package
        names = _chosen(request, [spec.name for spec in package.signature.outputs])
        if request.parameters.get("binary_data_output") or request.outputs:
            binary = request.binary_outputs(names)
        else:
            binary = set()
        body, length, complete = encode(package, request.id, names, answer.outputs, binary)
        values = answer.log if complete else answer.log | {logged.NOT_FINITE: True}
        headers = [(VALUES, _bounded(values))] if values else []
        if length is None:
            return Reply(200, body, headers)
        headers.append((JSON_LENGTH, str(length).encode()))
        return Reply(200, body, headers, b"application/octet-stream")

    def _get(self, path: str) -> Reply:
        if path == "/v2":
            extensions = ["binary_tensor_data", "model_repository"]
            return reply(200, {"name": "atrium-runner", "version": "2", "extensions": extensions})
        if path == "/v2/health/live":
            return reply(200, {"live": True})
        if path == "/v2/health/ready":
            return self._ready()
        if path == "/atrium/status":
            return reply(200, self.status())
        return self._model(path)

    def _ready(self) -> Reply:
        """Ready until a call hangs: then whoever watches must replace this process."""
        if self.active is None:
            return self._unready()
        if seconds := self.active.hangs_for_s:
            return _not_ready(
                tell("the model has been at one call for %(seconds)d s", seconds=round(seconds))
            )
        return reply(200, {"ready": True})

    def _model(self, path: str) -> Reply:
        active = self.active
        parts = path.strip("/").split("/")
        if active is None:
            return self._unready()
        ready = parts[-1] == "ready"
        if ready:
            parts = parts[:-1]
        if f"/{'/'.join(parts)}/infer" not in self._names:
            return self._unknown(path)
        package = active.replica.package
        return reply(200, {"name": package.capability, "ready": True} if ready else package.metadata())

    def _unknown(self, path: str) -> Reply:
        assert self.active is not None
        package = self.active.replica.package
        return refusal(
            404, f"{path} is not answered here; this runner serves {package.capability} {package.version}"
        )

    def _unready(self) -> Reply:
        if self.failure:
            return _not_ready(self.failure, failed=True)
        answer = _not_ready(tell("the model is being loaded; try again in a second"))
        answer.headers.append((b"retry-after", b"1"))
        return answer

    def _index(self) -> dict[str, str]:
        if self.active is None:
            return {"name": "", "version": "", "state": "UNAVAILABLE", "reason": self.failure or "loading"}
        package = self.active.replica.package
        return {"name": package.capability, "version": package.version, "state": "READY", "reason": ""}

    async def _swap(self, body: bytes) -> Reply:
        try:
            path = Path(jsontext.loads(body)["package"])
        except (ValueError, KeyError, TypeError):
            return refusal(400, 'send {"package": "<folder>"}')
        try:
            await self.load(path)
        except Exception as error:
            return refusal(409, f"the old version stays: {type(error).__name__}: {error}")
        return reply(200, self.status())

    def status(self) -> dict[str, Any]:
        """Counters and facts of the replica."""
        facts: dict[str, Any] = {"ready": self.active is not None, "reason": self.failure}
        if self.active is not None:
            counters = self.active.counters
            facts |= describe(self.active.replica)
            facts |= {
                "calls": counters.calls,
                "failed": counters.failed,
                "shed": counters.shed,
                "waiting": self.active.waiting,
                "batches": counters.batches,
                "largest_batch": counters.largest_batch,
                "batch_ms": round(counters.batch_s * 1000, 3),
            }
        return facts | {"up_s": round(time.time() - self.started_at, 1)}


def _arrays(active: Batcher, headers: Headers, body: bytes) -> tuple[Request, Mapping[str, Array]]:
    """A request and its checked inputs; raises InvalidTensor."""
    if JSON_LENGTH not in headers and ENCODING not in headers:
        found = active.reader.read(body)
        if found is not None:
            return found
    request = _read(headers, body, active.reader.datatypes)
    arrays = active.reader.take(request.inputs)
    if arrays is None:
        check_inputs(active.replica.package.signature, request.inputs)
        arrays = {tensor.name: to_array(tensor) for tensor in request.inputs}
    return request, arrays


def _read(headers: Headers, body: bytes, datatypes: Mapping[str, str]) -> Request:
    if ENCODING in headers:
        body = _plain_body(headers, body)
    text = headers.get(JSON_LENGTH)
    if text is None:
        return decode_request(body, None, datatypes)
    if not text.isdigit() or len(text) > 12:
        raise InvalidTensor("Inference-Header-Content-Length must be a whole number")
    return decode_request(body, int(text), datatypes)


def _timeout(headers: Headers) -> float:
    text = headers.get(TIMEOUT, b"")
    return min(int(text) / 1000, DEFAULT_TIMEOUT_S) if text.isdigit() and text else DEFAULT_TIMEOUT_S


def _chosen(request: Request, names: list[str]) -> list[str]:
    if not request.outputs:
        return names
    asked = [output.name for output in request.outputs]
    for name in asked:
        if name not in names:
            raise InvalidTensor(f"unknown output '{name}'; this capability gives {', '.join(names)}")
    return asked


def _bounded(values: dict[str, Any]) -> bytes:
    """Logged values as one line of ASCII JSON for a header; what does not fit is named, not kept."""
    kept: dict[str, Any] = {}
    size = 0
    for name, value in values.items():
        entry = logged.plain(value)
        try:
            size += len(json.dumps(entry)) + len(name)
        except ValueError:
            entry = str(value)[:1000]
        kept[name] = (
            entry if size <= MAX_LOG_BYTES else f"(left out: a call's log holds {MAX_LOG_BYTES} bytes)"
        )
    return json.dumps(kept, separators=(",", ":")).encode()


def _plain_body(headers: Headers, body: bytes) -> bytes:
    """The body without its compression; a bomb is refused before it unfolds."""
    coding = headers.get(ENCODING, b"identity").strip().lower()
    if coding in (b"identity", b""):
        return body
    if coding not in WINDOWS:
        raise InvalidTensor("Content-Encoding must be gzip, deflate or identity")
    unpacker = zlib.decompressobj(WINDOWS[coding])
    try:
        plain = unpacker.decompress(body, MAX_PLAIN)
    except zlib.error as error:
        raise InvalidTensor(
            f"the body is not {coding.decode()}: {error}; pack it so, or leave out Content-Encoding"
        ) from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise InvalidTensor(f"the unpacked body is cut off, or larger than {MAX_PLAIN >> 20} MiB")
    return plain


def _refuse(error: Exception) -> Reply:
    if isinstance(error, InvalidTensor):
        return refusal(422, str(error))
    if isinstance(error, Overloaded):
        answer = refusal(503, f"{error}; try again later")
        answer.headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
        return answer
    if isinstance(error, TimeoutError):
        return refusal(504, "the model did not answer in time; send fewer items, or try again later")
    if isinstance(error, ModelFailed):
        return refusal(500, f"the model failed on this input: {error}")
    print(f"The runner failed: {type(error).__name__}: {error}", flush=True)
    return refusal(500, f"the runner failed: {type(error).__name__}; its team sees more in its log")
