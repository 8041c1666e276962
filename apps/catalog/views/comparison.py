"""The page that puts versions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.catalog.comparison import Side, compare, text_difference
from apps.catalog.selectors import MOST_COMPARED, side_of, versions_of, versions_to_compare
from apps.catalog.views.capabilities import built

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

_OFFERED = 100


@login_required
@require_GET
def compare_versions(request: HttpRequest, slug: str) -> HttpResponse:
    """Two to six versions side by side; without a choice, the two newest."""
    capability = built(request, slug)
    offered = list(versions_of(capability)[:_OFFERED])
    chosen = [number for number in request.GET.getlist("versions") if number]
    asked = bool(chosen)
    if not asked:
        chosen = [version.number for version in reversed(offered[:2])]
    context: dict[str, Any] = {
        "capability": capability,
        "offered": offered,
        "chosen": chosen,
        "most": MOST_COMPARED,
        "only_different": request.GET.get("show") != "all",
    }
    if asked or len(chosen) == 2:
        user = cast("User", request.user)
        sides = [side_of(each, user=user) for each in versions_to_compare(capability, chosen, user=user)]
        context |= {
            "sides": sides,
            "sections": compare(sides),
            "cards": _card_differences(sides),
        }
    return render(request, "catalog/compare.html", context)


def _card_differences(sides: list[Side]) -> list[dict[str, Any]]:
    """What each version's card says otherwise than the first one's."""
    return [{"number": side.number, "lines": text_difference(sides[0].card, side.card)} for side in sides[1:]]
