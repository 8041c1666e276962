"""Pages of projects: their numbers, rules, queue, files, and what comes out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms.models import model_to_dict
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role, User
from apps.accounts.policy import has_role
from apps.accounts.selectors import teams_of
from apps.annotation import (
    bulk,
    golden,
    live,
    notebooks,
    pulling,
    queue,
    retraining,
    services,
    suggestions,
    transfers,
)
from apps.annotation.formats import FORMATS
from apps.annotation.forms import (
    LabelsForm,
    ProjectForm,
    QueueForm,
    RuleForm,
    SettingsForm,
    capabilities_picked,
)
from apps.annotation.label_types import type_named
from apps.annotation.models import Bulk, PullRule, Retraining, Task, Transfer
from apps.annotation.policy import may_label, may_manage
from apps.annotation.quality import quality_of
from apps.annotation.selectors import (
    accuracy_of,
    agreement_of,
    as_told,
    capability_to_ask_about,
    conflicts_of,
    decision_of,
    flagged_among,
    get_project,
    in_status,
    left_for,
    near_audit_of,
    projects_visible_to,
    tasks_visible_to,
)
from apps.compute.forms import names_sent
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require
from apps.workbench.views.placing import place

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.annotation.models import Project

PAGE_SIZE = 30
_BULKS_SHOWN = 3


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


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
    form = ProjectForm(request.POST or None, initial=_begun_with(request), user=_user(request))
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


def _begun_with(request: HttpRequest) -> dict[str, Any]:
    """What the form shows at first: what was typed so far, and what is known of the capability that was chosen."""
    typed = {name: request.GET[name] for name in ProjectForm.base_fields if request.GET.get(name)}
    capability = capability_to_ask_about(_user(request), request.GET.get("capability", ""))
    found = suggestions.suggested(capability) if capability else {}
    if typed.get("question", "") not in {"", *suggestions.questions().values()}:
        found.pop("question", None)
    return typed | found


@login_required
@require_GET
def capabilities(request: HttpRequest) -> HttpResponse:
    """The list of a form's picker of capabilities: what is chosen stays, then what the words find."""
    asked = request.GET
    field, words = asked.get("field", "")[:100], asked.get("words", "")[:100].replace("\0", "")
    context = capabilities_picked(_user(request), field, names_sent(asked, field), words)
    return render(request, "components/_picked.html", context)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Progress, agreement, accuracy, rules, and the way out."""
    project = get_project(pk, user=_user(request))
    user = _user(request)
    state = request.GET.get("status", "")
    tasks = tasks_visible_to(user, project)
    if state in Task.Status.values:
        tasks = in_status(tasks, state, user=user, project=project)
    only_flagged = bool(request.GET.get("flagged"))
    if only_flagged:
        tasks = flagged_among(tasks, user)
    page = keyset(tasks, ("-pk",), request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "project": project,
        "page": page,
        "tasks": [as_told(task) for task in page.items],
        "named": ",".join(str(task.pk) for task in page.items) if has_role(user, Role.DEVELOPER) else "",
        "flagged": set(
            flagged_among(Task.objects.filter(pk__in=[task.pk for task in page.items]), user).values_list(
                "pk", flat=True
            )
        ),
        "only_flagged": only_flagged,
        "states": Task.Status.choices,
        "state": state,
        "left": left_for(user, project),
        "agreement": agreement_of(project),
        "accuracy": accuracy_of(project),
        "decision": decision_of(project),
        "near_audit": near_audit_of(project) if project.near else None,
        "rules": project.rules.order_by("pk"),
        "rule_form": RuleForm(),
        "kinds": PullRule.Kind,
        "may_label": may_label(user, project),
        "may_manage": may_manage(user, project),
        "labels_form": LabelsForm(
            initial={"labels": [{"label": item["value"], "key": item["hotkey"]} for item in project.labels]}
        ),
        "kind_title": type_named(project.kind).title,
        "fresh": Task.objects.filter(
            project=project, status=Task.Status.ACCEPTED, dataset_version=None
        ).count(),
        "retrainings": Retraining.objects.filter(capability=project.capability)
        .select_related("version", "dataset_version__dataset", "run__report", "job")
        .order_by("-pk")[:5],
        "newest": project.dataset.versions.order_by("-number").first(),
        "rule_kinds": PullRule.Kind.choices,
        **_bulks(project),
    }
    return render(request, "annotation/detail.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def notebook(request: HttpRequest, pk: int) -> HttpResponse:
    """Tasks in a notebook: `tasks` in the query are their numbers, with commas between them."""
    project = get_project(pk, user=_user(request))
    tasks = notebooks.tasks_named(project, request.GET.get("tasks", "").split(","), user=_user(request))
    crumbs = [
        (_("Annotation"), reverse("annotation:list")),
        (project.name, reverse("annotation:detail", args=[pk])),
    ]
    return place(request, notebooks.tasks_draft(project, tasks), crumbs)


@login_required
@require_POST
def add_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """A further pull rule, and a first pull by it."""
    project, form = get_project(pk, user=_user(request)), RuleForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(text) for errors in form.errors.values() for text in errors))
        return redirect("annotation:detail", pk)
    rule = services.add_rule(project, by=_user(request), **form.cleaned_data)
    found = pulling.pull(rule)
    messages.success(request, _("The rule is active; it found %(n)d calls now.") % {"n": found.tasks})
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def preview_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """What a rule would take now: how many, which, why. Nothing is kept."""
    project, form = get_project(pk, user=_user(request)), RuleForm(request.POST)
    require(may_manage(_user(request), project))
    found = pulling.preview(project, **form.cleaned_data) if form.is_valid() else None
    return render(request, "annotation/_rule_preview.html", {"found": found, "form": form})


@login_required
@require_POST
def switch_rule(request: HttpRequest, pk: int, rule_pk: int) -> HttpResponse:
    """Let a rule rest, or pull again."""
    rule = get_project(pk, user=_user(request)).rules.filter(pk=rule_pk).first()
    if rule is None:
        raise NotFound(_("This rule does not exist any more."))
    services.switch_rule(rule, by=_user(request), active="active" in request.POST)
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def change_labels(request: HttpRequest, pk: int) -> HttpResponse:
    """Other labels to choose from; refused when one goes that is in use."""
    project, form = get_project(pk, user=_user(request)), LabelsForm(request.POST)
    if not form.is_valid():
        raise Invalid(
            "; ".join(str(error) for error in form.errors["labels"]), fields={"labels": _("is wrong")}
        )
    keys = {row["label"].strip(): row.get("key", "") for row in form.cleaned_data["labels"]}
    services.change_labels(project, list(keys), by=_user(request), hotkeys=keys)
    messages.success(request, _("The labels were changed."))
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def set_status(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause, close or open again."""
    project = get_project(pk, user=_user(request))
    services.set_status(project, request.POST.get("status", ""), by=_user(request))
    messages.success(
        request, _("The project is %(status)s now.") % {"status": project.get_status_display().lower()}
    )
    return redirect("annotation:detail", pk)


