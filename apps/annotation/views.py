"""Pages of annotation: projects, the labelling screen, review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.annotation import claims, pulling, retraining, services
from apps.annotation.forms import ProjectForm, RuleForm
from apps.annotation.models import Project, PullRule, Retraining, Slot, Task
from apps.annotation.policy import may_label, may_manage, may_review
from apps.annotation.selectors import accuracy_of, agreement_of, left_for, projects_visible_to, shown
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User

PAGE_SIZE = 30


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


def _project_of(request: HttpRequest, pk: int) -> Project:
    project = projects_visible_to(_user(request)).filter(pk=pk).first()
    if project is None:
        raise NotFound(_("There is no annotation project %(pk)d that you may see.") % {"pk": pk})
    return project


def _task_of(request: HttpRequest, pk: int) -> Task:
    visible = projects_visible_to(_user(request)).values("pk")
    task = (
        Task.objects.select_related("project__team", "project__dataset")
        .filter(pk=pk, project__in=visible)
        .first()
    )
    if task is None:
        raise NotFound(_("There is no task %(pk)d that you may see.") % {"pk": pk})
    return task


@login_required
@require_GET
def list_projects(request: HttpRequest) -> HttpResponse:
    """My projects, with what is left to do."""
    page = keyset(projects_visible_to(_user(request)), ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    makes = teams_of(_user(request), Role.DEVELOPER, Role.QA).exists()
    return render(request, "annotation/list.html", {"page": page, "may_create": makes})


@login_required
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """A new project."""
    form = ProjectForm(teams_of(_user(request), Role.DEVELOPER, Role.QA), request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = services.create_project(by=_user(request), **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(
                request, _("The project is open. Add a rule that says which calls become tasks.")
            )
            return redirect("annotation:detail", project.pk)
    return render(request, "annotation/create.html", {"form": form}, status=422 if form.errors else 200)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Progress, agreement, accuracy, rules, and the way out."""
    project = _project_of(request, pk)
    user = _user(request)
    state = request.GET.get("status", "")
    tasks = Task.objects.filter(project=project)
    if state in Task.Status.values:
        tasks = tasks.filter(status=state)
    context = {
        "project": project,
        "page": keyset(tasks, ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE),
        "states": Task.Status.choices,
        "state": state,
        "left": left_for(user, project),
        "agreement": agreement_of(project),
        "accuracy": accuracy_of(project),
        "rules": project.rules.order_by("pk"),
        "rule_form": RuleForm(),
        "kinds": PullRule.Kind,
        "may_label": may_label(user, project),
        "may_manage": may_manage(user, project),
        "fresh": Task.objects.filter(
            project=project, status=Task.Status.ACCEPTED, dataset_version=None
        ).count(),
        "retrainings": Retraining.objects.filter(capability=project.capability)
        .select_related("version", "dataset_version__dataset", "run__report", "job")
        .order_by("-pk")[:5],
        "newest": project.dataset.versions.order_by("-number").first(),
    }
    return render(request, "annotation/detail.html", context)


@login_required
@require_POST
def add_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """A further pull rule, and a first pull by it."""
    project, form = _project_of(request, pk), RuleForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(text) for errors in form.errors.values() for text in errors))
        return redirect("annotation:detail", pk)
    rule = services.add_rule(project, by=_user(request), **form.cleaned_data)
    found = pulling.pull(rule)
    messages.success(request, _("The rule is active; it found %(n)d calls now.") % {"n": found.tasks})
    return redirect("annotation:detail", pk)


@login_required
@require_GET
def label(request: HttpRequest, pk: int) -> HttpResponse:
    """The labelling screen: the next task, claimed for this person."""
    project = _project_of(request, pk)
    require(may_label(_user(request), project))
    return _next(request, project, "annotation/label.html")


def _next(request: HttpRequest, project: Project, template: str) -> HttpResponse:
    slot = claims.claim_next(project, by=_user(request))
    context: dict[str, Any] = {"project": project, "slot": slot, "left": left_for(_user(request), project)}
    if slot is not None:
        context |= {"task": slot.task, "shown": shown(slot.task, project)}
    return render(request, template, context)


@login_required
@require_POST
def submit(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """Keep the label, and answer with the next task."""
    project = _project_of(request, pk)
    slot = Slot.objects.filter(pk=slot_pk, project=project).first()
    if slot is None:
        raise NotFound(_("This place does not exist any more."))
    services.submit(
        slot,
        _whole(request.POST.get("token", "")),
        by=_user(request),
        label=request.POST.get("label", ""),
        skipped="skip" in request.POST,
        comment=request.POST.get("comment", ""),
        seconds=_seconds(request.POST.get("seconds", "0")),
    )
    if not request.headers.get("HX-Request"):
        return redirect("annotation:label", pk)
    return _next(request, project, "annotation/_task.html")


@login_required
@require_POST
def heartbeat(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """Keep the place while the page is open; 409 when somebody else has it by now."""
    _project_of(request, pk)
    kept = claims.extend(slot_pk, _whole(request.POST.get("token", "")), by=_user(request))
    return HttpResponse(status=204 if kept else 409)


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else -1


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@login_required
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, task_pk: int) -> HttpResponse:
    """One task with all that was said about it; decide."""
    task = _task_of(request, task_pk)
    user = _user(request)
    if request.method == "POST":
        services.review(
            task, by=user, label=request.POST.get("label", ""), leave_out="leave_out" in request.POST
        )
        messages.success(request, _("Decided."))
        waiting = (
            Task.objects.filter(project=task.project, status=Task.Status.CONFLICT).order_by("pk").first()
        )
        return (
            redirect("annotation:review", waiting.pk)
            if waiting
            else redirect("annotation:detail", task.project_id)
        )
    context = {
        "task": task,
        "project": task.project,
        "shown": shown(task, task.project),
        "annotations": task.annotations.select_related("user").order_by("pk"),
        "may_review": may_review(user, task),
    }
    return render(request, "annotation/review.html", context)


@login_required
@require_POST
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept everything that all agreed on."""
    number = services.accept_agreed(_project_of(request, pk), by=_user(request))
    messages.success(request, _("%(n)d labels were accepted.") % {"n": number})
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def export(request: HttpRequest, pk: int) -> HttpResponse:
    """Accepted labels become the next version of the data set."""
    version = services.export_labels(_project_of(request, pk), by=_user(request))
    messages.success(request, _("%(version)s was made of the accepted labels.") % {"version": version})
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def retrain(request: HttpRequest, pk: int) -> HttpResponse:
    """Run the recorded training on the data set's newest version."""
    project = _project_of(request, pk)
    newest = project.dataset.versions.order_by("-number").first()
    if newest is None:
        raise Invalid(_("The data set has no version yet."))
    retraining.retrain(project.capability, newest, by=_user(request))
    messages.success(request, _("Retraining has started; its result goes on to evaluation by itself."))
    return redirect("annotation:detail", pk)
