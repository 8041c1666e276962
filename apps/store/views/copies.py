"""Running a capability at one's own site, from its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.catalog.selectors import get_capability
from apps.core.errors import NotFound
from apps.store import selectors, services
from apps.store.models import SiteCopy

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


@login_required
@require_POST
def reuse(request: HttpRequest, slug: str) -> HttpResponse:
    """Run it at the site of a team of mine, with one click."""
    user = cast("User", request.user)
    capability = get_capability(slug, user=user)
    team = selectors.teams_to_subscribe_for(user).filter(slug=request.POST.get("team", "")).first()
    if team is None:
        raise NotFound(_("Choose a team of yours."))
    copy = services.reuse_at_site(capability, team, by=user, use_case=request.POST.get("use_case", ""))
    if copy.status == SiteCopy.Status.WAITING:
        messages.success(request, _("It is asked for. It starts by itself when the provider has agreed."))
        return redirect("store:subscription", copy.subscription_id)
    messages.success(request, _("It starts at %(site)s.") % {"site": copy.site.name})
    return redirect("store:capability", slug)


@login_required
@require_POST
def copy_action(request: HttpRequest, slug: str, pk: int, verb: str) -> HttpResponse:
    """Bring a copy up to date, or end it."""
    user = cast("User", request.user)
    copy = selectors.get_copy(get_capability(slug, user=user), pk, user=user)
    if verb == "update":
        services.update_copy(copy, by=user)
        messages.success(request, _("The newer version starts; it takes over once it is ready."))
    elif verb == "end":
        services.end_copy(copy, by=user)
        messages.success(request, _("It ends there; the keys are answered by the provider again."))
    else:
        raise NotFound(_("There is nothing here that you may see."))
    return redirect("store:capability", slug)
