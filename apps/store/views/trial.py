"""Try it: a form from the signature, one real call, the answer in words and as a chart."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.catalog.models import Capability
from apps.core.policy import require
from apps.store import adapters, inputs, selectors, services
from apps.store.figures import probabilities_figure
from apps.store.reading import expected_of, read_answer
from apps.store.views.capability import context_of


@login_required
def try_it(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows the form (filled from `?case=`), POST asks and shows the answer."""
    context = context_of(request, slug, "try")
    require(context["may_try"])
    version = context["answering"]
    context["version"] = version
    if version is None:
        return render(request, "store/try.html", context)
    groups = inputs.form_of(version.signature)
    context |= {"groups": groups, "limits": services.trial_limits(context["capability"])}
    if request.method == "POST":
        return _answer(request, context, groups)
    _prefill(request, context, groups)
    fragment = request.headers.get("HX-Target") == "try-fields"
    return render(request, "store/_try_fields.html" if fragment else "store/try.html", context)


def _prefill(request: HttpRequest, context: dict[str, Any], groups: list[inputs.Group]) -> None:
    cases = selectors.cases_of(context["version"])
    context["cases"] = [(number, case.get("name") or str(number + 1)) for number, case in enumerate(cases)]
    wanted = request.GET.get("case", "")
    if wanted.isdigit() and int(wanted) < len(cases):
        inputs.fill(groups, cases[int(wanted)]["inputs"])
        context["case"] = int(wanted)
    elif not cases and wanted == "example":
        inputs.fill_from_signature(groups)
    context["has_example"] = not cases and inputs.fill_from_signature(
        inputs.form_of(context["version"].signature)
    )


def _answer(request: HttpRequest, context: dict[str, Any], groups: list[inputs.Group]) -> HttpResponse:
    user = cast("User", request.user)
    tensors = inputs.read(groups, request.POST.dict())
    answer = None
    if tensors is not None:
        answer = _ask(user, context["capability"], tensors)
        context |= _told(answer, context["version"].signature)
    context |= {"answer": answer, "wrong": tensors is None}
    fragment = bool(request.headers.get("HX-Request"))
    if not fragment:
        _prefill(request, context, groups)
    status = 422 if tensors is None else 200
    return render(request, "store/_try_answer.html" if fragment else "store/try.html", context, status=status)


def _ask(user: User, capability: Capability, tensors: list[dict[str, Any]]) -> adapters.Answer:
    """Call as this person."""
    _grant, key = services.trial_grant(user, capability)
    return adapters.infer(capability.slug, tensors, key=key)


def _told(answer: adapters.Answer, signature: dict[str, Any]) -> dict[str, Any]:
    if not answer.ok:
        return {"advice": _advice(answer)}
    reading = read_answer(signature, answer.body.get("outputs", []))
    told: dict[str, Any] = {"reading": reading, "raw": answer.body}
    if reading.probabilities:
        told["figure"] = probabilities_figure(reading)
    return told


def _advice(answer: adapters.Answer) -> str:
    """What to do, for each way in which a call can fail."""
    if answer.status == 429:
        return _("The trial's quota is used up for now. Wait, or subscribe to a plan with a larger one.")
    if answer.status in {401, 403}:
        return _("The gateway does not know the trial's key yet. Try again in a few seconds.")
    if answer.status in {0, 502, 503, 504}:
        return _(
            "No running copy answers at the moment. Try again; if it stays so, tell the team that provides it."
        )
    return _("Change the input as the message says and ask again.")


@require_POST
@login_required
def feedback(request: HttpRequest, slug: str) -> HttpResponse:
    """Tell whether an answer was right, and what would have been."""
    user = cast("User", request.user)
    context = context_of(request, slug, "try")
    require(context["may_try"])
    correct = request.POST.get("correct") == "1"
    body: dict[str, Any] = {"request_id": request.POST.get("request_id", "")[:64], "correct": correct}
    label = request.POST.get("expected", "").strip()[:500]
    version = context["answering"]
    if label and not correct and version is not None:
        body["expected"] = expected_of(version.signature, label) or label
    if request.POST.get("comment", "").strip():
        body["comment"] = request.POST["comment"].strip()[:2000]
    _grant, key = services.trial_grant(user, context["capability"])
    context |= {"sent": adapters.send_feedback(body, key=key), "correct": correct, "label": label}
    return render(request, "store/_feedback.html", context)
