"""Administration: the way to everything that only administrators change, and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_http_methods

from apps.accounts.models import Site, Team, User
from apps.accounts.policy import may_administer
from apps.core import audit, menu
from apps.core.models import AuditEntry, Heartbeat
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse


@login_required
def administration(request: HttpRequest) -> HttpResponse:
    """What an administrator looks after, and which parts of the portal are alive."""
    require(may_administer(request.user))
    context = {
        "counts": {
            "people": User.objects.filter(is_active=True).count(),
            "teams": Team.objects.count(),
            "sites": Site.objects.count(),
        },
        "heartbeats": Heartbeat.objects.order_by("part"),
        "now": timezone.now(),
        "pages": menu.administration_pages(),
        "unsealed": AuditEntry.objects.filter(position=None).count(),
    }
    return render(request, "accounts/administration.html", context)


def _filtered(request: HttpRequest) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.all()
    for name, lookup in (("action", "action__startswith"), ("actor", "actor_name"), ("urn", "urn")):
        if value := request.GET.get(name, "").strip():
            rows = rows.filter(**{lookup: value})
    zone = timezone.get_current_timezone()
    for name, lookup in (("since", "at__date__gte"), ("until", "at__date__lte")):
        try:
            day = parse_date(request.GET.get(name, ""))
        except ValueError:
            day = None
        if day:
            rows = rows.filter(**{lookup: datetime(day.year, day.month, day.day, tzinfo=zone).date()})
    return rows


@login_required
@require_http_methods(["GET", "POST"])
def audit_log(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first; the button recomputes the whole chain."""
    require(may_administer(request.user))
    verification = audit.verify() if request.method == "POST" else None
    page = keyset(_filtered(request), ("-pk",), request.GET.get("cursor", ""), 50)
    context = {"page": page, "verification": verification, "filters": request.GET}
    return render(request, "accounts/audit.html", context)
