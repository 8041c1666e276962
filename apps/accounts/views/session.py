"""Logging in and out, language and theme."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.accounts import services
from apps.accounts.forms import LANGUAGES, LoginForm
from apps.accounts.models import User
from apps.accounts.throttling import address_of

_A_YEAR_S = 365 * 86400
_TOO_MANY = 429


class Login(LoginView):
    """The door. It names the sample accounts as long as they exist."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        samples = User.objects.filter(sample=True, is_active=True).order_by("pk")
        return super().get_context_data(**kwargs) | {
            "samples": list(samples.values_list("username", flat=True)),
            "single_sign_on": settings.ATRIUM.oidc_name if settings.ATRIUM.oidc_url else "",
        }

    def form_valid(self, form: Any) -> HttpResponse:
        is_new = form.get_user().last_login is None
        response = super().form_valid(form)
        services.note_login(form.get_user(), way="password", address=address_of(self.request))
        if is_new:
            services.start_in_zone(form.get_user(), self.request.COOKIES)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        response = self.render_to_response(
            self.get_context_data(form=form), status=_TOO_MANY if form.wait_s else 200
        )
        if form.wait_s:
            response["Retry-After"] = str(form.wait_s)
        return response


class Logout(LogoutView):
    """The way out."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            services.note_logout(request.user, address=address_of(request))
        return super().post(request, *args, **kwargs)


def _back(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "/")
    return redirect(target if url_has_allowed_host_and_scheme(target, {request.get_host()}) else "/")


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Switch the language: in the profile, and in a cookie for the login page."""
    wanted = request.POST.get("language", "")
    response = _back(request)
    if wanted in LANGUAGES:
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, wanted, max_age=_A_YEAR_S, samesite="Lax")
        if request.user.is_authenticated:
            services.save_preferences(request.user, language=wanted)
    return response


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light or dark."""
    wanted = request.POST.get("theme", "")
    response = HttpResponse(status=204)
    if wanted in User.Theme.values:
        response.set_cookie("atrium_theme", wanted, max_age=_A_YEAR_S, samesite="Lax")
        if request.user.is_authenticated:
            services.save_preferences(request.user, theme=wanted)
    return response
