"""Shows each page in the person's language and time zone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.utils import timezone, translation

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class PreferencesMiddleware:
    """After authentication: the profile wins over the browser's language."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return self.get_response(request)
        translation.activate(user.language)
        request.LANGUAGE_CODE = user.language
        with timezone.override(user.zone):
            return self.get_response(request)