@login_required
@require_http_methods(["GET", "POST"])
def settings_of(request: HttpRequest, pk: int) -> HttpResponse:
    """Its texts, what annotators see, and its end."""
    project, user = get_project(pk, user=_user(request)), _user(request)
    require(may_manage(user, project))
    form = SettingsForm(request.POST or None, initial=model_to_dict(project, SettingsForm.Meta.fields))
    if request.method == "POST" and form.is_valid():
        services.change_project(project, by=user, **form.cleaned_data)
        messages.success(request, _("The project was changed."))
        return redirect("annotation:detail", pk)
    context = {"project": project, "form": form}
    return render(request, "annotation/settings.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def transfers_of(request: HttpRequest, pk: int) -> HttpResponse:
    """Files in and out: start one, see what became of the last ones."""
    project = get_project(pk, user=_user(request))
    require(may_manage(_user(request), project))
    if request.method == "POST":
        sent, form = request.FILES.get("file"), request.POST.get("format", "")
        if "import" in request.POST:
            if sent is None or sent.file is None:
                raise Invalid(_("Choose a file."), fields={"file": _("is missing")})
            keep = "keep_good" in request.POST
            transfers.start_import(project, form, sent.file, by=_user(request), keep_good=keep)
        else:
            transfers.start_export(project, form, by=_user(request))
        return redirect("annotation:transfers", pk)
    rows = list(project.transfers.select_related("started_by").order_by("-pk")[:30])
    context = {
        "project": project,
        "transfers": [(row, FORMATS[row.format].title) for row in rows],
        "formats": transfers.formats_of(project),
        "under_way": any(row.status == Transfer.Status.WAITING for row in rows),
    }
    fragment = request.headers.get("HX-Request") and "list" in request.GET
    return render(request, f"annotation/{'_transfers' if fragment else 'transfers'}.html", context)


@login_required
@require_GET
def transfer_file(request: HttpRequest, pk: int, transfer_pk: int) -> FileResponse:
    """The file of an export, or the one that came in."""
    project = get_project(pk, user=_user(request))
    require(may_manage(_user(request), project))
    stream, name = transfers.open_file(project, transfer_pk)
    return FileResponse(stream, as_attachment=True, filename=name)


@login_required
@require_http_methods(["GET", "POST"])
def queue_of(request: HttpRequest, pk: int) -> HttpResponse:
    """In which order, to whom, how many, until when."""
    project = get_project(pk, user=_user(request))
    require(may_manage(_user(request), project))
    kept = {name: getattr(project, name) for name in ("order", "per_person", "golden_every", "gate")}
    form = QueueForm(project, request.POST or None, initial=kept | {"assignees": project.assignees.all()})
    if request.method == "POST" and form.is_valid():
        queue.change_queue(project, by=_user(request), **form.cleaned_data)
        messages.success(request, _("The queue was changed."))
        return redirect("annotation:detail", pk)
    context = {"project": project, "form": form}
    return render(request, "annotation/queue.html", context, status=422 if form.errors else 200)


@login_required
@require_GET
def quality(request: HttpRequest, pk: int) -> HttpResponse:
    """Reliability of people, agreement by label and by pair, and the disagreements to look at."""
    project = get_project(pk, user=_user(request))
    require(may_manage(_user(request), project))
    disagreeing = conflicts_of(project).order_by("-pk")
    found, results, agreement = quality_of(project), golden.results_of(project), agreement_of(project)
    accounts = [person["name"] for person in found.people]
    called = {user.username: user.called for user in User.objects.filter(username__in=accounts)}
    for person in found.people:
        person |= {"golden": results.get(person["name"]), "called": called[person["name"]]}
    context = {
        "project": project,
        "agreement": agreement,
        "by_likeness": bool(agreement.items and not found.labels),
        "found": found,
        "pairs": [(called[one], called[other], item) for (one, other), item in found.pairs.items()],
        "disagreeing": disagreeing[:PAGE_SIZE],
        "near_audit": near_audit_of(project),
        "live": live.live_quality(project),
        "golden_tasks": project.golden_tasks.select_related("task").order_by("-pk")[:PAGE_SIZE],
    }
    return render(request, "annotation/quality.html", context)


@login_required
@require_POST
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept what all agreed on: all of it, or what the filter leaves."""
    made = bulk.start_accept(get_project(pk, user=_user(request)), request.POST.dict(), by=_user(request))
    if made.status == Bulk.Status.WAITING:
        messages.info(request, _("%(n)d labels are being accepted.") % {"n": made.total})
    elif made.status == Bulk.Status.DONE:
        messages.success(request, _("%(n)d labels were accepted.") % {"n": made.done})
    else:
        messages.error(request, made.why)
    if made.flagged:
        left = ngettext(
            "%(n)d flagged task is left: look at it by itself.",
            "%(n)d flagged tasks are left: look at each by itself.",
            made.flagged,
        )
        messages.warning(request, left % {"n": made.flagged})
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def export(request: HttpRequest, pk: int) -> HttpResponse:
    """Accepted labels become the next version of the data set."""
    made = bulk.start_export(get_project(pk, user=_user(request)), by=_user(request))
    if made.status == Bulk.Status.WAITING:
        messages.info(request, _("A data set version is being made of %(n)d labels.") % {"n": made.total})
    elif made.status == Bulk.Status.DONE:
        messages.success(
            request, _("%(version)s was made of the accepted labels.") % {"version": made.version}
        )
    else:
        messages.error(request, made.why)
    return redirect("annotation:detail", pk)


@login_required
@require_GET
def bulks(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the work on many tasks is, as a fragment of the project's page."""
    project = get_project(pk, user=_user(request))
    require(may_manage(_user(request), project))
    return render(request, "annotation/_bulks.html", {"project": project, **_bulks(project)})


def _bulks(project: Project) -> dict[str, Any]:
    """What is under way, and the last ones that ended."""
    rows = bulk.newest(project)[:_BULKS_SHOWN]
    return {"bulks": rows, "bulk_under_way": any(row.status == Bulk.Status.WAITING for row in rows)}


@login_required
@require_POST
def retrain(request: HttpRequest, pk: int) -> HttpResponse:
    """Run the recorded training on the data set's newest version."""
    project = get_project(pk, user=_user(request))
    newest = project.dataset.versions.order_by("-number").first()
    if newest is None:
        raise Invalid(_("The data set has no version yet."))
    retraining.retrain(project.capability, newest, by=_user(request))
    messages.success(request, _("Retraining has started; its result goes on to evaluation by itself."))
    return redirect("annotation:detail", pk)
