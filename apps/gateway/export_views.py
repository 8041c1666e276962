"""Pages of exports: calls of the log become a data set version."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.policy import may_build
from apps.catalog.selectors import get_capability
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.gateway import exporting
from apps.gateway.asked import FILTERS
from apps.gateway.forms import ExportForm
from apps.gateway.scanning import MOST_CHARACTERS
from apps.gateway.selectors import exports_visible_to

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User
    from apps.gateway.models import CallExport


@login_required
@require_http_methods(["GET", "POST"])
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose the data set; the filters are those of the list that one came from."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_build(user, capability))
    filters = {name: value for name in FILTERS if (value := request.GET.get(name, ""))}
    form = ExportForm(
        user,
        request.POST or None,
        initial={"where": request.GET.get("where", "")[:MOST_CHARACTERS]},
    )
    if request.method == "POST" and form.is_valid():
        asked = filters | {"where": form.cleaned_data["where"]}
        try:
            made = exporting.start_export(capability, form.cleaned_data["dataset"], asked, by=user)
        except Invalid as error:
            form.add_error("where" if form.cleaned_data["where"] else None, error.message)
        else:
            return redirect("calls:export", made.pk)
    page = keyset(
        exports_visible_to(user).filter(capability=capability), ("-pk",), request.GET.get("cursor", ""), 20
    )
    context = {
        "capability": capability,
        "form": form,
        "filters": filters,
        "page": page,
        "most_looked_at": exporting.MOST_LOOKED_AT,
        "most_found": exporting.MOST_FOUND,
    }
    return render(request, "gateway/export_new.html", context, status=422 if form.errors else 200)


def _export_of(request: HttpRequest, pk: int) -> CallExport:
    found = exports_visible_to(cast("User", request.user)).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no export %(pk)d that you may see.") % {"pk": pk})
    return found


@login_required
@require_GET
def export(request: HttpRequest, pk: int) -> HttpResponse:
    """How far an export is, and what came of it."""
    found = _export_of(request, pk)
    template = "_export" if request.headers.get("HX-Request") else "export"
    return render(request, f"gateway/{template}.html", {"export": found, "most": exporting.MOST_LOOKED_AT})


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop it; nothing is kept."""
    exporting.cancel_export(_export_of(request, pk), by=cast("User", request.user))
    return redirect("calls:export", pk)
