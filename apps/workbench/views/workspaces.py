"""Pages of workspaces and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.compute.adapters import engine
from apps.compute.forms import resources_in
from apps.compute.models import Job
from apps.core import csp
from apps.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.core.package import for_programs
from apps.core.paging import keyset
from apps.core.policy import require
from apps.core.urns import urn
from apps.workbench import entry, files, jupyter, mounted, packages, registering, services
from apps.workbench.forms import (
    CloneForm,
    RegisterForm,
    RunForm,
    SaveForm,
    SettingsForm,
    WorkspaceForm,
)
from apps.workbench.launch import home_of
from apps.workbench.live.origins import ENTER, address_of
from apps.workbench.models import Workspace
from apps.workbench.policy import (
    may_edit_workspace,
    may_stop_workspace,
    may_view_workspace,
)
from apps.workbench.reconcile import log_of, why_it_waits
from apps.workbench.recordings import rule_for
from apps.workbench.runs import needs_of, run_file
from apps.workbench.selectors import (
    workspace_for,
    workspaces_visible_to,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User
    from apps.compute.needs import Needs

_MOVING = ("starting", "stopping")
_LOG_SHOWN = 4000


def user_of(request: HttpRequest) -> User:
    return cast("User", request.user)


@login_required
@require_GET
def workspaces(request: HttpRequest) -> HttpResponse:
    """The workspaces that I may see, with what their servers use now."""
    user = user_of(request)
    rows = workspaces_visible_to(user)
    archived = request.GET.get("view") == "archived"
    rows = rows.filter(status="archived") if archived else rows.exclude(status="archived")
    page = keyset(rows, ("name", "pk"), request.GET.get("cursor", ""), 30)
    for row in page.items:
        _add_usage(row)
        row.editable = bool(may_edit_workspace(user, row))  # type: ignore[attr-defined]
    moving = any(row.status in _MOVING for row in page.items)
    running = any(row.status == "running" for row in page.items)
    every_s = 2 if moving else 10 if running else None  # what they use is seen as it changes
    context = {"page": page, "every_s": every_s, "archived": archived, "in_use": not archived}
    template = (
        "workbench/_workspaces.html" if request.headers.get("HX-Request") else "workbench/workspaces.html"
    )
    return render(request, template, context)


def _add_usage(workspace: Workspace) -> None:
    """What its server uses now, as attributes for the template; None while it does not run."""
    running = workspace.status == "running"
    observed = engine().observe(workspace.workload_id) if running else None
    until = workspace.lease_until
    facts = {
        "memory_mb": observed.memory_mb if observed else None,
        "disk_mb": observed.disk_mb if observed else None,
        "frozen": bool(observed and observed.frozen),
        "restarts": observed.restarts if observed else 0,
        "kept_restarts": jupyter.restarts_under_kernels(workspace) if observed else 0,
        "cores": workspace.activity.get("cores") if observed else None,
        "lease_left": max(0.0, (until - timezone.now()).total_seconds()) if running and until else None,
    }
    for name, value in facts.items():
        setattr(workspace, name, value)


@login_required
@require_http_methods(["GET", "POST"])
def new_workspace(request: HttpRequest) -> HttpResponse:
    """Make a workspace and start it; `next` in the query is where one came from and goes back to."""
    form = WorkspaceForm(request.POST or None, user=user_of(request))
    if request.method == "POST" and form.is_valid():
        fields = form.cleaned_data
        try:
            made = services.create_workspace(
                fields["name"],
                team=fields["team"],
                flavour=fields["flavour"],
                environment=fields["environment"],
                labels=fields["labels"],
                datasets=fields["datasets"],
                by=user_of(request),
            )
        except Invalid as error:
            form.add_error("name" if "name" in error.fields else None, error.message)
        else:
            services.start_workspace(made, by=user_of(request))
            onward = request.GET.get("next", "")
            safe = url_has_allowed_host_and_scheme(onward, allowed_hosts={request.get_host()})
            return redirect(onward if safe else made)
    status = 422 if form.errors else 200
    return render(request, "workbench/new_workspace.html", {"form": form}, status=status)


@login_required
@require_GET
def workspace(request: HttpRequest, pk: int) -> HttpResponse:
    """The workspace: its Lab in a frame while it runs, else what it is doing and why; `open` names a file to open."""
    onward = f"/lab/tree/{quote(request.GET['open'])}" if request.GET.get("open") else ""
    return _show(request, pk, "workbench/workspace.html", tab_lab=True, onward=onward)


@login_required
@require_GET
def terminal(request: HttpRequest, pk: int) -> HttpResponse:
    """The workspace's terminals, without the Lab."""
    return _show(request, pk, "workbench/terminal.html", tab_terminal=True)


