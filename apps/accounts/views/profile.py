"""A person's own pages: profile, password, tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services, sessions
from apps.accounts.forms import PasswordForm, ProfileForm, TokenForm, show
from apps.accounts.models import PersonalToken
from apps.core.errors import Invalid, NotFound
from apps.core.package import install_line

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


@login_required
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Name, language, theme, time zone, and the roles that one holds."""
    user = cast("User", request.user)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        with override(user.language):
            messages.success(request, _("Your profile is saved."))
        response = redirect("accounts:profile")
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, max_age=365 * 86400, samesite="Lax")
        return response
    memberships = user.memberships.select_related("team", "team__site").order_by("team__name", "role")
    return render(request, "accounts/profile.html", {"form": form, "memberships": memberships})


@login_required
@require_http_methods(["GET", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """Change one's password; other sessions end."""
    user = cast("User", request.user)
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            with transaction.atomic():
                services.change_password(user, old=given["old_password"], new=given["new_password"])
                sessions.keep(request, user)
        except Invalid as error:
            show(form, error)
        else:
            messages.success(request, _("Your password is changed. Other sessions of yours have ended."))
            return redirect("accounts:profile")
    return render(request, "accounts/password.html", {"form": form})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """Personal tokens; a new one is shown this once."""
    user = cast("User", request.user)
    form = TokenForm(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        _token, secret = services.create_token(
            user, form.cleaned_data["name"], by=user, expires_at=form.expires_at
        )
        form = TokenForm()
    rows = user.tokens.filter(job_id=None, revoked_at=None).order_by("-pk")[:100]
    login = f"atrium login --url {settings.ATRIUM.web_url} --gateway {settings.ATRIUM.gateway_url}"
    context = {"form": form, "tokens": rows, "secret": secret}
    context["command_line"] = f"{install_line()}\n{login}\natrium search"
    return render(request, "accounts/tokens.html", context)


@login_required
@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of one's tokens."""
    user = cast("User", request.user)
    token = PersonalToken.objects.filter(user=user, pk=pk).first()
    if token is None:
        raise NotFound(_("There is no such token of yours."))
    services.revoke_token(token, by=user)
    messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("accounts:tokens")
