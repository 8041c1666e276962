"""Invitations: those who lead a team send them, whoever has the link accepts."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import invitations, services
from apps.accounts.forms import AcceptForm, InviteForm, show
from apps.accounts.models import User
from apps.accounts.policy import leads_any, may_administer
from apps.core.errors import Conflict, Invalid, NotAllowed
from apps.core.paging import keyset

_BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def list_invitations(request: HttpRequest) -> HttpResponse:
    """Invite by e-mail address, and see what became of it. An administrator may copy the link as well."""
    user = cast("User", request.user)
    if not leads_any(user):
        raise NotAllowed(_("Only administrators and owners of teams invite people."))
    form = InviteForm(request.POST or None, user=user, initial={"team": request.GET.get("team")})
    link = ""
    if request.method == "POST" and form.is_valid():
        try:
            invitation, link = invitations.invite(**form.cleaned_data, by=user)
        except (Conflict, Invalid) as error:
            show(form, error)
        else:
            messages.success(request, _("%(email)s is invited.") % {"email": invitation.email})
            form = InviteForm(user=user)
    return _listed(request, user, form, link)


def _listed(request: HttpRequest, user: User, form: InviteForm, link: str) -> HttpResponse:
    rows = invitations.invitations_visible_to(user)
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), 50)
    shown = link if may_administer(user) else ""
    return render(request, "accounts/invitations.html", {"page": page, "form": form, "link": shown})


@login_required
@never_cache
@require_POST
def send_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a fresh link."""
    user = cast("User", request.user)
    invitation = invitations.get_invitation(pk, user=user)
    link = invitations.send_again(invitation, by=user)
    messages.success(request, _("A fresh letter goes to %(email)s.") % {"email": invitation.email})
    return _listed(request, user, InviteForm(user=user), link)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End an invitation."""
    user = cast("User", request.user)
    invitation = invitations.get_invitation(pk, user=user)
    invitations.revoke(invitation, by=user)
    messages.success(request, _("The invitation of %(email)s is revoked.") % {"email": invitation.email})
    return redirect("accounts:invitations")


@never_cache
@require_http_methods(["GET", "POST"])
def accept(request: HttpRequest, secret: str) -> HttpResponse:
    """The page behind the link: make an account, or take the roles with the one that one has."""
    invitation = invitations.invitation_of(secret)
    if request.user.is_authenticated:
        if request.method == "POST":
            invitations.accept_as(secret, request.user)
            messages.success(request, _("Welcome to the team %(team)s.") % {"team": invitation.team.name})
            return redirect("accounts:team", slug=invitation.team.slug)
        return render(request, "accounts/accept.html", {"invitation": invitation})
    form = AcceptForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            person = invitations.accept_as_new(secret, **form.cleaned_data)
        except Invalid as error:
            show(form, error)
        else:
            login(request, person, backend=_BACKEND)
            services.start_in_zone(person, request.COOKIES)
            messages.success(request, _("Welcome to the team %(team)s.") % {"team": invitation.team.name})
            return redirect("landing")
    known = User.objects.filter(email__iexact=invitation.email).exists()
    return render(request, "accounts/accept.html", {"invitation": invitation, "form": form, "known": known})