@login_required
@require_GET
@never_cache
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment that follows a start or a stop; reloads the page when it has arrived."""
    found = workspace_for(user_of(request), pk)
    response = render(request, "workbench/_state.html", context_of(request, found))
    if found.status not in _MOVING:
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_GET
@never_cache
def facts(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment with what the workspace uses, what is at work in it and how long its lease lasts."""
    found = workspace_for(user_of(request), pk)
    response = render(request, "workbench/_facts.html", context_of(request, found))
    if found.status != "running":
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_http_methods(["GET", "POST"])
def settings_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Size, idle limit, and the copy of a workspace."""
    found = workspace_for(user_of(request), pk)
    may_edit = may_edit_workspace(user_of(request), found)
    form = SettingsForm(request.POST or None, initial=_settings_of(found), user=user_of(request))
    if request.method == "POST":
        require(may_edit)
        if form.is_valid():
            asked = form.cleaned_data
            services.change_workspace(
                found,
                by=user_of(request),
                flavour=asked["flavour"],
                idle_minutes=int(asked["idle_minutes"]),
                environment=asked["environment"],
                share_terminals=asked["share_terminals"],
                labels=asked["labels"],
            )
            services.mount_datasets(found, asked["datasets"], by=user_of(request))
            messages.success(request, _("The settings are saved."))
            return redirect("workbench:settings", found.pk)
    return _settings(request, found, form=form)


def _settings_of(workspace: Workspace) -> dict[str, Any]:
    names = ("flavour", "idle_minutes", "environment", "share_terminals", "labels")
    datasets = [
        mounted.name_of(version) for version in workspace.datasets.select_related("dataset").order_by("pk")
    ]
    return {name: getattr(workspace, name) for name in names} | {"datasets": datasets}


def _settings(request: HttpRequest, found: Workspace, **forms: Any) -> HttpResponse:
    """The settings page; a form that was just filled in wrongly stands in `forms`."""
    user = user_of(request)
    shown = {
        "form": SettingsForm(initial=_settings_of(found), user=user),
        "copy": CloneForm(initial={"name": _("%(name)s copy") % {"name": found.name}}),
        "save": SaveForm(),
        **forms,
    }
    edit = may_edit_workspace(user, found)
    installed = packages.installed_in(home_of(found)) if edit else []
    context = {**context_of(request, found), **shown, "installed": installed, "tab_settings": True}
    context |= _local_editor(found)
    wrong = any(form.errors for form in forms.values())
    return render(request, "workbench/settings.html", context, status=422 if wrong else 200)


def _local_editor(workspace: Workspace) -> dict[str, str]:
    """What to enter on one's own computer; the token is for the person to put in."""
    url = f"{for_programs(settings.ATRIUM.live_url)}/workspaces/{workspace.pk}"
    upload = '{"type": "file", "format": "base64", "content": "\'$(base64 -w0 data.csv)\'"}'
    return {
        "server_url_with_token": f"{url}/?token=atr_…",
        "lab_command": f"jupyter lab --gateway-url={url} --GatewayClient.auth_token=atr_…",
        "files_command": f"curl -X PUT -H 'Authorization: token atr_…' {url}/api/contents/data.csv -d '{upload}'",
    }


