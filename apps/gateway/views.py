"""Pages of the call log: what was asked, what was answered, and whether it was right."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.catalog.models import Capability
from apps.catalog.policy import may_build
from apps.catalog.selectors import get_capability
from apps.core.errors import Invalid
from apps.core.paging import Page, keyset
from apps.core.policy import require
from apps.gateway import payloads
from apps.gateway.actions import actions_for, actions_for_list, marks_of
from apps.gateway.asked import FILTERS, narrowed
from apps.gateway.forms import RetentionForm
from apps.gateway.models import SEALED_VALUES, STEPS, Call, DataKey
from apps.gateway.policy import may_set_retention, may_unmask
from apps.gateway.retention import days_of, kept_until
from apps.gateway.scanning import MOST_CHARACTERS, Condition, expression_of, look
from apps.gateway.sealed import has_sealed, is_hidden, masked, masked_values, shown
from apps.gateway.selectors import (
    callers_of,
    calls_visible_to,
    capabilities_called,
    get_call,
    kept_calls,
    names_of,
    outcomes_of,
    overloads_visible_to,
    site_of,
)
from apps.gateway.services import documents_of, give_feedback, set_retention, unmask_call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

    from apps.accounts.models import User

_SUGGESTED = 100
_FURTHER = ("site", "subscriber", "feedback", "score_from", "field", "value", "where")
ASKED = ("capability", *FILTERS, "shadow", "field", "value", "where")


@login_required
@require_GET
def call_list(request: HttpRequest) -> HttpResponse:
    """Calls of one's teams' capabilities and keys, newest first."""
    user = cast("User", request.user)
    asked = {name: request.GET.get(name, "")[:MOST_CHARACTERS] for name in ASKED}
    capabilities = capabilities_called(user)
    rows = narrowed(calls_visible_to(user, shadow=bool(asked["shadow"])), asked, capabilities)
    cursor = request.GET.get("cursor", "")
    looked = where_error = None
    condition = ""
    try:
        condition = expression_of(asked)
        looked = look(rows, Condition(condition), cursor) if condition else None
    except Invalid as error:
        where_error = error.message
    if looked is not None:
        page: Page[Call] = Page(looked.items, looked.next_cursor, "")
    else:
        page = Page([], "", "") if where_error else keyset(rows, ("-at", "-request_id"), cursor, 50)
    names = names_of(page.items, user)
    outcomes = outcomes_of([call.request_id for call in page.items])
    callers = callers_of(page.items)
    context = {
        "page": page,
        "rows": [
            (call, names.get(call.capability_id, ""), callers.get(call.grant_id, ""), outcomes.get(call.request_id))
            for call in page.items
        ],
        "asked": asked,
        "filtered": any(asked.values()),
        "looked": looked,
        "where_error": where_error,
        "export_url": "" if where_error else _export_url(asked | {"where": condition}, user),
        "more_filters": any(asked[name] for name in _FURTHER),
        "overloads": overloads_visible_to(user).filter(last_at__gte=timezone.now() - timedelta(days=1))[:5],
        "actions": actions_for_list(user, page.items),
        "retention_url": _retention_url(asked["capability"], user),
        "capabilities": capabilities.order_by("-changed_at").values_list("slug", flat=True)[:_SUGGESTED],
        "spans": [("hour", _("the last hour")), ("day", _("the last day")), ("week", _("the last week"))],
        "outcomes": [
            ("answered", _("Answered")), ("failed", _("Refused or failed")), ("complained", _("Called wrong"))
        ],
        "feedbacks": [("right", _("Right")), ("wrong", _("Wrong")), ("none", _("None yet"))],
    }  # fmt: skip
    return render(request, "gateway/list.html", context)


def _retention_url(slug: str, user: User) -> str:
    """The page of a capability's retention, for those who build it."""
    capability = Capability.objects.select_related("team").filter(slug=slug).first() if slug else None
    return reverse("calls:retention", args=[slug]) if capability and may_build(user, capability) else ""


def _export_url(asked: Mapping[str, str], user: User) -> str:
    """Where the calls that are shown are made a data set version of, for those who build the capability."""
    capability = Capability.objects.select_related("team").filter(slug=asked["capability"]).first()
    if capability is None or asked["shadow"] or not may_build(user, capability):
        return ""
    narrowing = {name: asked[name] for name in (*FILTERS, "where") if asked[name]}
    return f"{reverse('calls:export-new', args=[capability.slug])}?{urlencode(narrowing)}"


