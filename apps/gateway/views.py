"""Pages of the call log: what was asked, what was answered, and whether it was right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.core.paging import keyset
from apps.gateway.asked import narrowed
from apps.gateway.models import Call
from apps.gateway.selectors import calls_visible_to, capabilities_called, get_call, outcomes_of
from apps.gateway.services import give_feedback

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

ASKED = ("capability", "version", "since", "outcome", "score_below", "shadow")


@login_required
@require_GET
def call_list(request: HttpRequest) -> HttpResponse:
    """Calls of one's teams' capabilities and keys, newest first."""
    user = cast("User", request.user)
    asked = {name: request.GET.get(name, "")[:100] for name in ASKED}
    capabilities = capabilities_called(user)
    rows = narrowed(calls_visible_to(user, shadow=bool(asked["shadow"])), asked, capabilities)
    page = keyset(rows, ("-at", "-request_id"), request.GET.get("cursor", ""), 50)
    names = {pk: slug for slug, pk in capabilities.items()}
    outcomes = outcomes_of([call.request_id for call in page.items])
    context = {
        "page": page,
        "rows": [(call, names.get(call.capability_id or 0, ""), outcomes.get(call.request_id)) for call in page.items],
        "asked": asked,
        "filtered": any(asked.values()),
        "capabilities": sorted(capabilities),
        "spans": [("hour", _("the last hour")), ("day", _("the last day")), ("week", _("the last week"))],
        "outcomes": [
            ("answered", _("Answered")), ("failed", _("Refused or failed")), ("complained", _("Called wrong"))
        ],
    }  # fmt: skip
    return render(request, "gateway/list.html", context)


@login_required
@require_GET
def detail(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """One call with its bodies."""
    user = cast("User", request.user)
    call = get_call(request_id, user=user)
    names = {pk: slug for slug, pk in capabilities_called(user).items()}
    context = {
        "call": call,
        "capability": names.get(call.capability_id or 0, ""),
        "request_text": _pretty(call.request_document),
        "response_text": _pretty(call.response_document),
        "parsed_text": _pretty(call.parsed),
        "outcomes": outcomes_of([request_id]).get(request_id, []),
    }
    return render(request, "gateway/detail.html", context)


def _pretty(document: object) -> str:
    """JSON for reading: one line per tensor rather than one per number."""
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
