"""Administration: the way to everything that only administrators change, and the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts import audit_trail
from apps.accounts.models import Site, Team, User
from apps.accounts.policy import may_administer
from apps.core import heartbeats, menu
from apps.core.errors import Invalid
from apps.core.models import AuditEntry, Heartbeat
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse


@login_required
def administration(request: HttpRequest) -> HttpResponse:
    """What an administrator looks after, and which parts of the portal are alive."""
    require(may_administer(request.user))
    beats = {beat.part: beat for beat in Heartbeat.objects.all()}
    context = {
        "counts": {
            "people": User.objects.filter(is_active=True).count(),
            "teams": Team.objects.count(),
            "sites": Site.objects.count(),
        },
        "parts": [(part, state, beats.get(part)) for part, state in heartbeats.states().items()],
        "now": timezone.now(),
        "pages": menu.administration_pages(),
        "unsealed": AuditEntry.objects.filter(position=None).count(),
    }
    return render(request, "accounts/administration.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def audit_log(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first; the button recomputes the whole chain."""
    require(may_administer(request.user))
    verification = audit_trail.verify() if request.method == "POST" else None
    wrong = ""
    try:
        rows = audit_trail.entries(request.GET)
    except Invalid as error:
        rows, wrong = AuditEntry.objects.none(), error.message
    page = keyset(rows, ("-pk",), request.GET.get("cursor", ""), 50)
    context = {"page": page, "verification": verification, "filters": request.GET, "wrong": wrong}
    return render(request, "accounts/audit.html", context | {"last": audit_trail.last_verified()})


@login_required
@require_safe
def export_audit(request: HttpRequest, form: str) -> StreamingHttpResponse:
    """All entries that fit the filters, as CSV or JSON lines."""
    return audit_trail.download(request.user, form, request.GET)
