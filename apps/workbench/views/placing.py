"""The page that puts a notebook of rows into a workspace and opens it there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.core.errors import IllegalMove, StaleWrite
from apps.workbench import services
from apps.workbench.forms import PlaceForm
from apps.workbench.placing import Draft, calls_draft, calls_named, put_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User


def place(request: HttpRequest, draft: Draft, crumbs: Sequence[tuple[str, str]]) -> HttpResponse:
    """Ask for the workspace; then put the notebook there, start the server if it rests, and open it.

    `crumbs` are (words, address) of the pages above.
    """
    user = cast("User", request.user)
    form = PlaceForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        workspace = form.cleaned_data["workspace"]
        path = put_notebook(workspace, draft, by=user)
        if workspace.status in ("stopped", "failed"):
            with suppress(IllegalMove, StaleWrite):  # somebody was faster; its page says how it stands
                services.start_workspace(workspace, by=user)
        return redirect(f"{workspace.get_absolute_url()}?{urlencode({'open': path})}")
    field: Any = form.fields["workspace"]
    make = f"{reverse('workbench:new_workspace')}?{urlencode({'next': request.get_full_path()})}"
    context = {"form": form, "draft": draft, "crumbs": crumbs, "any": field.queryset.exists(), "make": make}
    return render(request, "workbench/place.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def calls_notebook(request: HttpRequest) -> HttpResponse:
    """Calls of the log in a notebook: `calls` in the query are their ids, with commas between them."""
    calls = calls_named(request.GET.get("calls", "").split(","), user=cast("User", request.user))
    return place(request, calls_draft(calls), [(_("Calls"), reverse("calls:list"))])
