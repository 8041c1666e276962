"""Pages of the past: which version answered whom, and a logged call run again."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.catalog.selectors import get_capability
from apps.core.errors import NotFound
from apps.core.policy import require
from apps.gateway.retention import days_of
from apps.gateway.selectors import get_call
from apps.releases import charts, history, reruns
from apps.releases.forms import MomentForm
from apps.releases.policy import may_see_releases
from apps.releases.selectors import calls_around, reruns_visible_to
from apps.releases.shown import answers_of
from apps.store.models import Subscription

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


@login_required
@require_GET
def production_history(request: HttpRequest, slug: str) -> HttpResponse:
    """Which version at what share answered whom at a moment, and every change of the shares."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    require(may_see_releases(user, capability))
    subscribers = Subscription.objects.filter(capability=capability, granted_at__isnull=False)
    form = MomentForm(subscribers.select_related("team", "plan").order_by("team__name"), request.GET or None)
    moment, calls = None, []
    if form.is_bound and form.is_valid():
        at: datetime = form.cleaned_data["at"] or timezone.now()
        subscription = form.cleaned_data["subscription"]
        pool = subscription.pool if subscription else ""
        moment = history.at_moment(capability, at, caller=pool, end_user=form.cleaned_data["end_user"])
        calls = calls_around(capability, at, pool)
    changes = history.changes(capability)
    context = {
        "capability": capability,
        "form": form,
        "moment": moment,
        "calls": calls,
        "changes": changes,
        "figure": charts.shares(changes),
        "days": days_of(capability),
    }
    return render(request, "releases/history.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def run_again(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Ask the version that answered a call the same again, or the one that was chosen."""
    user = cast("User", request.user)
    rerun = reruns.run_again(get_call(request_id, user=user), on=request.POST.get("version", ""), by=user)
    return redirect("releases:rerun", rerun.pk)


@login_required
@require_GET
def rerun(request: HttpRequest, pk: int) -> HttpResponse:
    """What became of it; htmx asks for the state alone."""
    user = cast("User", request.user)
    found = reruns_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no rerun %(pk)d that you may see.") % {"pk": pk})
    context = {"rerun": found, "answers": answers_of(found.request_id, found.answer_id)}
    template = "releases/_rerun.html" if request.headers.get("HX-Request") else "releases/rerun.html"
    return render(request, template, context)
