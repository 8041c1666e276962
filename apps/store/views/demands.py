"""The demand board: what is wanted, who builds it, what answers it."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import Role, User
from apps.accounts.selectors import teams_of
from apps.catalog.models import Capability
from apps.core.paging import keyset
from apps.store import board, selectors, services
from apps.store.forms import DemandForm
from apps.store.models import Demand

_PAGE = 25


@login_required
def list_demands(request: HttpRequest) -> HttpResponse:
    """What is wanted; POST adds one."""
    user = cast("User", request.user)
    form = DemandForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = services.post_demand(form.cleaned_data["title"], form.cleaned_data["need"], by=user)
        messages.success(request, _("It is on the board. You are told when a team takes it."))
        return redirect("store:demand", made.pk)
    status = request.GET.get("status", "")
    page = keyset(selectors.demands(status), ("-pk",), request.GET.get("cursor", ""), _PAGE)
    context = {"form": form, "page": page, "status": status, "statuses": Demand.Status.choices}
    return render(request, "store/demands.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
def show_demand(request: HttpRequest, pk: int) -> HttpResponse:
    """One demand with everybody's need."""
    user = cast("User", request.user)
    demand = selectors.get_demand(pk)
    building = teams_of(user, Role.DEVELOPER)
    context: dict[str, Any] = {
        "demand": demand,
        "needs": list(demand.needs.select_related("user").order_by("pk")[:200]),
        "mine": demand.needs.filter(user=user).first(),
        "closed": demand.status in (Demand.Status.ANSWERED, Demand.Status.WITHDRAWN),
        "teams": list(building.order_by("name")),
        "builds": demand.team is not None and demand.team in building,
        "answers": list(Capability.objects.filter(team__in=building).order_by("name")[:200]),
        "own": demand.posted_by_id == user.pk,
    }
    return render(request, "store/demand.html", context)


@require_POST
@login_required
def demand_action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """need, take, back, answer, withdraw."""
    user = cast("User", request.user)
    board.act(selectors.get_demand(pk), verb, request.POST.dict(), user)
    return redirect("store:demand", pk)
