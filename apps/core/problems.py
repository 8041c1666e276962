"""The one table that turns the domain's errors into HTTP and socket answers (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.core.errors import (
    Conflict,
    IllegalMove,
    Invalid,
    NotAllowed,
    NotFound,
    PortalError,
    StaleWrite,
    Unavailable,
)


@dataclass(frozen=True)
class Problem:
    """How one kind of error is told: HTTP status, problem type, title."""

    status: int
    type: str
    title: str | Promise


_TABLE: tuple[tuple[type[PortalError], Problem], ...] = (
    (NotAllowed, Problem(403, "not-allowed", _("Not allowed"))),
    (NotFound, Problem(404, "not-found", _("Not found"))),
    (Invalid, Problem(422, "invalid", _("Cannot be accepted"))),
    (StaleWrite, Problem(409, "stale-write", _("Somebody else was faster"))),
    (IllegalMove, Problem(409, "illegal-move", _("Not possible in this state"))),
    (Conflict, Problem(409, "conflict", _("Conflict"))),
    (Unavailable, Problem(503, "unavailable", _("Temporarily unavailable"))),
    (PortalError, Problem(400, "bad-request", _("Cannot be done"))),
)


_SOCKETS = 4000
NOT_LOGGED_IN = _SOCKETS + 401


def problem_of(error: PortalError) -> Problem:
    """The row of the table for an error's class."""
    return next(problem for kind, problem in _TABLE if isinstance(error, kind))


def close_code(error: type[PortalError]) -> int:
    """The code with which a socket is closed for an error: 4000 and its HTTP status (4401 is `NOT_LOGGED_IN`)."""
    return _SOCKETS + next(problem for kind, problem in _TABLE if issubclass(error, kind)).status


def body_of(error: PortalError, *, instance: str = "") -> dict[str, object]:
    """The `application/problem+json` body of an error."""
    problem = problem_of(error)
    body: dict[str, object] = {
        "type": f"urn:atrium:problem:{problem.type}",
        "title": str(problem.title),
        "status": problem.status,
        "detail": error.message,
    }
    if instance:
        body["instance"] = instance
    if isinstance(error, Invalid) and error.fields:
        body["fields"] = error.fields
    return body | {key: value for key, value in error.facts.items() if key not in body}
