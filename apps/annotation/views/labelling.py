"""Pages on which people answer: the labelling screen, its preview, review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.annotation import claims, services, suggestions, weighing
from apps.annotation.forms import split_labels
from apps.annotation.label_types import TYPES, type_named
from apps.annotation.models import Annotation, Project, Slot, Task
from apps.annotation.policy import may_label, may_manage, may_review
from apps.annotation.selectors import (
    MOST_LEFT,
    annotations_visible_to,
    as_told,
    capability_to_ask_about,
    conflicts_of,
    get_project,
    get_task,
    left_for,
    may_take_back,
    setting_of,
    shown,
)
from apps.core.errors import Conflict, NotFound
from apps.core.policy import require
from apps.datasets.models import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest

    from apps.accounts.models import User


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


@login_required
@require_GET
def label(request: HttpRequest, pk: int) -> HttpResponse:
    """The labelling screen: the next task, claimed for this person."""
    project = get_project(pk, user=_user(request), counted=False)
    require(may_label(_user(request), project))
    return _next(request, project, "annotation/label.html")


def _next(request: HttpRequest, project: Project, template: str) -> HttpResponse:
    may = may_label(_user(request), project)
    slot = claims.claim_next(project, by=_user(request)) if may else None
    context = {
        "left": left_for(_user(request), project),
        "before": _before(request, project),
        "why": may.reason,
    }
    return render(request, template, _held(project, slot) | context)


def _held(project: Project, slot: Slot | None) -> dict[str, Any]:
    if slot is None:
        return {"project": project, "slot": slot}
    proposed = None if project.blind else slot.task.proposed
    more = _asked(project, slot.task.inputs, proposed) | {"task": slot.task}
    return {"project": project, "slot": slot} | more


def _before(request: HttpRequest, project: Project) -> int | None:
    """The task whose answer this person gave last, if they may take it back."""
    rows = Annotation.objects.filter(user=_user(request), task__project=project)
    said = rows.select_related("task").order_by("-pk").first()
    return said.task_id if said is not None and may_take_back(said) else None


def _asked(project: Project, inputs: dict[str, Any], proposed: Any = None) -> dict[str, Any]:
    """What the fragments of a label type need to draw an input and ask about it, beginning from a value."""
    rows = len(next(iter(inputs.values()), None) or []) if project.kind == "rows" else 0
    labels = proposed if project.kind == "rows" and proposed and len(proposed) == rows else [""] * rows
    return {
        "project": project,
        "shown": shown(inputs, project),
        "type_template": f"annotation/types/{project.kind}.html",
        "ratings": range(1, project.options.get("most", 5) + 1),
        "table_rows": labels,
        "begun": orjson.dumps(proposed or []).decode(),
        "proposed": proposed,
        "begins_from_value": proposed is not None and type_named(project.kind).begins_from_value,
    }


@login_required
@require_POST
def look_ahead(request: HttpRequest, pk: int) -> HttpResponse:
    """The task after the present one, which the page shows once that one's answer is taken; 204 when there is none."""
    project, user = get_project(pk, user=_user(request), counted=False), _user(request)
    slot = claims.claim_ahead(project, by=user) if may_label(user, project, begun=1) else None
    if slot is None:
        return HttpResponse(status=204)
    left = left_for(user, project)
    context = {"ahead": True, "left": left if left == MOST_LEFT else max(left - 1, 1)}
    return render(request, "annotation/_task.html", _held(project, slot) | context)


