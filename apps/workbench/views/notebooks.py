"""Notebooks read in the portal: as they are, and as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.core.errors import Invalid, NotFound
from apps.workbench import notebooks, snapshots
from apps.workbench.selectors import workspace_for
from apps.workbench.views.workspaces import context_of, user_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SHOWN = 50


@login_required
@require_GET
def notebook_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The notebooks of a workspace, to be read whether it runs or not, and those that were deleted."""
    found = workspace_for(user_of(request), pk)
    rows = snapshots.notebooks_of(found)
    context = {**context_of(request, found), "notebooks": rows, "tab_notebooks": True}
    return render(request, "workbench/notebooks.html", context)


@login_required
@require_GET
def notebook(request: HttpRequest, pk: int, path: str) -> HttpResponse:
    """One notebook with its outputs: as it stands there now, or as `?snapshot=` kept it."""
    found = workspace_for(user_of(request), pk)
    kept = list(snapshots.snapshots_of(found, path)[:SHOWN])
    asked = request.GET.get("snapshot", "")
    shown = snapshots.get_snapshot(found, int(asked)) if asked.isdecimal() and len(asked) < 19 else None
    now = snapshots.notebook_now(found, path)
    if shown is None and now is None:
        if not kept:
            raise NotFound(_("There is no notebook “%(path)s” in this workspace.") % {"path": path})
        shown = kept[0]
    data = snapshots.content_of(shown) if shown is not None else now or b""
    context: dict[str, Any] = {**context_of(request, found), "path": path, "tab_notebooks": True}
    context |= {"kept": kept, "shown": shown, "is_gone": now is None}
    try:
        context["cells"] = notebooks.cells_of(notebooks.check_size(data))
    except Invalid as error:
        context["problem"] = error.message
    if shown is not None and now is not None:
        context["changes"] = snapshots.changes(data, now)
    return render(request, "workbench/notebook.html", context)


@login_required
@require_POST
def restore_snapshot(request: HttpRequest, pk: int, snapshot: int) -> HttpResponse:
    """Put a notebook back as it was."""
    found = workspace_for(user_of(request), pk)
    kept = snapshots.get_snapshot(found, snapshot)
    snapshots.restore_snapshot(found, kept, by=user_of(request))
    message = _("“%(path)s” is as it was. What stood there is among its snapshots.")
    messages.success(request, message % {"path": kept.path})
    return redirect("workbench:notebook", found.pk, kept.path)
