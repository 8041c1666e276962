"""Try it: a form from the signature, one real call, the answer in words and as a chart."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.catalog.models import Capability, Version
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.instances.models import Deployment
from apps.store import adapters, attribution, inputs, selectors, services
from apps.store.figures import heat_figure, probabilities_figure, series_figure, weights_figure
from apps.store.reading import asked_series, expected_of, marked_text, read_answer
from apps.store.views.capability import context_of


@login_required
def try_it(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows the form (filled from `?case=`), POST asks and shows the answer."""
    context = context_of(request, slug, "try")
    require(context["may_try"])
    context["comparable"] = selectors.comparable(cast("User", request.user), context["capability"])
    context["try_url"] = reverse("store:try", args=[slug])
    version = _version_to_try(context)
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


def _version_to_try(context: dict[str, Any]) -> Version | None:
    """The version in production; before there is one, for those who build it, the newest that runs for tests."""
    answering: Version | None = context["answering"]
    tested = next((deployment for deployment in context["comparable"].values() if deployment), None)
    return answering or (tested.version if tested else None)


def _prefill(request: HttpRequest, context: dict[str, Any], groups: list[inputs.Group]) -> None:
    cases = selectors.cases_of(context["version"])
    context["cases"] = [(number, case.get("name") or str(number + 1)) for number, case in enumerate(cases)]
    wanted = request.GET.get("case", "")
    if wanted.isdecimal() and int(wanted) < len(cases):
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
        numbers = _numbers(context, request.POST.getlist("version"))
        answers = [_ask(user, context["capability"], tensors, *number) for number in numbers]
        answer = answers[0]
        context |= told_of(answer, context["version"].signature, tensors)
        if len(answers) > 1:
            context["sides"] = [
                {"answer": each} | told_of(each, context["version"].signature, tensors) for each in answers
            ]
    context |= {"answer": answer, "wrong": tensors is None, "explains": _explains(context)}
    fragment = bool(request.headers.get("HX-Request"))
    if not fragment:
        _prefill(request, context, groups)
    status = 422 if tensors is None else 200
    return render(request, "store/_try_answer.html" if fragment else "store/try.html", context, status=status)


def _explains(context: dict[str, Any]) -> bool:
    return attribution.takes_many(context["version"].signature)


def _numbers(context: dict[str, Any], chosen: list[str]) -> list[tuple[str, Deployment | None]]:
    """Which versions to ask: at most two of those that a person may name; without a name the production route,
    and before there is one the newest that runs for tests.
    """
    known: dict[str, Deployment | None] = context["comparable"]
    wanted = [(number, known[number]) for number in dict.fromkeys(chosen) if number in known]
    return wanted[:2] or ([("", None)] if context["answering"] else list(known.items())[:1])


def _ask(
    user: User,
    capability: Capability,
    tensors: list[dict[str, Any]],
    version: str = "",
    deployment: Deployment | None = None,
) -> adapters.Answer:
    """Call as this person, one version by its number where one is named."""
    _grant, key = services.trial_grant(user, capability, deployment)
    return adapters.infer(capability.slug, tensors, key=key, version="" if deployment else version)


@require_POST
@login_required
def why(request: HttpRequest, slug: str) -> HttpResponse:
    """What the answer rests on: one more call with every part of the input taken away in turn."""
    user = cast("User", request.user)
    context = context_of(request, slug, "try")
    require(context["may_try"])
    context["comparable"] = selectors.comparable(user, context["capability"])
    version = _version_to_try(context)
    tensors = inputs.read(inputs.form_of(version.signature), request.POST.dict()) if version else None
    if version is None or tensors is None or not attribution.takes_many(version.signature):
        raise Invalid(_("This input cannot be explained. Ask first, then ask why."))
    try:
        asked = attribution.question(version.signature, tensors, selectors.cases_of(version))
    except ValueError as error:
        raise Invalid(_("This input is too large to be explained.")) from error
    answer = _ask(user, context["capability"], asked.tensors, *_numbers(context, [])[0])
    context |= {"answer": answer}
    if answer.ok:
        unit, weights = attribution.weigh(asked, version.signature, answer.body.get("outputs", []))
        context |= _why_told(unit, weights, version.signature)
    else:
        context["advice"] = _advice(answer)
    return render(request, "store/_try_why.html", context)


def _why_told(unit: str, weights: list[attribution.Weight], signature: dict[str, Any]) -> dict[str, Any]:
    named = [(_part_words(weight.part), weight.weight) for weight in weights]
    told: dict[str, Any] = {
        "unit": unit,
        "weights": sorted(weights, key=lambda weight: -abs(weight.weight))[:20],
        "nothing": all(abs(weight.weight) < (1e-9 if unit == "value" else 5e-4) for weight in weights),
        "weights_chart": weights_figure(named, unit),
    }
    shapes = {spec["name"]: list(spec["shape"])[1:] for spec in signature["inputs"]}
    image = next((name for name, shape in shapes.items() if len(shape) == 2 and min(shape) > 0), "")
    if image:
        told["heat"] = heat_figure(_grid([w for w in weights if w.part.tensor == image], shapes[image]))
    return told


def _part_words(part: attribution.Part) -> str:
    label = part.label if len(part.label) <= 28 else part.label[:27] + "…"
    return f"{label} = {part.value}" if part.value else label


def _grid(weights: list[attribution.Weight], shape: list[int]) -> list[list[float]]:
    height, width = shape
    rows = [[0.0] * width for _row in range(height)]
    for weight in weights:
        for place in weight.part.places:
            rows[place // width][place % width] = round(weight.weight, 6)
    return rows


def told_of(
    answer: adapters.Answer, signature: dict[str, Any], asked: list[dict[str, Any]]
) -> dict[str, Any]:
    """What a template shows of an answer: in words, as charts, and what to do where there is none."""
    if not answer.ok:
        return {"advice": _advice(answer)}
    reading = read_answer(signature, answer.body.get("outputs", []))
    told: dict[str, Any] = {"reading": reading, "raw": answer.body}
    if reading.probabilities:
        told["figure"] = probabilities_figure(reading)
    if reading.series:
        told["series_figure"] = series_figure(asked_series(signature, asked), reading.series)
    if reading.places is not None:
        told["marked"] = marked_text(signature, asked, reading.places)
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