@login_required
@require_POST
def clone(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a workspace of one's own with a copy of this one's files."""
    found = workspace_for(user_of(request), pk)
    copy = CloneForm(request.POST)
    if copy.is_valid():
        try:
            return redirect(services.clone_workspace(found, copy.cleaned_data["name"], by=user_of(request)))
        except Invalid as error:
            copy.add_error("name", error.message)
    return _settings(request, found, copy=copy)


@login_required
@require_POST
def save_environment(request: HttpRequest, pk: int) -> HttpResponse:
    """Make an environment of what was installed in a workspace."""
    found = workspace_for(user_of(request), pk)
    save = SaveForm(request.POST)
    if save.is_valid():
        name = save.cleaned_data["name"]
        try:
            return redirect(packages.save_environment(found, name, home=home_of(found), by=user_of(request)))
        except Invalid as error:
            save.add_error("name", error.message)
    return _settings(request, found, save=save)


@login_required
@require_http_methods(["GET", "POST"])
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Run one of the workspace's notebooks or scripts as a job."""
    found = workspace_for(user_of(request), pk)
    require(may_edit_workspace(user_of(request), found))
    paths = files.runnable(home_of(found))
    measured = needs_of(found, paths[:40])
    initial = _proposed(request.GET.get("path", ""), measured)
    initial |= {"labels": found.labels, "environment": found.environment, "gpu": found.size.gpu}
    held = found.size.gpu if found.status in ("starting", "running", "stopping") else 0
    form = RunForm(request.POST or None, paths=paths, user=user_of(request), cards_held=held, initial=initial)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        needs: dict[str, Any] = {
            "resources": resources_in(asked),
            "timeout_s": asked["minutes"] * 60,
        }
        silent = asked["silent_minutes"]
        needs["cell_timeout_s"] = silent * 60 if silent is not None else None
        names = ("labels", "max_attempts", "priority", "environment", "datasets")
        needs |= {name: asked[name] for name in names}
        try:
            job = run_file(found, asked["path"], params=asked["params"], by=user_of(request), **needs)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            return redirect(f"/jobs/{job.pk}/")
    jobs = Job.objects.filter(subject=urn(found)).order_by("-pk")[:10]
    context = {
        **context_of(request, found),
        "form": form,
        "jobs": jobs,
        "measured": measured,
        "tab_run": True,
    }
    return render(request, "workbench/run.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def register(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a version of a capability of a model among the workspace's files; `path` in the query is chosen at first."""
    user = user_of(request)
    found = workspace_for(user, pk)
    require(may_edit_workspace(user, found))
    names = registering.models_in(found)
    form = RegisterForm(request.POST or None, names=names, initial={"model": _model_at(request, names)})
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            version = registering.register_files(
                found, asked["model"], by=user, capability=asked["capability"], number=asked["number"]
            )
        except Invalid as error:
            wrong = next((name for name in ("capability", "number") if name in error.fields), None)
            form.add_error(wrong, error.message)
        except NotAllowed as error:
            form.add_error(None, error.message)
        else:
            messages.success(
                request, _("Version %(version)s is made and is packaged.") % {"version": version}
            )
            return redirect("catalog:version", version.capability.slug, version.number)
    context = {**context_of(request, found), "form": form, "any": bool(names), "tab_register": True}
    context["mounted"] = mounted.versions_in(found, user)
    status = 422 if form.errors else 200
    return render(request, "workbench/register.html", context, status=status)


def _model_at(request: HttpRequest, names: list[str]) -> str:
    """The model that the query's `path` is, or lies in."""
    path = request.GET.get("path", "")
    return next((name for name in names if path == name or path.startswith(f"{name}/")), "")


def _proposed(path: str, measured: list[tuple[str, Needs]]) -> dict[str, Any]:
    """The form's values for a file: what its earlier runs needed, with a margin."""
    needs = dict(measured).get(path)
    return {"path": path} | ({"cpu": needs.cpu, "memory_mb": needs.memory_mb} if needs else {})


def _show(request: HttpRequest, pk: int, template: str, **more: Any) -> HttpResponse:
    found = workspace_for(user_of(request), pk)
    origin = address_of(f"w{found.pk}")
    csp.allow(request, "frame-src", origin)
    csp.allow(request, "form-action", origin)  # the redirect of the form that opens a new tab
    csp.allow(request, "connect-src", origin, origin.replace("http", "ws", 1))
    return render(request, template, {**context_of(request, found), **more})


def _waits(workspace: Workspace) -> str:
    """Why a start that waits cannot go on now, in the reader's language."""
    if workspace.status != "starting" or not workspace.status_reason:
        return ""
    return why_it_waits(workspace) or workspace.status_reason


def context_of(request: HttpRequest, workspace: Workspace) -> dict[str, Any]:
    user = user_of(request)
    portal = settings.ATRIUM.web_url
    _add_usage(workspace)
    log = log_of(workspace) if workspace.status in ("starting", "failed") else ""
    return {
        "workspace": workspace,
        "origin": address_of(f"w{workspace.pk}"),
        "edit": may_edit_workspace(user, workspace),
        "stop": may_stop_workspace(user, workspace),
        "waits": _waits(workspace),
        "recorded": rule_for(workspace) is not None,
        "moving": workspace.status in _MOVING,
        "log": log[-_LOG_SHOWN:],
        "by_name": request.get_host() == urlsplit(portal).netloc,
        "named_url": portal + request.get_full_path(),
    }


@login_required
@require_POST
@never_cache
def enter(request: HttpRequest, pk: int) -> HttpResponse:
    """A way into the workspace's origin: an address with a ticket, as JSON for the frame or as a redirect."""
    found = workspace_for(user_of(request), pk)
    require(may_view_workspace(user_of(request), found))
    if found.status != Workspace.Status.RUNNING:
        raise Conflict(_("The workspace is not running. Start it first."))
    return way_in(request, f"w{found.pk}", request.POST.get("next", "/lab"))


def way_in(request: HttpRequest, origin: str, onward: str) -> HttpResponse:
    """An address with a ticket, as JSON for a frame or as a redirect. The caller has checked that they may enter."""
    session_key = request.session.session_key
    if not session_key:
        raise NotFound(_("Log in again."))
    ticket = entry.issue_ticket(user_of(request), origin, session_key)
    url = f"{address_of(origin)}{ENTER}?{urlencode({'ticket': ticket, 'next': onward})}"
    if request.headers.get("Accept", "").startswith("application/json"):
        return JsonResponse({"url": url})
    return HttpResponseRedirect(url, status=303)


def _act(verb: Callable[..., Workspace]) -> Callable[[HttpRequest, int], HttpResponse]:
    """A view that does one thing to a workspace and goes back to its page, to the tab that was asked from."""

    @login_required
    @require_POST
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        done = verb(workspace_for(user_of(request), pk), by=user_of(request))
        if request.POST.get("tab") == "terminal":
            return redirect("workbench:terminal", done.pk)
        return redirect(done)

    return view


start = _act(services.start_workspace)
stop = _act(services.stop_workspace)
archive = _act(services.archive_workspace)
restore = _act(services.restore_workspace)
renew = _act(services.renew_lease)
