"""Pages of annotation: projects, the labelling screen, review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.annotation import claims, golden, live, pulling, queue, receipts, retraining, services, transfers
from apps.annotation.forms import LabelsForm, ProjectForm, QueueForm, RuleForm, split_labels
from apps.annotation.label_types import TYPES, type_named
from apps.annotation.models import Annotation, Project, PullRule, Retraining, Slot, Task, Transfer
from apps.annotation.policy import may_label, may_manage, may_review
from apps.annotation.selectors import (
    accuracy_of,
    agreement_of,
    annotations_visible_to,
    conflicts_of,
    decision_of,
    left_for,
    may_take_back,
    projects_visible_to,
    quality_of,
    shown,
    tasks_visible_to,
    weighted_vote,
)
from apps.core.errors import Conflict, Invalid, NotFound
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
    task = tasks_visible_to(_user(request)).filter(pk=pk).first()
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
    tasks = tasks_visible_to(_user(request), project)
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
        "decision": decision_of(project),
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
@require_POST
def preview_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """What a rule would take now: how many, which, why. Nothing is kept."""
    project, form = _project_of(request, pk), RuleForm(request.POST)
    require(may_manage(_user(request), project))
    found = pulling.preview(project, **form.cleaned_data) if form.is_valid() else None
    return render(request, "annotation/_rule_preview.html", {"found": found, "form": form})


@login_required
@require_POST
def switch_rule(request: HttpRequest, pk: int, rule_pk: int) -> HttpResponse:
    """Let a rule rest, or pull again."""
    rule = _project_of(request, pk).rules.filter(pk=rule_pk).first()
    if rule is None:
        raise NotFound(_("This rule does not exist any more."))
    services.switch_rule(rule, by=_user(request), active="active" in request.POST)
    return redirect("annotation:detail", pk)


@login_required
@require_GET
def label(request: HttpRequest, pk: int) -> HttpResponse:
    """The labelling screen: the next task, claimed for this person."""
    project = _project_of(request, pk)
    require(may_label(_user(request), project))
    return _next(request, project, "annotation/label.html")


def _next(request: HttpRequest, project: Project, template: str) -> HttpResponse:
    return _screen(request, project, claims.claim_next(project, by=_user(request)), template)


def _screen(request: HttpRequest, project: Project, slot: Slot | None, template: str) -> HttpResponse:
    context: dict[str, Any] = {"project": project, "slot": slot, "left": left_for(_user(request), project)}
    before = Annotation.objects.filter(user=_user(request), task__project=project).order_by("-pk").first()
    if before is not None and may_take_back(before):
        context["before"] = before.task_id
    if slot is not None:
        context |= _asked(project, slot.task.inputs) | {"task": slot.task}
    return render(request, template, context)


def _asked(project: Project, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the fragments of a label type need to draw an input and ask about it."""
    return {
        "project": project,
        "shown": shown(inputs, project),
        "type_template": f"annotation/types/{project.kind}.html",
        "ratings": range(1, project.options.get("most", 5) + 1),
        "table_rows": range(len(next(iter(inputs.values()), None) or [])) if project.kind == "rows" else [],
    }


