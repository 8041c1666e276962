"""What an address that does not exist answers: a page to people, a document to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.defaults import page_not_found

from apps.core.errors import NotFound
from apps.core.problems import body_of

if TYPE_CHECKING:
    from django.http import HttpRequest

_API = "/api/"


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 as the caller reads it (RFC 9457 below `/api/`)."""
    if not request.path.startswith(_API):
        return page_not_found(request, exception)
    error = NotFound(_("There is no such address in the API. /api/schema/ lists all that there are."))
    body = body_of(error, instance=request.path)
    return JsonResponse(body, status=404, content_type="application/problem+json")
