"""What an address that does not exist answers, and a portal that cannot: a page to people, a document to programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.defaults import page_not_found, server_error

from apps.core.errors import NotFound, Unavailable
from apps.core.problems import body_of

if TYPE_CHECKING:
    from django.http import HttpRequest

_API = "/api/"
_RETRY_AFTER_S = 5
_AWAY = ("08", "57P")
"""SQLSTATEs of a server that ends, starts or is not there; an error without one never reached a server."""


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 as the caller reads it (RFC 9457 below `/api/`)."""
    if not request.path.startswith(_API):
        return page_not_found(request, exception)
    error = NotFound(_("There is no such address in the API. /api/schema/ lists all that there are."))
    body = body_of(error, instance=request.path)
    return JsonResponse(body, status=404, content_type="application/problem+json")


def broke(request: HttpRequest) -> HttpResponse:
    """What nobody caught: 503 while the database is away, else 500. Neither asks the database for anything."""
    error = sys.exc_info()[1]
    if not _database_is_away(error):
        return _defect(request)
    away = Unavailable(
        _("The database does not answer; it is being restarted. Try again in some seconds."),
        retry_after=_RETRY_AFTER_S,
    )
    if request.path.startswith(_API):
        body = body_of(away, instance=request.path)
        answer: HttpResponse = JsonResponse(body, status=503, content_type="application/problem+json")
    else:
        answer = HttpResponse(_page_of(away, request), status=503)
    answer["Retry-After"] = str(_RETRY_AFTER_S)
    return answer


def _page_of(away: Unavailable, request: HttpRequest) -> str:
    """A page that is asked for again by itself, a form that is not."""
    again_s = _RETRY_AFTER_S if request.method in {"GET", "HEAD"} else None
    return render_to_string("503.html", {"message": away.message, "again_s": again_s})


def _defect(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith(_API):
        return server_error(request)
    body = {
        "type": "urn:atrium:problem:internal",
        "title": _("Something broke on our side"),
        "status": 500,
        "detail": _(
            "It has been written to the portal's log. Try again; if it stays so, tell an administrator."
        ),
        "instance": request.path,
    }
    return JsonResponse(body, status=500, content_type="application/problem+json")


def _database_is_away(error: BaseException | None) -> bool:
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(_AWAY)
