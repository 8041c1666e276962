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
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.store import adapters, attribution, inputs, selectors, services
from apps.store.figures import heat_figure, probabilities_figure, series_figure, weights_figure
from apps.store.reading import asked_series, marked_text, read_answer
from apps.store.views.capability import context_of


@login_required
def try_it(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows the form (filled from `?case=`), POST asks and shows the answer."""
    context = context_of(request, slug, "try")
    require(context["may_try"])
    context["comparable"] = selectors.comparable(cast("User", request.user), context["capability"])
    context["try_url"] = reverse("store:try", args=[slug])
    version = services.version_to_try(cast("User", request.user), context["capability"])
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
    if wanted.isdecimal() and int(wanted) < len(cases):
        inputs.fill(groups, cases[int(wanted)]["inputs"])
        context["case"] = int(wanted)
    elif not cases and wanted == "example":
        inputs.fill_from_signature(groups)
    context["has_example"] = not cases and inputs.fill_from_signature(
        inputs.form_of(context["version"].signature)
    )


def _answer(request: HttpRequest, context: dict[str, Any], groups: list[inputs.Group]) -> HttpResponse:
    tensors = inputs.read(groups, request.POST.dict())
    answer = None
    if tensors is not None:
        wanted = [number for number in request.POST.getlist("version") if number in context["comparable"]]
        user = cast("User", request.user)
        answers = services.ask(context["capability"], tensors, by=user, versions=wanted)
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


@require_POST
@login_required
def why(request: HttpRequest, slug: str) -> HttpResponse:
    """What the answer rests on: one more call with every part of the input taken away in turn."""
    user = cast("User", request.user)
    context = context_of(request, slug, "try")
    require(context["may_try"])
    version = services.version_to_try(user, context["capability"])
    tensors = inputs.read(inputs.form_of(version.signature), request.POST.dict()) if version else None
    if version is None or tensors is None:
        raise Invalid(_("This input cannot be explained. Ask first, then ask why."))
    explained = services.explain(context["capability"], tensors, by=user)
    context["answer"] = explained.answer
    if explained.answer.ok:
        context |= _why_told(explained.unit, explained.weights, version.signature)
    else:
        context["advice"] = services.advice(explained.answer)
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
        return {"advice": services.advice(answer)}
    reading = read_answer(signature, answer.body.get("outputs", []))
    told: dict[str, Any] = {"reading": reading, "raw": answer.body}
    if reading.probabilities:
        told["figure"] = probabilities_figure(reading)
    if reading.series:
        told["series_figure"] = series_figure(asked_series(signature, asked), reading.series)
    if reading.places is not None:
        told["marked"] = marked_text(signature, asked, reading.places)
    return told


@require_POST
@login_required
def feedback(request: HttpRequest, slug: str) -> HttpResponse:
    """Tell whether an answer was right, and what would have been."""
    user = cast("User", request.user)
    context = context_of(request, slug, "try")
    require(context["may_try"])
    correct = request.POST.get("correct") == "1"
    label = request.POST.get("expected", "").strip()[:500]
    sent = services.report_answer(
        context["capability"],
        request.POST.get("request_id", ""),
        correct=correct,
        label=label,
        comment=request.POST.get("comment", "").strip(),
        by=user,
    )
    context |= {"sent": sent, "correct": correct, "label": label}
    return render(request, "store/_feedback.html", context)
