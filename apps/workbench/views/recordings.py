"""Pages of recorded terminals, and the administrators' rules of what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.policy import is_platform_admin, may_administer
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.workbench import recordings
from apps.workbench.forms import RecordingRuleForm
from apps.workbench.views.workspaces import user_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_GET
def recording_list(request: HttpRequest) -> HttpResponse:
    """My recordings, and for an administrator everybody's; `?workspace=` and `?q=` (a person) narrow them."""
    user = user_of(request)
    rows = recordings.recordings_visible_to(user)
    workspace, who = request.GET.get("workspace", ""), request.GET.get("q", "")[:100]
    if workspace.isdecimal():
        rows = rows.filter(workspace_id=int(workspace[:18]))
    if who:
        rows = rows.filter(user__username__icontains=who)
    page = keyset(rows, ("-started_at", "-pk"), request.GET.get("cursor", ""), 30)
    context = {"page": page, "q": who, "all": is_platform_admin(user), "filtered": bool(workspace or who)}
    return render(request, "workbench/recordings.html", context)


@login_required
@require_GET
def recording(request: HttpRequest, pk: int) -> HttpResponse:
    """Play one back."""
    found = recordings.recording_for(user_of(request), pk)
    context = {"recording": found, "own": found.user_id == request.user.pk}
    return render(request, "workbench/recording.html", context)


@login_required
@require_GET
@never_cache
def recording_file(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The file, which the page plays and asciinema too."""
    found = recordings.recording_for(user_of(request), pk)
    lines = recordings.read_recording(found, by=user_of(request))
    answer = StreamingHttpResponse(lines, content_type="application/x-asciicast")
    name = f"terminal-{found.workspace_id}-{found.terminal}-{found.started_at:%Y%m%d-%H%M%S}.cast"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@login_required
@require_http_methods(["GET", "POST"])
def recording_rules(request: HttpRequest) -> HttpResponse:
    """Whose terminals are recorded: for administrators."""
    require(may_administer(request.user))
    form = RecordingRuleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = recordings.add_rule(by=user_of(request), **form.cleaned_data)
        except Invalid as error:
            form.add_error(next((name for name in error.fields if name in form.fields), None), error.message)
        else:
            words = _("The terminals of “%(whom)s” are recorded from now on.") % {"whom": made}
            messages.success(request, words)
            return redirect("workbench:recording_rules")
    context = {"form": form, "rules": recordings.rules()[:500]}
    return render(request, "workbench/recording_rules.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def remove_recording_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Record these no more."""
    require(may_administer(request.user))
    found = recordings.rules().filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no recording rule %(pk)d.") % {"pk": pk})
    recordings.remove_rule(found, by=user_of(request))
    return redirect("workbench:recording_rules")
