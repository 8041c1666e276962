"""Composing a version of others: a form with a live picture of the graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.catalog import pictures, services
from apps.catalog.forms import CompositeForm
from apps.catalog.models import Capability, Version
from apps.catalog.policy import may_add_version
from apps.catalog.selectors import possible_members, suggested_number
from apps.catalog.services import composites
from apps.catalog.views.capabilities import built, show_error
from apps.core.errors import Invalid, PortalError
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

ROWS = 6


@login_required
@require_http_methods(["GET", "POST"])
def compose(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose members and a shape; the graph is pinned by digest and packaged as one version."""
    capability = built(request, slug)
    user = cast("User", request.user)
    require(may_add_version(user, capability))
    form = CompositeForm(
        request.POST if request.method == "POST" else None, initial={"number": suggested_number(capability)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            members, document = _asked(request, capability, user)
            made = services.create_composite(
                capability,
                form.cleaned_data["number"],
                members=members,
                document=document,
                by=user,
                changelog=form.cleaned_data["changelog"],
            )
            services.package_version(made, by=user)
        except Invalid as error:
            show_error(form, error)
        else:
            return redirect("catalog:version", slug=slug, number=made.number)
    context = {"capability": capability, "form": form, "rows": _rows(request, capability, user)}
    return render(request, "catalog/compose.html", context | _picture(request, capability, user))


@login_required
@require_POST
def picture(request: HttpRequest, slug: str) -> HttpResponse:
    """The picture of what the form says now, or why it cannot be wired."""
    capability = built(request, slug)
    user = cast("User", request.user)
    return render(request, "catalog/_graph.html", _picture(request, capability, user))


def _rows(request: HttpRequest, capability: Capability, user: User) -> list[dict[str, Any]]:
    chosen, values = request.POST.getlist("member"), request.POST.getlist("value")
    offered = list(possible_members(capability, user=user))
    return [
        {
            "chosen": chosen[at] if at < len(chosen) else "",
            "value": values[at] if at < len(values) else "",
            "offered": offered,
        }
        for at in range(ROWS)
    ]


def _asked(
    request: HttpRequest, capability: Capability, user: User
) -> tuple[dict[str, Version], dict[str, Any]]:
    """The members and the graph that the form says. Raises Invalid."""
    offered = {str(version.pk): version for version in possible_members(capability, user=user)}
    values = request.POST.getlist("value")
    pairs = [
        (offered[key], values[at] if at < len(values) else "")
        for at, key in enumerate(request.POST.getlist("member"))
        if key in offered
    ]
    members = composites.name_members([version for version, _value in pairs])
    signatures = composites.check_members(members, by=user)
    written = request.POST.get("graph", "").strip()
    if written:
        try:
            document = json.loads(written)
        except ValueError as error:
            raise Invalid(
                _("The graph is no JSON: %(why)s") % {"why": error}, fields={"graph": str(error)}
            ) from error
    else:
        document = composites.graph_of_shape(
            request.POST.get("shape", ""),
            signatures,
            on=request.POST.get("on", "").strip(),
            values=[value for _version, value in pairs],
        )
    composites.check_graph(document, signatures)
    return members, document


def _picture(request: HttpRequest, capability: Capability, user: User) -> dict[str, Any]:
    """What the picture's fragment shows."""
    if not any(request.POST.getlist("member")):
        return {"waiting": True}
    try:
        members, document = _asked(request, capability, user)
        graph = composites.check_graph(document, composites.check_members(members, by=user))
    except PortalError as error:
        return {"refusal": error.message}
    return {
        "picture": pictures.draw(graph, {name: str(version) for name, version in members.items()}),
        "signature": graph.signature.to_json(),
        "document": document,
    }
