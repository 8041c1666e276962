"""Refusals: what is wrong, with which value, and what to do. RFC 9457 plus the `error` of OIP v2."""

from __future__ import annotations

from http import HTTPStatus

import orjson

KINDS = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "content-too-large",
    422: "unprocessable-content",
    429: "rate-exceeded",
    431: "headers-too-large",
    500: "internal-error",
    502: "bad-answer",
    503: "temporary-reduced-capacity",
    504: "deadline-exceeded",
}


TYPES = {"overloaded": KINDS[503]}
"""Problem types of kinds that the log calls by another name."""


class Refused(Exception):
    """The call ends here with this status; the message is for the caller."""

    def __init__(self, status: int, detail: str, *, kind: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind or KINDS[status]
        self.retry_after = retry_after
        self.lines = b""
        """More lines for the head of the answer."""

    def body(self, request_id: str) -> bytes:
        """The problem document; `error` is what clients of the inference protocol read."""
        return orjson.dumps(
            {
                "type": f"urn:atrium:problem:{TYPES.get(self.kind, self.kind)}",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "instance": f"urn:uuid:{request_id}",
                "error": self.detail,
            }
        )
