"""Turns the domain's errors into answers: a page for people, problem+json for programs."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import render
from django.utils.translation import gettext as _

from apps.core.errors import NotFound, PortalError
from apps.core.problems import body_of, problem_of
from apps.core.texts import require_kept, unkept


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller is a program: the API's paths, or JSON preferred to HTML."""
    return request.path.startswith(("/api/", "/internal/")) or (
        request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    )


class CompressionMiddleware(GZipMiddleware):
    """Sends text that was made for one answer compressed; files stream as they are stored.

    A page has its CSRF token masked anew each time, and the random padding hides its length (BREACH).
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if response.streaming or kind not in _COMPRESSED:
            return response
        return super().process_response(request, response)


_COMPRESSED = frozenset(
    {
        "text/html",
        "text/csv",
        "application/json",
        "application/problem+json",
        "application/vnd.oai.openapi+json",
    }
)


TAKEN_COOKIE = "atrium_taken"
ANSWERED = frozenset({422, 429})
"""Refusals that bring the form back with what was typed: it has arrived."""


class ErrorsMiddleware:
    """Answers a `PortalError` that a view let through; tells a page that its form arrived (static/js/drafts.js)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if _is_form(request) and (response.status_code < 400 or response.status_code in ANSWERED):
            response.set_cookie(TAKEN_COOKIE, "1", max_age=60, samesite="Lax", secure=request.is_secure())
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, PortalError):
            return None
        return answer(request, exception)


class TextsMiddleware:
    """Refuses an address or a form with a character that no text can be kept with, before anything reads it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            if named := unkept(request.path_info):
                raise NotFound(
                    _("Nothing has an address with the character %(code)s in it.") % {"code": named}
                )
            require_kept([unquote(request.META.get("QUERY_STRING", ""))])
        except PortalError as error:
            return answer(request, error)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponse | None:
        if request.method != "POST" or request.path.startswith(("/api/", "/internal/")):
            return None
        try:
            for name, values in request.POST.lists():
                require_kept([name, *(str(value) for value in values)])
        except PortalError as error:
            return answer(request, error)
        return None


def _is_form(request: HttpRequest) -> bool:
    """Whether a page was left for this answer: not what a program, a script of a page or htmx sends."""
    if request.method != "POST" or request.path.startswith(("/api/", "/internal/")):
        return False
    return (
        request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        and "HX-Request" not in request.headers
    )


def answer(request: HttpRequest, error: PortalError) -> HttpResponse:
    """The response to an error, in the form that the caller can read."""
    problem = problem_of(error)
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse(
            body_of(error, instance=request.path),
            status=problem.status,
            content_type="application/problem+json",
        )
    else:
        template = "core/_error_fragment.html" if request.headers.get("HX-Request") else "core/error.html"
        response = render(request, template, {"error": error, "problem": problem}, status=problem.status)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response
