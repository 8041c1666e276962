"""The start page: what waits for me; and the search page."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_GET

from apps.accounts.policy import is_platform_admin, roles_of
from apps.core import menu, search
from apps.core.package import for_programs
from apps.requests.models import Request
from apps.requests.selectors import notifications_of, waiting_for

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


@login_required
@require_GET
def landing(request: HttpRequest) -> HttpResponse:
    """`/`: to the page that fits the role."""
    user = cast("User", request.user)
    roles = roles_of(user) | ({"admin"} if is_platform_admin(user) else set())
    try:
        return redirect(reverse(menu.landing_of(roles) or "home"))
    except NoReverseMatch:
        return redirect("home")


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What waits for me, what I asked for, what was told to me, and where I can go."""
    user = cast("User", request.user)
    roles = roles_of(user) | ({"admin"} if is_platform_admin(user) else set())
    context = {
        "waiting": waiting_for(user).select_related("owner").order_by("-pk")[:8],
        "mine": Request.objects.filter(owner=user).order_by("-pk")[:8],
        "notifications": notifications_of(user).order_by("-pk")[:8],
        "roles": sorted(roles),
    }
    return render(request, "core/home.html", context)


@login_required
@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """Global search: a page, or its results alone for the dropdown."""
    query = request.GET.get("q", "").strip()[:200]
    dropdown = bool(request.headers.get("HX-Request"))
    hits = search.find(cast("User", request.user), query, limit=4 if dropdown else search.MOST_HITS)
    template = "core/_search_results.html" if dropdown else "core/search.html"
    return render(request, template, {"hits": hits, "search_query": query, "dropdown": dropdown})


@login_required
@require_GET
def api_docs(request: HttpRequest) -> HttpResponse:
    """The REST API, to read and to try."""
    store = for_programs(request.build_absolute_uri("/api/v1/store/"))
    first_call = f'curl -H "Authorization: Bearer $ATRIUM_TOKEN" {store}'
    return render(request, "core/api_docs.html", {"first_call": first_call})
