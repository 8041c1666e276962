"""The test page of a test deployment: ask it, keep inputs with their answers, run all cases, ship them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import User
from apps.catalog.policy import may_add_version
from apps.core.errors import Conflict, Invalid
from apps.instances import testkeys
from apps.instances.models import Deployment
from apps.store import adapters, inputs, services
from apps.store.cases import cases_to_run, results_of, test_deployment
from apps.store.models import CaseResult, SavedCase
from apps.store.reading import expected_of, labels_of, numbers_in, read_answer, read_numbers
from apps.store.views.trial import told_of
from atrium.oip.tensors import read_json

NOT_PASSED = (CaseResult.Status.FAILED, CaseResult.Status.SKIPPED)


@dataclass(frozen=True)
class Line:
    """One case in the table; `result` is the last one, None before it was run."""

    case: dict[str, Any]
    expected: str
    result: CaseResult | None = None


def _deployment(request: HttpRequest, pk: int) -> Deployment:
    return test_deployment(cast("User", request.user), pk)


def _lines(deployment: Deployment) -> list[Line]:
    results = results_of(deployment)
    return [
        Line(case, _expected_words(deployment, case), results.get(case["key"]))
        for case in cases_to_run(deployment)
    ]


def _expected_words(deployment: Deployment, case: dict[str, Any]) -> str:
    expected = case.get("expected") or []
    if not expected:
        return ""
    reading = read_answer(deployment.version.signature, expected)
    if reading.answer:
        return reading.answer
    return services.in_short(read_json(expected[0]).flat())


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def test_page(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the form (filled from `?case=`) and the cases; POST asks and shows the answer."""
    deployment = _deployment(request, pk)
    groups = inputs.form_of(deployment.version.signature)
    if request.method == "POST":
        return _answer(request, deployment, groups)
    wanted = request.GET.get("case", "")
    lines = _lines(deployment)
    chosen = next((line for line in lines if line.case["key"] == wanted), None)
    if chosen is not None:
        inputs.fill(groups, chosen.case["inputs"])
    elif wanted == "example":
        inputs.fill_from_signature(groups)
    if request.headers.get("HX-Target") == "try-fields":
        return render(request, "store/_try_fields.html", _context(request, deployment, groups, lines))
    return render(request, "store/test.html", _context(request, deployment, groups, lines))


def _context(
    request: HttpRequest, deployment: Deployment, groups: list[inputs.Group], lines: list[Line]
) -> dict[str, Any]:
    user = cast("User", request.user)
    return {
        "deployment": deployment,
        "capability": deployment.capability,
        "version": deployment.version,
        "may_ask": testkeys.may_make(user, deployment),
        "groups": groups,
        "lines": lines,
        "ran": (ran := [line.result for line in lines if line.result]),
        "failed": sum(1 for result in ran if result.status in NOT_PASSED),
        "last": max(ran, key=lambda result: result.at, default=None),
        "may_ship": may_add_version(user, deployment.capability)
        and any(line.case["saved"] and line.case["expected"] for line in lines),
        "has_example": not lines and _has_example(deployment),
        "try_url": reverse("store:test", args=[deployment.pk]),
    }


def _has_example(deployment: Deployment) -> bool:
    return inputs.fill_from_signature(inputs.form_of(deployment.version.signature))


def _answer(request: HttpRequest, deployment: Deployment, groups: list[inputs.Group]) -> HttpResponse:
    fragment = bool(request.headers.get("HX-Request"))
    tensors = inputs.read(groups, request.POST.dict())
    context = _context(request, deployment, groups, [] if fragment else _lines(deployment))
    signature = deployment.version.signature
    context |= {"wrong": tensors is None, "labels": labels_of(signature)}
    if tensors is not None:
        key = services.test_grant(cast("User", request.user), deployment)
        answer = adapters.infer(deployment.capability.slug, tensors, key=key)
        outputs = answer.body.get("outputs", []) if answer.ok else []
        context |= {"answer": answer, **told_of(answer, signature, tensors)}
        context |= {"outputs": json.dumps(outputs), "numbers": numbers_in(signature, outputs)}
    name = "store/_test_answer.html" if fragment else "store/test.html"
    return render(request, name, context, status=422 if tensors is None else 200)


