"""Pages of environments: what a team asked for, how it is made, what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.compute.environments.diagnosis import what_happened
from apps.compute.models import Job
from apps.core.errors import Invalid
from apps.core.paging import keyset
from apps.workbench import install_log, packages
from apps.workbench.forms import EnvironmentForm
from apps.workbench.selectors import environment_for, environments_visible_to
from apps.workbench.views.workspaces import user_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.workbench.models import Environment


def step_labels() -> dict[str, str]:
    """The steps in which an environment is made."""
    return {
        "resolve": _("Choose versions"),
        "download": _("Download"),
        "install": _("Install"),
        "check": _("Check"),
    }


@login_required
@require_GET
def environments(request: HttpRequest) -> HttpResponse:
    """The environments of my teams."""
    rows = environments_visible_to(user_of(request))
    page = keyset(rows, ("name", "pk"), request.GET.get("cursor", ""), 30)
    moving = any(row.status in ("locking", "building") for row in page.items)
    context = {"page": page, "moving": moving}
    fragment = bool(request.headers.get("HX-Request"))
    template = "workbench/_environments.html" if fragment else "workbench/environments.html"
    return render(request, template, context)


@login_required
@require_http_methods(["GET", "POST"])
def new_environment(request: HttpRequest) -> HttpResponse:
    """Choose packages."""
    form = EnvironmentForm(request.POST or None, user=user_of(request))
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            return redirect(
                packages.create_environment(
                    asked["name"], asked["requirements"], team=asked["team"], by=user_of(request)
                )
            )
        except Invalid as error:
            form.add_error("name" if "name" in error.fields else "requirements", error.message)
    status = 422 if form.errors else 200
    return render(request, "workbench/new_environment.html", {"form": form}, status=status)


@login_required
@require_GET
def environment(request: HttpRequest, pk: int) -> HttpResponse:
    """One environment: what it was made of, how far it is, what it has."""
    found = environment_for(user_of(request), pk)
    context = _making_of(found) | {"socket": f"/ws/environments/{found.pk}/"}
    return render(request, "workbench/environment.html", context)


def _making_of(environment: Environment) -> dict[str, Any]:
    labels, steps = step_labels(), install_log.steps_of(environment)
    job = Job.objects.filter(pk=environment.job_id or 0).first()
    return {
        "environment": environment,
        "pins": packages.pins_of(environment),
        "steps": [{**step, "title": labels[step["name"]]} for step in steps],
        "seconds": sum(step["seconds"] or 0 for step in steps) or None,
        "since": None if environment.ended else steps[0]["began"],
        "failure": what_happened(environment.reason) if environment.status == "failed" else None,
        "waits": job.reason_words if job is not None and job.status == Job.Status.QUEUED else "",
    }


@login_required
@require_GET
def environment_state(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of an environment's page that changes; the page asks for it when the socket tells of a change."""
    found = environment_for(user_of(request), pk)
    return render(request, "workbench/_environment.html", _making_of(found))


@login_required
@require_GET
def environment_log(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The whole log as a file."""
    found = environment_for(user_of(request), pk)
    answer = StreamingHttpResponse(install_log.whole(found), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="environment-{found.name}.log"'
    return answer


@login_required
@require_POST
def retry_environment(request: HttpRequest, pk: int) -> HttpResponse:
    """Try a failed environment again."""
    return redirect(packages.retry_environment(environment_for(user_of(request), pk), by=user_of(request)))