@login_required
@require_POST
def let_go(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """The page is left: the task that it would have shown next is free again."""
    get_project(pk, user=_user(request), counted=False)
    claims.release(slot_pk, _whole(request.POST.get("token", "")), by=_user(request), only_ahead=True)
    return HttpResponse(status=204)


@login_required
@require_POST
def submit(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """Keep the answer, and show the next task: the one that the page holds ahead, if it is still theirs."""
    project = get_project(pk, user=_user(request), counted=False)
    slot = Slot.objects.filter(pk=slot_pk, project=project).first()
    if slot is None:
        raise NotFound(_("This place does not exist any more."))
    place, place_token = (_whole(request.POST.get(name, "")) for name in ("ahead", "ahead_token"))
    with transaction.atomic():  # both are written to the disk at once
        said = services.submit(
            slot,
            _whole(request.POST.get("token", "")),
            by=_user(request),
            value=type_named(project.kind).parse(request.POST),
            skipped="skip" in request.POST,
            flagged="flag" in request.POST,
            comment=request.POST.get("comment", ""),
            seconds=_seconds(request.POST.get("seconds", "0")),
        )
        shown_next = place > 0 and claims.take_up(place, place_token, by=_user(request))
    if not request.headers.get("HX-Request"):
        return redirect("annotation:label", pk)
    if shown_next:
        context = {"project": project, "before": said.task_id if may_take_back(said) else None}
        answer = render(request, "annotation/_before.html", context)
        answer["X-Next"] = "ahead"
        return answer
    return _next(request, project, "annotation/_task.html")


@login_required
@require_POST
def undo(request: HttpRequest, pk: int, task_pk: int) -> HttpResponse:
    """Take the last answer back: its task is shown again."""
    project, task = (
        get_project(pk, user=_user(request), counted=False),
        get_task(task_pk, user=_user(request)),
    )
    require(may_label(_user(request), project))
    held = claims.held(project, by=_user(request))
    slot = claims.take_back(task, by=_user(request))
    if slot is None:
        raise Conflict(_("This label cannot be taken back any more."))
    if held is not None:
        claims.release(held.pk, held.token, by=_user(request))
    if not request.headers.get("HX-Request"):
        return redirect("annotation:label", pk)
    context = {"left": left_for(_user(request), project), "before": _before(request, project)}
    return render(request, "annotation/_task.html", _held(project, slot) | context)


@login_required
@require_POST
def heartbeat(request: HttpRequest, pk: int, slot_pk: int) -> HttpResponse:
    """Keep the place while the page is open; 409 when somebody else has it by now."""
    get_project(pk, user=_user(request), counted=False)
    kept = claims.extend(slot_pk, _whole(request.POST.get("token", "")), by=_user(request))
    return HttpResponse(status=204 if kept else 409)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """How a project would look, with an input of the capability or an example of the label type; nothing is kept."""
    kind = TYPES.get(request.POST.get("kind", ""))
    if kind is None:
        return HttpResponse(status=204)
    example = kind.example
    own = _own_example(request, kind.slug)
    typed = split_labels(request.POST.get("labels", ""))
    labels = typed if len(typed) >= kind.fewest_labels else list(example.setting.labels)
    most = _whole(request.POST.get("most", ""))
    project = Project(
        kind=kind.slug,
        show=request.POST["show"] if own else example.show,
        dataset=own[0] if own else None,
        target=request.POST.get("target", ""),
        labels=services.keyed(labels),
        question=request.POST.get("question", "") or _("Your question"),
        options={"most": most} if 2 <= most <= 9 else {},
    )
    inputs = own[1] if own else dict(example.setting.inputs)
    return render(request, "annotation/_preview.html", _asked(project, inputs))


def _own_example(request: HttpRequest, kind: str) -> tuple[Dataset, dict[str, Any]] | None:
    """The data set and an input of what was chosen so far; None while it is not known how they look."""
    grows = request.POST.get("dataset", "")
    teams = teams_of(_user(request), Role.DEVELOPER, Role.QA)
    capability = capability_to_ask_about(_user(request), request.POST.get("capability", ""))
    dataset = Dataset.objects.filter(slug=grows.replace("\0", ""), team__in=teams).first()
    if capability is None or dataset is None:
        return None
    inputs = suggestions.example_of(capability, kind, request.POST.get("show", ""))
    return (dataset, inputs) if inputs else None


@login_required
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, task_pk: int) -> HttpResponse:
    """One task with all that was said about it; decide."""
    task = get_task(task_pk, user=_user(request))
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
    said = list(annotations_visible_to(user).filter(task=task).order_by("pk"))
    told, weighed, begin = as_told(task), None, None
    if may_review(user, task) and task.status == Task.Status.CONFLICT:
        weighed = weighing.weigh(task)
        told.label = weighed.label if weighed else task.label
        begin = weighed.value if weighed else task.value
    context = _asked(task.project, task.inputs, begin) | {
        "task": told,
        "annotations": [(item, _places(task, item.value)) for item in said],
        "values": [(item, orjson.dumps(item.value).decode()) for item in said if item.value is not None],
        "may_review": may_review(user, task),
        "decisions": task.decisions.select_related("by").order_by("-pk")[:20],
        "disagreeing": conflicts_of(task.project).count(),
        "next_conflict": conflicts_of(task.project).filter(pk__gt=task.pk).order_by("pk").first(),
        "weighed": weighed,
        "sides": _sides(task, weighed, said),
    }
    return render(request, "annotation/review.html", context)


def _places(task: Task, value: Any) -> list[str]:
    kind = type_named(task.project.kind)
    return [] if value is None else kind.places(value, setting_of(task.project, task.inputs))


def _sides(
    task: Task, weighed: weighing.Weighed | None, said: Iterable[Annotation]
) -> list[tuple[weighing.Side, list[str], list[tuple[User, float]]]]:
    """The answers to a disagreement, each with its places, those who gave it and how reliable they are."""
    people = {item.user.get_username(): item.user for item in said}
    return [
        (
            side,
            _places(task, side.value),
            [(people[name], right) for name, right in side.people if name in people],
        )
        for side in (weighed.sides if weighed else [])
    ]


@login_required
@require_GET
def adjudicate(request: HttpRequest, pk: int) -> HttpResponse:
    """The disagreements of a project, one after the other, until none is left."""
    project = get_project(pk, user=_user(request))
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
