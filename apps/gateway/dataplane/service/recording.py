"""What the log keeps of a call: its facts and bodies, without what the signature calls sensitive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apps.gateway.dataplane import sealing
from apps.gateway.dataplane.call import BINARY_LENGTH, ENCODING
from apps.gateway.dataplane.service.refusals import error_of

if TYPE_CHECKING:
    from apps.gateway.dataplane.call import Call
    from apps.gateway.dataplane.service.parts import Parts
    from apps.gateway.dataplane.upstream import Answer

VALUES = b"atrium-values"


class Recorder:
    """Writes down the calls that a runner has answered. Raises LogFull."""

    def __init__(self, parts: Parts) -> None:
        self._config, self._calls, self._sealers = parts.config, parts.calls, parts.sealers

    def record(self, call: Call, answer: Answer, *, kind: str = "call", error: str | None = None) -> None:
        """Write a call down with its bodies; the ingester moves those above the plan's limit to files.

        `error` is its kind of error where the status does not tell it.
        """
        assert call.capability is not None
        assert call.deployment is not None
        if self._is_ordinary(call, answer):
            assert call.aim is not None
            self._calls.append(call.record(call.aim), call.request.body, answer.body)
            return
        call.values = answer.headers.get(VALUES, b"")
        if error is None:
            error = "" if answer.status < 400 else error_of(answer.status)
        facts = call.facts(answer.status, error, kind=kind)
        request, body = call.request.body, answer.body
        if binary := answer.headers.get(BINARY_LENGTH):
            facts["answer_json_bytes"] = binary.decode("latin-1")
        if coding := call.request.head.headers.get(ENCODING):
            facts["request_coding"] = coding.decode("latin-1")
        if call.deployment.sensitive:
            request, body = self._seal(call, facts, request, body)
        limit = self._limit(call)
        if len(request) > limit or len(body) > limit:
            facts["limit"] = limit
        self._calls.append(facts, request, body)

    def _is_ordinary(self, call: Call, answer: Answer) -> bool:
        """Whether a record has nothing but its bodies and the usual facts."""
        aim = call.aim
        if aim is None or answer.status != 200 or not call.target.plain or aim.deployment.sensitive:
            return False
        if VALUES in answer.headers or BINARY_LENGTH in answer.headers:
            return False
        limit = self._limit(call)
        return len(call.request.body) <= limit and len(answer.body) <= limit

    def _limit(self, call: Call) -> int:
        """Bodies above this are kept as files: what the plan says, else the gateway."""
        of_plan = call.grant.limits.payload_bytes if call.grant else None
        return self._config.payload_bytes if of_plan is None else of_plan

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
                sealer = self._sealers.of(call.capability.seal, call.id)
                found = sealing.without_sensitive(text, json_bytes, key, rules.get(key, {}), sealer)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                kept[key] = b""
                continue
            kept[key] = found.body
            sealed[key] = found.tensors
            if found.json_bytes:
                facts["request_json_bytes" if key == "inputs" else "answer_json_bytes"] = found.json_bytes
        if values := facts.pop("values", ""):
            sealer = self._sealers.of(call.capability.seal, call.id)
            facts["values"], sealed["values"] = sealing.without_values(values, rules, sealer)
        facts["sealed"] = sealed
        return kept["inputs"], kept["outputs"]
