"""The workshop: a team's capabilities, one capability, its description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.catalog import cards, services
from apps.catalog.forms import CapabilityForm, DeprecationForm, NewCapabilityForm
from apps.catalog.models import Capability, Version
from apps.catalog.policy import (
    may_add_version,
    may_build,
    may_edit_capability,
    may_publish_capability,
)
from apps.catalog.selectors import capabilities_built_by, get_capability, matching, versions_of
from apps.core.errors import Invalid
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django import forms
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


def show_error(form: forms.BaseForm, error: Invalid) -> None:
    """Put a domain error where the form shows it."""
    told = {name: text for name, text in error.fields.items() if name in form.fields}
    for name, text in told.items():
        form.add_error(name, text)
    if not told:
        form.add_error(None, error.message)


def _with_versions(capabilities: QuerySet[Capability]) -> QuerySet[Capability]:
    newest = Version.objects.filter(capability=OuterRef("pk"), status=Version.Status.PACKAGED).order_by("-pk")
    return capabilities.annotate(
        latest=Subquery(newest.values("number")[:1]),
        versions_count=Count("versions"),
        failed_count=Count("versions", filter=Q(versions__status=Version.Status.FAILED)),
    )


@login_required
@require_GET
def capability_list(request: HttpRequest) -> HttpResponse:
    """The capabilities of the teams in which I build, test or operate."""
    user = cast("User", request.user)
    rows = _with_versions(matching(capabilities_built_by(user), request.GET.get("q", "")))
    status = request.GET.get("status", "")
    if status in Capability.Status.values:
        rows = rows.filter(status=status)
    context = {
        "page": keyset(rows, ("name", "pk"), request.GET.get("cursor", ""), 30),
        "q": request.GET.get("q", ""),
        "status": status,
        "statuses": Capability.Status.choices,
        "may_create": teams_of(user, Role.DEVELOPER).exists(),
    }
    return render(request, "catalog/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Describe a new capability."""
    user = cast("User", request.user)
    form = NewCapabilityForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST" and form.is_valid():
        values = dict(form.cleaned_data)
        try:
            capability = services.create_capability(values.pop("slug"), by=user, **values)
        except Invalid as error:
            show_error(form, error)
        else:
            messages.success(request, _("The capability is described. Upload its first version now."))
            return redirect("catalog:upload", slug=capability.slug)
    return render(request, "catalog/create.html", {"form": form})


def built(request: HttpRequest, slug: str) -> Capability:
    """The capability of an address, for somebody who may see its workshop pages."""
    capability = get_capability(slug, user=request.user)
    require(may_build(request.user, capability))
    return capability


@login_required
@require_GET
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """One capability: card, facts, versions, and what can be done with it."""
    capability = built(request, slug)
    user = cast("User", request.user)
    page = keyset(versions_of(capability), ("-pk",), request.GET.get("cursor", ""), 20)
    context: dict[str, Any] = {
        "capability": capability,
        "page": page,
        "card_missing": cards.missing_sections(capability.card),
        "may_edit": may_edit_capability(user, capability),
        "may_publish": may_publish_capability(user, capability),
        "may_add_version": may_add_version(user, capability),
        "can_publish": Capability.lifecycle.can(capability, "published"),
        "can_withdraw": capability.status == Capability.Status.PUBLISHED,
        "deprecation": _deprecation_form(capability),
    }
    return render(request, "catalog/detail.html", context)


def _deprecation_form(capability: Capability) -> DeprecationForm | None:
    """To say that it will go, or another day for it; None where it cannot be said."""
    if capability.status == Capability.Status.DEPRECATED:
        told = {"retires_on": capability.retires_on, "note": capability.deprecation_note}
        return DeprecationForm(initial=told)
    return DeprecationForm() if Capability.lifecycle.can(capability, "deprecated") else None


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change what is said about a capability; what runs stays as it is."""
    capability = built(request, slug)
    user = cast("User", request.user)
    require(may_edit_capability(user, capability))
    names = ("name", "summary", "domain", "visibility", "card")
    initial = {name: getattr(capability, name) for name in names} | {"tags": ", ".join(capability.tags)}
    form = CapabilityForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.edit_capability(capability, by=user, **form.cleaned_data)
        except Invalid as error:
            show_error(form, error)
        else:
            messages.success(request, _("Saved. What runs is not affected."))
            return redirect("catalog:detail", slug=slug)
    return render(request, "catalog/edit.html", {"form": form, "capability": capability})


@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """The card as it will look."""
    text = request.POST.get("card", "")[: services.capabilities.LARGEST_CARD]
    return render(request, "catalog/_card.html", {"html": cards.render(text)})


@login_required
@require_POST
def publish(request: HttpRequest, slug: str) -> HttpResponse:
    """Show it in the store."""
    services.publish_capability(built(request, slug), by=cast("User", request.user))
    messages.success(request, _("It is in the store now."))
    return redirect("catalog:detail", slug=slug)


@login_required
@require_POST
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    """Take it out of the store."""
    services.withdraw_capability(built(request, slug), by=cast("User", request.user))
    messages.success(request, _("It is out of the store. Existing subscriptions keep working."))
    return redirect("catalog:detail", slug=slug)


@login_required
@require_POST
def deprecate(request: HttpRequest, slug: str) -> HttpResponse:
    """Tell that it will go."""
    capability = built(request, slug)
    form = DeprecationForm(request.POST)
    if not form.is_valid():
        raise Invalid(_("The date cannot be read. Write it as year-month-day."))
    services.deprecate_capability(capability, by=cast("User", request.user), **form.cleaned_data)
    messages.success(request, _("It is marked as deprecated in the store."))
    return redirect("catalog:detail", slug=slug)
