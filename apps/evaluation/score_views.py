"""The page of a version's ML Test Score: what is proven, what is claimed, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.catalog.selectors import get_version
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.evaluation import charts, evidence
from apps.evaluation.policy import may_claim, may_see_evaluations
from apps.evaluation.selectors import latest_report
from apps.evaluation.testscore import Section

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


@login_required
@require_GET
def score(request: HttpRequest, version_pk: int) -> HttpResponse:
    """All 28 items by section."""
    user = cast("User", request.user)
    version = get_version(version_pk, user=user)
    require(may_see_evaluations(user, version.capability))
    found = evidence.score_of(version)
    names = section_names()
    sections = [
        (names[section], found.sections[section], [item for item in found.items if item.section is section])
        for section in Section
    ]
    context = {
        "version": version,
        "score": found,
        "sections": sections,
        "weakest": names[min(found.sections, key=lambda section: found.sections[section])],
        "figure": charts.score_by_section([(name, points) for name, points, _items in sections]),
        "may_claim": may_claim(user, version.capability),
        "report": latest_report(version),
    }
    return render(request, "evaluation/score.html", context)


def section_names() -> dict[Section, str]:
    """The sections in the reader's language."""
    return {
        Section.DATA: _("Data and features"),
        Section.MODEL: _("Model"),
        Section.INFRASTRUCTURE: _("Infrastructure"),
        Section.MONITORING: _("Monitoring"),
    }


@login_required
@require_POST
def claim(request: HttpRequest, version_pk: int) -> HttpResponse:
    """Claim an item for the capability, or take the claim back with an empty text."""
    user = cast("User", request.user)
    version = get_version(version_pk, user=user)
    item, text = request.POST.get("item", ""), request.POST.get("comment", "")
    try:
        if "withdraw" in request.POST:
            evidence.withdraw_claim(version.capability, item, by=user)
            messages.success(request, _("The claim is withdrawn."))
        else:
            evidence.claim(version.capability, item, text, by=user)
            messages.success(request, _("It counts half a point, under your name."))
    except Invalid as error:
        messages.error(request, error.message)
    return redirect("evaluation:score", version_pk)
