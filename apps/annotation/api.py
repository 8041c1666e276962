"""REST: annotation projects, tasks, annotations. Whatever the pages do is done here by the same services."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from django.db.models import QuerySet
from django.http import FileResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, parsers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.annotation import (
    adding,
    bulk,
    claims,
    live,
    notebooks,
    pulling,
    queue,
    quick,
    receipts,
    retraining,
    services,
    transfers,
)
from apps.annotation.models import Annotation, Bulk, Project, PullRule, Slot, Task
from apps.annotation.policy import may_label, may_manage
from apps.annotation.quality import quality_of
from apps.annotation.selectors import (
    accuracy_of,
    agreement_of,
    annotations_visible_to,
    decision_of,
    flagged_among,
    get_project,
    in_status,
    near_audit_of,
    projects_visible_to,
    tasks_visible_to,
)
from apps.annotation.serializers import (
    AcceptSerializer,
    AddedSerializer,
    AnnotationSerializer,
    AskSerializer,
    BulkSerializer,
    HeldSerializer,
    LabelsSerializer,
    NewAnnotationSerializer,
    NewTasksSerializer,
    NewTransferSerializer,
    NotebookOfTasksSerializer,
    ProjectChangeSerializer,
    ProjectSerializer,
    QualitySerializer,
    QueueSerializer,
    ReceiptSerializer,
    RetrainingSerializer,
    RulePreviewSerializer,
    RuleSerializer,
    StatusSerializer,
    SwitchSerializer,
    TaskDecisionSerializer,
    TaskPlaceSerializer,
    TaskReviewSerializer,
    TaskSerializer,
    TransferSerializer,
)
from apps.catalog.selectors import get_capability
from apps.core.api import IdempotencyMixin
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.paging import LARGEST_PAGE
from apps.core.parsers import JSONParser
from apps.core.policy import require
from apps.datasets.selectors import get_dataset
from apps.gateway.models import Outcome
from apps.workbench.placing import put_notebook
from apps.workbench.selectors import workspace_for
from apps.workbench.serializers import PlacedSerializer

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import User

_LARGEST_PK = 2**62


def _user(request: Request) -> User:
    return cast("User", request.user)


def _number(text: str, name: str) -> int:
    """A primary key from the address or the query. Raises Invalid."""
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_PK):
        raise Invalid(
            _("%(name)s must be a whole number, not “%(text)s”.") % {"name": name, "text": text[:50]},
            fields={name: _("is no number")},
        )
    return int(text)


def _filter(name: str, kind: Any = OpenApiTypes.STR) -> OpenApiParameter:
    return OpenApiParameter(name, kind, required=False)


def _bulk(made: Bulk, done: int) -> Response:
    """What was done at once; 202 for what goes on in the background. Raises Conflict with the reason of a failure."""
    if made.status == Bulk.Status.FAILED:
        raise Conflict(made.why)
    waiting = made.status == Bulk.Status.WAITING
    return Response(BulkSerializer(made).data, status=status.HTTP_202_ACCEPTED if waiting else done)


class ProjectViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Project]
):
    """Questions about the calls of a capability, and the queue of tasks that people answer."""

    @classmethod
    def as_view(cls, actions: Any = None, **initkwargs: Any) -> Any:
        view = super().as_view(actions, **initkwargs)
        return quick.first(view, quick.claim) if (actions or {}).get("post") == "claim" else view

    serializer_class = ProjectSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Project]:
        if getattr(self, "swagger_fake_view", False):
            return Project.objects.none()
        return projects_visible_to(_user(self.request))

    def _told(self, project: Project, code: int = 200) -> Response:
        fresh = self.get_queryset().get(pk=project.pk)
        return Response(ProjectSerializer(fresh).data, status=code)

    def create(self, request: Request) -> Response:
        asked = ProjectSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values, user = dict(asked.validated_data), _user(request)
        capability = get_capability(values.pop("capability").slug, user=user)
        dataset = get_dataset(values.pop("dataset").slug, user=user)
        project = services.create_project(capability, by=user, dataset=dataset, **values)
        return self._told(project, status.HTTP_201_CREATED)

    @extend_schema(request=ProjectChangeSerializer, responses=ProjectSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change name, question, guideline or blindness."""
        project = self.get_object()
        unknown = set(request.data) - set(ProjectChangeSerializer.Meta.fields)
        asked = ProjectChangeSerializer(project, data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        changes = dict(asked.validated_data) | dict.fromkeys(unknown)
        return self._told(services.change_project(project, by=_user(request), **changes))

    @extend_schema(request=LabelsSerializer, responses=ProjectSerializer)
    @action(detail=True, methods=["post"])
    def labels(self, request: Request, pk: str) -> Response:
        """Give it other labels; refused when one goes that is in use."""
        asked = LabelsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._told(
            services.change_labels(self.get_object(), by=_user(request), **asked.validated_data)
        )

    @extend_schema(request=QueueSerializer, responses=ProjectSerializer)
    @action(detail=True, methods=["post"])
    def queue(self, request: Request, pk: str) -> Response:
        """In which order, to whom, how many for each, until when."""
        project = self.get_object()
        asked = QueueSerializer(data=request.data, context={"project": project})
        asked.is_valid(raise_exception=True)
        return self._told(queue.change_queue(project, by=_user(request), **asked.validated_data))

    @extend_schema(request=StatusSerializer, responses=ProjectSerializer)
    @action(detail=True, methods=["post"], url_path="status")
    def set_status(self, request: Request, pk: str) -> Response:
        """Pause, close or open again."""
        asked = StatusSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._told(
            services.set_status(self.get_object(), asked.validated_data["status"], by=_user(request))
        )

    @extend_schema(request=None, responses={200: TaskPlaceSerializer, 204: None})
    @action(detail=True, methods=["post"])
    def claim(self, request: Request, pk: str) -> Response:
        """Take the next task, for five minutes; the one that is held already comes again. 204: nothing is left."""
        project = get_project(int(pk), user=_user(request), counted=False)
        require(may_label(_user(request), project))
        slot = claims.claim_next(project, by=_user(request))
        return Response(_place(slot, project)) if slot else Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: TaskPlaceSerializer, 204: None})
    @action(detail=True, methods=["post"])
    def ahead(self, request: Request, pk: str) -> Response:
        """Take the task that comes after the one you hold, so that it is there at once: `claim` gives it next.

        It can go to somebody for whom nothing else is left. 204: you hold none, or nothing is left.
        """
        user = _user(request)
        project = get_project(int(pk), user=user, counted=False)
        slot = claims.claim_ahead(project, by=user) if may_label(user, project, begun=1) else None
        return Response(_place(slot, project)) if slot else Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=RuleSerializer(many=True), methods=["GET"], filters=False)
    @extend_schema(request=RuleSerializer, responses={201: RuleSerializer}, methods=["POST"])
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def rules(self, request: Request, pk: str) -> Response:
        """The pull rules; a new one pulls at once."""
        project = self.get_object()
        if request.method == "GET":
            return Response(RuleSerializer(project.rules.order_by("pk")[:200], many=True).data)
        asked = RuleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        rule = services.add_rule(project, by=_user(request), **asked.validated_data)
        pulling.pull(rule)
        return Response(RuleSerializer(rule).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RuleSerializer, responses=RulePreviewSerializer)
    @action(detail=True, methods=["post"], url_path="rules/preview", pagination_class=None)
    def preview_rule(self, request: Request, pk: str) -> Response:
        """What a rule would take now, and why; nothing is kept."""
        project = self.get_object()
        require(may_manage(_user(request), project))
        asked = RuleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = {name: value for name, value in asked.validated_data.items() if name != "every_s"}
        found = pulling.preview(project, **values)
        some = [{"request_id": call.request_id, "at": call.at, "why": why} for call, why in found.some]
        told = {"looked_at": found.looked_at, "taken": found.taken, "some": some, "unread": found.unread}
        return Response(told)

    @extend_schema(
        request=SwitchSerializer, responses=RuleSerializer, operation_id="annotation_projects_rules_switch"
    )
    @action(detail=True, methods=["post"], url_path=r"rules/(?P<rule>\d{1,18})", pagination_class=None)
    def switch_rule(self, request: Request, pk: str, rule: str) -> Response:
        """Let a rule rest, or pull again."""
        asked = SwitchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        found = self.get_object().rules.filter(pk=int(rule)).first()
        if found is None:
            raise NotFound(_("This rule does not exist any more."))
        switched = services.switch_rule(found, by=_user(request), active=asked.validated_data["active"])
        return Response(RuleSerializer(switched).data)

    @extend_schema(responses=QualitySerializer)
    @action(detail=True, methods=["get"])
    def quality(self, request: Request, pk: str) -> Response:
        """How far people agree, and how often production is right."""
        project = self.get_object()
        require(may_manage(_user(request), project))
        found, decision = agreement_of(project), decision_of(project)
        right, alike = accuracy_of(project), near_audit_of(project)
        more = quality_of(project)
        told = {
            "people": more.people,
            "labels": [{"label": label, **asdict(item)} for label, item in more.labels.items()],
            "pairs": [{"people": list(pair), **asdict(item)} for pair, item in more.pairs.items()],
            "agreement": {"value": found.alpha, "low": found.low, "high": found.high, "n": found.items},
            "raw_agreement": found.raw,
            "accuracy": None if right is None else asdict(right),
            "near_audit": None if alike is None else asdict(alike),
            "decision": None if decision is None else asdict(decision),
            "live": [asdict(group) for group in live.live_quality(project)],
        }
        return Response(told)

    @extend_schema(request=AcceptSerializer, responses={200: BulkSerializer, 202: BulkSerializer})
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: str) -> Response:
        """Accept what all agreed on; `flagged` ones are left to be looked at one by one. Many: watch `bulks`."""
        asked = AcceptSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = {name: str(value) for name, value in asked.validated_data.items() if value}
        return _bulk(bulk.start_accept(self.get_object(), values, by=_user(request)), status.HTTP_200_OK)

    @extend_schema(responses=BulkSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def bulks(self, request: Request, pk: str) -> Response:
        """Exports into the data set and acceptances with their progress, the newest 30."""
        project = self.get_object()
        require(may_manage(_user(request), project))
        return Response(BulkSerializer(bulk.newest(project), many=True).data)

    @extend_schema(responses=TransferSerializer(many=True), methods=["GET"], filters=False)
    @extend_schema(request=NewTransferSerializer, responses={202: TransferSerializer}, methods=["POST"])
    @action(
        detail=True,
        methods=["get", "post"],
        pagination_class=None,
        parser_classes=[JSONParser, parsers.MultiPartParser],
    )
    def transfers(self, request: Request, pk: str) -> Response:
        """Files in and out. A `file` with the POST is an import, none is an export; both run in the background."""
        project, user = self.get_object(), _user(request)
        require(may_manage(user, project))
        if request.method == "GET":
            return Response(TransferSerializer(project.transfers.order_by("-pk")[:100], many=True).data)
        asked = NewTransferSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        if values.get("file") is None:
            made = transfers.start_export(project, values["format"], by=user)
        else:
            made = transfers.start_import(
                project, values["format"], values["file"].file, by=user, keep_good=values["keep_good"]
            )
        return Response(TransferSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, filters=False)
    @action(
        detail=True, methods=["get"], url_path=r"transfers/(?P<transfer>\d{1,18})/file", pagination_class=None
    )
    def transfer_file(self, request: Request, pk: str, transfer: str) -> FileResponse:
        """The file of an export, or the one that came in."""
        project = self.get_object()
        require(may_manage(_user(request), project))
        stream, name = transfers.open_file(project, int(transfer))
        return FileResponse(stream, as_attachment=True, filename=name)

    @extend_schema(request=None, responses={201: BulkSerializer, 202: BulkSerializer})
    @action(detail=True, methods=["post"])
    def export(self, request: Request, pk: str) -> Response:
        """Accepted labels become the data set's next version; many of them in the background: watch `bulks`."""
        return _bulk(bulk.start_export(self.get_object(), by=_user(request)), status.HTTP_201_CREATED)

    @extend_schema(request=NotebookOfTasksSerializer, responses={201: PlacedSerializer})
    @action(detail=True, methods=["post"])
    def notebook(self, request: Request, pk: str) -> Response:
        """Put a notebook that loads these tasks into a workspace of one's own."""
        asked = NotebookOfTasksSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        project, user, values = self.get_object(), _user(request), asked.validated_data
        tasks = notebooks.tasks_named(project, [str(number) for number in values["tasks"]], user=user)
        workspace = workspace_for(user, values["workspace"])
        path = put_notebook(workspace, notebooks.tasks_draft(project, tasks), by=user)
        return Response({"workspace": workspace.pk, "path": path}, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={201: RetrainingSerializer})
    @action(detail=True, methods=["post"])
    def retrain(self, request: Request, pk: str) -> Response:
        """Run the recorded training on the data set's newest version."""
        project = self.get_object()
        newest = project.dataset.versions.order_by("-number").first()
        if newest is None:
            raise Conflict(_("The data set has no version yet."))
        made = retraining.retrain(project.capability, newest, by=_user(request))
        return Response(RetrainingSerializer(made).data, status=status.HTTP_201_CREATED)


def _place(slot: Slot, project: Project) -> dict[str, Any]:
    """What TaskPlaceSerializer would give, written out since every label waits for it; a test compares them."""
    task, until = slot.task, slot.leased_until
    assert until is not None
    shown = {
        "id": task.pk,
        "project": project.pk,
        "request_id": str(task.request_id),
        "called_at": _moment(task.called_at),
        "version": task.version,
        "inputs": task.inputs,
        "predicted": "" if project.blind else task.predicted,
        "confidence": None if project.blind else task.confidence,
        "suggested": "" if project.blind else task.suggested,
        "proposed": None if project.blind else task.proposed,
        "reason": task.why,
        "rule_kind": task.rule_kind,
        "probability": task.probability,
        "priority": task.priority,
        "weight": task.weight,
        "status": "open",  # a golden task looks like any other
        "label": "",
        "value": None,
        "dataset_version": None,
        "created_at": _moment(task.created_at),
        "closed_at": None,
    }
    return {"slot": slot.pk, "token": slot.token, "leased_until": _moment(until), "task": shown}


def _moment(at: Any) -> str:
    return str(at.isoformat()).replace("+00:00", "Z")


class TaskViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Task]
):
    """Calls and uploaded rows to look at."""

    serializer_class = TaskSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Task]:
        if getattr(self, "swagger_fake_view", False):
            return Task.objects.none()
        user, asked = _user(self.request), self.request.query_params
        project = None
        if asked.get("project"):
            project = get_project(_number(asked["project"], "project"), user=user, counted=False)
        rows = tasks_visible_to(user, project).select_related("dataset_version__dataset")
        if asked.get("status"):
            told = _known(asked["status"], Task.Status.values, "status")
            rows = in_status(rows, told, user=user, project=project)
        if asked.get("flagged") == "true":
            rows = flagged_among(rows, user)
        if asked.get("ids"):
            ids = [_number(text, "ids") for text in asked["ids"].split(",")]
            rows = rows.filter(pk__in=ids[:LARGEST_PAGE])
        if asked.get("kind"):
            rows = rows.filter(rule_kind=_known(asked["kind"], PullRule.Kind.values, "kind"))
        return rows

    @extend_schema(
        parameters=[
            _filter("project", OpenApiTypes.INT),
            _filter("status"),
            _filter("kind"),
            _filter("ids"),
            _filter("flagged", OpenApiTypes.BOOL),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Tasks, newest first; `ids` are numbers with commas between them."""
        return super().list(request, *args, **kwargs)

    @extend_schema(request=NewTasksSerializer, responses={201: AddedSerializer})
    def create(self, request: Request) -> Response:
        """Make tasks of rows that you bring: `{"inputs": {name: value}, "predicted"?, "confidence"?, "reason"?}`."""
        asked = NewTasksSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        project = get_project(values["project"], user=_user(request), counted=False)
        added = adding.add_tasks(project, values["rows"], by=_user(request), keep_good=values["keep_good"])
        told = {
            "tasks": added.tasks,
            "merged": added.merged,
            "unproposed": added.unproposed,
            "broken": _broken(added),
        }
        return Response(told, status=status.HTTP_201_CREATED)

    @extend_schema(request=TaskReviewSerializer, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def review(self, request: Request, pk: str) -> Response:
        """Accept with a label, or leave out."""
        asked = TaskReviewSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        task = services.review(self.get_object(), by=_user(request), **asked.validated_data)
        return Response(TaskSerializer(task).data)

    @extend_schema(request=AskSerializer, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def ask(self, request: Request, pk: str) -> Response:
        """Let one more person label it; it comes back to review then."""
        asked = AskSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        task = services.ask_another(self.get_object(), by=_user(request), **asked.validated_data)
        return Response(TaskSerializer(task).data)

    @extend_schema(responses=TaskDecisionSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def decisions(self, request: Request, pk: str) -> Response:
        """What reviewers decided, the oldest first."""
        task = self.get_object()
        require(may_manage(_user(request), task.project))
        rows = task.decisions.select_related("by").order_by("pk")[:200]
        return Response(TaskDecisionSerializer(rows, many=True).data)

    @extend_schema(request=None, responses={200: TaskPlaceSerializer, 409: None})
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: str) -> Response:
        """Take one's label back and hold the place again; 409 when others have finished the task since."""
        task = self.get_object()
        require(may_label(_user(request), task.project))
        slot = claims.take_back(task, by=_user(request))
        if slot is None:
            raise Conflict(_("This label cannot be taken back any more."))
        return Response(_place(slot, task.project))

    @extend_schema(request=HeldSerializer, responses={204: None, 409: None})
    @action(detail=True, methods=["post"])
    def heartbeat(self, request: Request, pk: str) -> Response:
        """Keep the place for five more minutes; 409 when it is lost."""
        asked = HeldSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        self.get_object()
        kept = claims.extend(asked.validated_data["slot"], asked.validated_data["token"], by=_user(request))
        if not kept:
            raise Conflict(
                _("You do not hold this place any more; what you send still counts as one more vote.")
            )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=HeldSerializer, responses={204: None})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        """Give the place back unlabelled."""
        asked = HeldSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        self.get_object()
        claims.release(asked.validated_data["slot"], asked.validated_data["token"], by=_user(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _known(value: str, values: list[str], name: str) -> str:
    if value not in values:
        raise Invalid(
            _("%(name)s must be one of %(values)s.") % {"name": name, "values": ", ".join(values)},
            fields={name: _("is unknown")},
        )
    return value


def _broken(added: adding.Added) -> list[dict[str, Any]]:
    return [{"row": number, "why": why} for number, why in added.broken[:1000]]


class AnnotationViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Annotation]
):
    """What people said: one's own, and everybody's for those who manage the project."""

    @classmethod
    def as_view(cls, actions: Any = None, **initkwargs: Any) -> Any:
        view = super().as_view(actions, **initkwargs)
        return quick.first(view, quick.say) if (actions or {}).get("post") == "create" else view

    serializer_class = AnnotationSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Annotation]:
        if getattr(self, "swagger_fake_view", False):
            return Annotation.objects.none()
        rows, asked = annotations_visible_to(_user(self.request)), self.request.query_params
        if asked.get("project"):
            rows = rows.filter(task__project=_number(asked["project"], "project"))
        if asked.get("task"):
            rows = rows.filter(task=_number(asked["task"], "task"))
        if asked.get("user"):
            rows = rows.filter(user__username=asked["user"].replace("\x00", ""))
        return rows

    @extend_schema(
        parameters=[_filter("project", OpenApiTypes.INT), _filter("task", OpenApiTypes.INT), _filter("user")]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Annotations, newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(request=NewAnnotationSerializer, responses={201: AnnotationSerializer})
    def create(self, request: Request) -> Response:
        """Say what the task is whose place you hold; 409 when you have said it already."""
        asked = NewAnnotationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        slot = Slot.objects.only("pk", "task_id").filter(pk=values.pop("slot")).first()
        if slot is None:
            raise NotFound(_("This place does not exist any more."))
        made = services.submit(slot, values.pop("token"), by=_user(request), **values)
        told = {
            "id": made.pk,
            "task": made.task_id,
            "project": made.task.project_id,
            "user": request.user.get_username(),
            "label": made.label,
            "value": made.value,
            "skipped": made.skipped,
            "flagged": made.flagged,
            "comment": made.comment,
            "seconds": made.seconds,
            "extra": made.extra,
            "at": _moment(made.at),
        }
        return Response(told, status=status.HTTP_201_CREATED)


class ReceiptViewSet(IdempotencyMixin, mixins.ListModelMixin, viewsets.GenericViewSet[Outcome]):
    """What became of feedback: looked at, accepted, in which data, in which model, and whether it is right now."""

    serializer_class = ReceiptSerializer
    ordering = ("-at", "-pk")

    def get_queryset(self) -> QuerySet[Outcome]:
        if getattr(self, "swagger_fake_view", False):
            return Outcome.objects.none()
        return receipts.feedback_of(_user(self.request))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Receipts, newest feedback first."""
        rows = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([_receipt(entry) for entry in receipts.receipts(rows)])

    @extend_schema(request=None, responses=ReceiptSerializer)
    @action(detail=True, methods=["post"])
    def ask(self, request: Request, pk: str) -> Response:
        """Ask the version in production the same input again; it is answered within seconds."""
        outcome = self.get_queryset().filter(pk=_number(pk, "id")).first()
        if outcome is None:
            raise NotFound(_("There is no feedback %(pk)s that you may see.") % {"pk": pk})
        return Response(_receipt(receipts.ask_again(outcome, by=_user(request))))


def _receipt(entry: receipts.Receipt) -> dict[str, Any]:
    return {
        "id": entry.outcome.pk,
        "request_id": entry.outcome.request_id,
        "at": entry.outcome.at,
        "correct": entry.outcome.correct,
        "state": entry.state,
        "steps": entry.steps,
        "asking": entry.asking,
        "may_ask": entry.may_ask,
    }