@login_required
@require_GET
def detail(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """One call with its bodies; what is encrypted stays so."""
    user = cast("User", request.user)
    call = get_call(request_id, user=user)
    documents = documents_of(call) | {"logged": masked_values(call.logged)}
    return render(request, "gateway/detail.html", _shown(call, user, documents))


@login_required
@require_POST
def unmask(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """The same with the encrypted fields read, this once."""
    user = cast("User", request.user)
    call = get_call(request_id, user=user)
    opened = unmask_call(call, by=user)
    context = _shown(call, user, opened) | {"is_masked": False}
    for outcome in context["outcomes"]:
        said = opened["feedback"].get(str(outcome.pk))
        if isinstance(said, dict):
            outcome.expected, outcome.comment = said["expected"], said["comment"]
    response = render(request, "gateway/detail.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _shown(call: Call, user: User, documents: Mapping[str, Any]) -> dict[str, Any]:
    logged = documents["logged"]
    outcomes = outcomes_of([call.request_id]).get(call.request_id, [])
    hidden: list[Any] = [call.logged.get(SEALED_VALUES)] if isinstance(call.logged, dict) else []
    hidden += [outcome.expected for outcome in outcomes]
    for outcome in outcomes:
        outcome.expected = shown(outcome.expected)
    return {
        "call": call,
        "capability": names_of([call], user).get(call.capability_id, ""),
        "request_text": _pretty(masked(documents["request"])),
        "response_text": _pretty(masked(documents["response"])),
        "request_size": payloads.size_of(call, "request"),
        "response_size": payloads.size_of(call, "response"),
        "is_masked": any(isinstance(each, dict) and is_hidden(each) and "sealed" in each for each in hidden)
        or has_sealed(documents["request"])
        or has_sealed(documents["response"]),
        "may_unmask": may_unmask(user, call),
        "parsed_text": _pretty(call.parsed),
        "logged_text": _pretty({name: value for name, value in logged.items() if name != STEPS}),
        "steps": _steps(logged),
        "outcomes": outcomes,
        "caller": callers_of([call]).get(call.grant_id, ""),
        "site": site_of(call),
        "kept_until": kept_until(call),
        "actions": actions_for(user, call),
        "marks": marks_of(user, call),
    }


def _steps(logged: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a composite capability, each with its share of the time for the bar."""
    told = logged.get(STEPS)
    steps = [step for step in told if isinstance(step, dict)] if isinstance(told, list) else []
    times = [step["ms"] if isinstance(step.get("ms"), int | float) else 0.0 for step in steps]
    total = sum(times) or 1.0
    return [
        {
            "name": str(step.get("name", place + 1)),
            "ms": ms,
            "share": ms / total,
            "output_text": _pretty(step.get("outputs")),
        }
        for place, (step, ms) in enumerate(zip(steps, times, strict=True))
    ]


@login_required
@require_GET
def payload(request: HttpRequest, request_id: UUID, which: str) -> HttpResponse:
    """A body that lies in a file, whole; what is encrypted in it stays so."""
    call = get_call(request_id, user=cast("User", request.user))
    response = HttpResponse(payloads.read(call, which), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{call.request_id}-{which}.json"'
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_http_methods(["GET", "POST"])
def retention(request: HttpRequest, slug: str) -> HttpResponse:
    """For how long a capability's calls are kept."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_build(user, capability))
    form = RetentionForm(request.POST or None, initial={"days": days_of(capability)})
    if request.method == "POST" and form.is_valid():
        set_retention(capability, form.cleaned_data["days"], by=user)
        messages.success(request, _("It is kept; older calls are deleted within the hour."))
        return redirect("calls:retention", slug)
    count, oldest = kept_calls(capability)
    context = {
        "capability": capability,
        "form": form,
        "days": days_of(capability),
        "count": count,
        "oldest": oldest,
        "keys": DataKey.objects.filter(capability=capability).count(),
        "may_set": may_set_retention(user, capability),
    }
    return render(request, "gateway/retention.html", context)


def _pretty(document: object) -> str:
    """JSON for reading: one line per tensor rather than one per number."""
    if document == {}:
        return ""
    if not isinstance(document, dict):
        return "" if document is None else json.dumps(document, ensure_ascii=False)
    lines = [f"  {json.dumps(name)}: {_value(value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _value(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value) + "\n  ]"
    return json.dumps(value, ensure_ascii=False)


@login_required
@require_POST
def feedback(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Say whether the answer was right."""
    user = cast("User", request.user)
    call: Call = get_call(request_id, user=user)
    correct = {"right": True, "wrong": False}.get(request.POST.get("correct", ""))
    give_feedback(call, correct=correct, comment=request.POST.get("comment", ""), by=user)
    messages.success(request, _("Thank you, it is noted with the call."))
    return redirect("calls:detail", request_id)