@require_POST
@login_required
def save(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep the form's input, with the answer that was shown, another label, other numbers, or no expected answer."""
    deployment = _deployment(request, pk)
    try:
        _save(deployment, request.POST.dict(), cast("User", request.user))
    except (Invalid, Conflict) as error:
        return _table(request, deployment, problem=error.message)
    return _table(request, deployment)


def _save(deployment: Deployment, posted: dict[str, str], user: User) -> None:
    tensors = inputs.read(inputs.form_of(deployment.version.signature), posted)
    if tensors is None:
        raise Invalid(_("The form has mistakes. Ask once more, then save."))
    services.save_case(
        deployment.capability,
        name=posted.get("case_name", ""),
        inputs=tensors,
        expected=_expected(deployment, posted),
        by=user,
    )


def _expected(deployment: Deployment, posted: dict[str, str]) -> list[dict[str, Any]]:
    """`expect` is answer (as shown), nothing, label with the right one in `label`, or numbers in `number-<output>`."""
    expect, signature = posted.get("expect", "nothing"), deployment.version.signature
    if expect == "nothing":
        return []
    outputs = _outputs(posted.get("outputs", ""))
    if expect == "answer":
        return outputs
    if expect == "numbers":
        return _numbers(signature, outputs, posted)
    value = expected_of(signature, posted.get("label", "")) or {}
    found = [{**output, "data": [value[output["name"]]]} for output in outputs if output["name"] in value]
    if not found:
        raise Invalid(_("Choose the right answer."), fields={"label": _("is missing")})
    return found


def _numbers(
    signature: dict[str, Any], outputs: list[dict[str, Any]], posted: dict[str, str]
) -> list[dict[str, Any]]:
    """The numeric outputs with the values that were typed."""
    found = []
    for number in numbers_in(signature, outputs):
        try:
            values = read_numbers(number, posted.get(f"number-{number.name}", ""))
        except ValueError as error:
            words = _("%(title)s: %(why)s") % {"title": number.title, "why": error}
            raise Invalid(words, fields={f"number-{number.name}": str(error)}) from error
        output = next(each for each in outputs if each["name"] == number.name)
        found.append({**output, "data": values})
    if not found:
        raise Invalid(_("This answer holds no numbers to replace."))
    return found


def _outputs(text: str) -> list[dict[str, Any]]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    outputs = [output for output in given if isinstance(output, dict)] if isinstance(given, list) else []
    if not outputs or not all(isinstance(output.get("name"), str) for output in outputs):
        raise Invalid(_("The answer to save is not there. Ask once more, then save."))
    return outputs


@require_POST
@login_required
def remove(request: HttpRequest, pk: int, case: int) -> HttpResponse:
    """Forget a saved case."""
    deployment = _deployment(request, pk)
    found = get_object_or_404(
        SavedCase.objects.select_related("capability__team"), pk=case, capability=deployment.capability
    )
    services.remove_case(found, by=cast("User", request.user))
    return redirect("store:test", pk)


@require_POST
@login_required
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the deployment every case and show how each went."""
    deployment = _deployment(request, pk)
    services.run_cases(deployment, cases_to_run(deployment), by=cast("User", request.user))
    return _table(request, deployment)


@require_POST
@login_required
def ship(request: HttpRequest, pk: int) -> HttpResponse:
    """A new version whose shipped cases are the present ones and the saved ones."""
    deployment = _deployment(request, pk)
    made = services.ship_cases(deployment.version, by=cast("User", request.user))
    messages.success(
        request,
        _("Version %(number)s ships the saved cases; it is being packaged.") % {"number": made.number},
    )
    return redirect("catalog:version", made.capability.slug, made.number)


def _table(request: HttpRequest, deployment: Deployment, problem: str = "") -> HttpResponse:
    groups = inputs.form_of(deployment.version.signature)
    context = _context(request, deployment, groups, _lines(deployment)) | {"problem": problem}
    fragment = bool(request.headers.get("HX-Request"))
    name = "store/_test_cases.html" if fragment else "store/test.html"
    return render(request, name, context, status=422 if problem else 200)
