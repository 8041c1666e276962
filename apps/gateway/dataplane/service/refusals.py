"""What a caller is told when a call fails: which part did, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from apps.gateway.dataplane.call import BINARY_LENGTH
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.routing import not_ready
from apps.gateway.dataplane.upstream import Answer, Died, TooSlow

if TYPE_CHECKING:
    from apps.gateway.dataplane.call import Call
    from apps.gateway.dataplane.http import Request


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
    kind = {"model": "model-error", "input": "invalid-input"}.get(error_of(answer.status), "overloaded")
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