@login_required
@require_POST
def submit(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """Keep the answer, and show the next task."""
    project = _project_of(request, pk)
    slot = Slot.objects.filter(pk=slot_pk, project=project).first()
    if slot is None:
        raise NotFound(_("This place does not exist any more."))
    services.submit(
        slot,
        _whole(request.POST.get("token", "")),
        by=_user(request),
        value=type_named(project.kind).parse(request.POST),
        skipped="skip" in request.POST,
        flagged="flag" in request.POST,
        comment=request.POST.get("comment", ""),
        seconds=_seconds(request.POST.get("seconds", "0")),
    )
    if not request.headers.get("HX-Request"):
        return redirect("annotation:label", pk)
    return _next(request, project, "annotation/_task.html")


@login_required
@require_POST
def undo(request: HttpRequest, pk: int, task_pk: int) -> HttpResponse:
    """Take the last answer back: its task is shown again."""
    project, task = _project_of(request, pk), _task_of(request, task_pk)
    require(may_label(_user(request), project))
    held = claims.held(project, by=_user(request))
    slot = claims.take_back(task, by=_user(request))
    if slot is None:
        raise Conflict(_("This label cannot be taken back any more."))
    if held is not None:
        claims.release(held.pk, held.token, by=_user(request))
    if not request.headers.get("HX-Request"):
        return redirect("annotation:label", pk)
    return _screen(request, project, slot, "annotation/_task.html")


@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """How a project would look, with an example of its label type; nothing is kept."""
    kind = TYPES.get(request.POST.get("kind", ""))
    if kind is None:
        return HttpResponse(status=204)
    example = kind.example
    typed = split_labels(request.POST.get("labels", ""))
    labels = typed if len(typed) >= kind.fewest_labels else list(example.setting.labels)
    most = _whole(request.POST.get("most", ""))
    project = Project(
        kind=kind.slug,
        show=example.show,
        labels=services.keyed(labels),
        question=request.POST.get("question", "") or _("Your question"),
        options={"most": most} if 2 <= most <= 9 else {},
    )
    return render(request, "annotation/_preview.html", _asked(project, dict(example.setting.inputs)))


@login_required
@require_POST
def change_labels(request: HttpRequest, pk: int) -> HttpResponse:
    """Other labels to choose from; refused when one goes that is in use."""
    project, form = _project_of(request, pk), LabelsForm(request.POST)
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
    project = _project_of(request, pk)
    services.set_status(project, request.POST.get("status", ""), by=_user(request))
    messages.success(
        request, _("The project is %(status)s now.") % {"status": project.get_status_display().lower()}
    )
    return redirect("annotation:detail", pk)


@login_required
@require_POST
def heartbeat(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """Keep the place while the page is open; 409 when somebody else has it by now."""
    _project_of(request, pk)
    kept = claims.extend(slot_pk, _whole(request.POST.get("token", "")), by=_user(request))
    return HttpResponse(status=204 if kept else 409)


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else -1


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
        comment = request.POST.get("review_comment", "")
        if "ask" in request.POST:
            services.ask_another(task, by=user, comment=comment)
            messages.success(request, _("One more person will be asked."))
        else:
            leave_out, value = "leave_out" in request.POST, _reviewed_value(task, request)
            services.review(task, by=user, value=value, leave_out=leave_out, comment=comment)
            messages.success(request, _("Decided."))
        return redirect("annotation:adjudicate", task.project_id)
    said = annotations_visible_to(user).filter(task=task).order_by("pk")
    context = _asked(task.project, task.inputs) | {
        "task": task,
        "annotations": said,
        "values": [(item, orjson.dumps(item.value).decode()) for item in said if item.value is not None],
        "may_review": may_review(user, task),
        "decisions": task.decisions.select_related("by").order_by("-pk")[:20],
        "disagreeing": conflicts_of(task.project).count(),
        "next_conflict": conflicts_of(task.project).filter(pk__gt=task.pk).order_by("pk").first(),
        "weighted": weighted_vote(task)
        if may_review(user, task) and task.status == Task.Status.CONFLICT
        else None,
    }
    return render(request, "annotation/review.html", context)


@login_required
@require_GET
def adjudicate(request: HttpRequest, pk: int) -> HttpResponse:
    """The disagreements of a project, one after the other, until none is left."""
    project = _project_of(request, pk)
    require(may_manage(_user(request), project))
    waiting = conflicts_of(project).order_by("pk").first()
    if waiting is not None:
        return redirect("annotation:review", waiting.pk)
    messages.info(request, _("There is no disagreement left to decide."))
    return redirect("annotation:detail", pk)


def _reviewed_value(task: Task, request: HttpRequest) -> Any:
    """What the reviewer chose: somebody's answer as it is, or an answer of their own."""
    taken = request.POST.get("take", "")
    if taken.isdecimal():
        row = task.annotations.filter(pk=int(taken)).first()
        if row is not None:
            return row.label if row.value is None else row.value
    return type_named(task.project.kind).parse(request.POST)


@login_required
@require_http_methods(["GET", "POST"])
def transfers_of(request: HttpRequest, pk: int) -> HttpResponse:
    """Files in and out: start one, see what became of the last ones."""
    project = _project_of(request, pk)
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
        "transfers": rows,
        "formats": transfers.formats_of(project),
        "under_way": any(row.status == Transfer.Status.WAITING for row in rows),
    }
    fragment = request.headers.get("HX-Request") and "list" in request.GET
    return render(request, f"annotation/{'_transfers' if fragment else 'transfers'}.html", context)


@login_required
@require_GET
def transfer_file(request: HttpRequest, pk: int, transfer_pk: int) -> FileResponse:
    """The file of an export, or the one that came in."""
    project = _project_of(request, pk)
    require(may_manage(_user(request), project))
    stream, name = transfers.open_file(project, transfer_pk)
    return FileResponse(stream, as_attachment=True, filename=name)


@login_required
@require_http_methods(["GET", "POST"])
def queue_of(request: HttpRequest, pk: int) -> HttpResponse:
    """In which order, to whom, how many, until when."""
    project = _project_of(request, pk)
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
    project = _project_of(request, pk)
    require(may_manage(_user(request), project))
    disagreeing = conflicts_of(project).order_by("-pk")
    found, results = None, golden.results_of(project)
    if not type_named(project.kind).is_regions:
        found = quality_of(project)
        for person in found.people:
            person["golden"] = results.get(person["name"])
    context = {
        "project": project,
        "agreement": agreement_of(project),
        "found": found,
        "disagreeing": disagreeing[:PAGE_SIZE],
        "live": live.live_quality(project),
        "golden_tasks": project.golden_tasks.select_related("task").order_by("-pk")[:PAGE_SIZE],
    }
    return render(request, "annotation/quality.html", context)


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


@login_required
@require_GET
def feedback(request: HttpRequest) -> HttpResponse:
    """Feedback on the calls that one may see, each with its receipt."""
    page = keyset(
        receipts.feedback_of(_user(request)), ("-at", "-pk"), request.GET.get("cursor", ""), PAGE_SIZE
    )
    context = {"page": page, "receipts": receipts.receipts(page.items)}
    return render(request, "annotation/feedback.html", context)
