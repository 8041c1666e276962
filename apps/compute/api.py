"""REST: jobs, the nodes that run them, and the hosts that sandboxes may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import FileResponse, HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import Team
from apps.accounts.policy import may_administer
from apps.compute import job_data
from apps.compute.models import AllowedHost, EgressRecord, Job, Node
from apps.compute.policy import may_see_nodes
from apps.compute.selectors import (
    advice_on,
    allowed_hosts,
    egress_records,
    job_log,
    job_output,
    job_visible_to,
    jobs_visible_to,
    measured_needs,
    nodes,
    this_machine,
    usage_of,
)
from apps.compute.serializers import (
    AllowedHostSerializer,
    AttemptSerializer,
    EgressSerializer,
    GivenSerializer,
    HostChangeSerializer,
    JobSerializer,
    MachineSerializer,
    NodeSerializer,
    ScriptSerializer,
    UsageSerializer,
)
from apps.compute.services import (
    allow_host,
    cancel_job,
    drain_node,
    label_node,
    remove_host,
    remove_node,
    resume_node,
    retry_job,
    set_host_enabled,
    submit_script,
)
from apps.core.api import IdempotencyMixin, narrowed
from apps.core.errors import Invalid
from apps.core.policy import require

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class JobViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Job]
):
    """Jobs of one's teams, newest first."""

    serializer_class = JobSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Job]:
        if getattr(self, "swagger_fake_view", False):
            return Job.objects.none()
        rows = jobs_visible_to(self.request.user)
        rows = rows.defer("reports") if self.action == "list" else rows
        return narrowed(rows, self.request, {"status": "status", "kind": "kind", "team": "team__slug"})

    @extend_schema(
        parameters=[
            OpenApiParameter("status", enum=Job.Status.values),
            OpenApiParameter("kind", str),
            OpenApiParameter("team", str),
        ]
    )
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=ScriptSerializer, responses={201: JobSerializer})
    def create(self, request: Request) -> Response:
        """Run a Python script as a job."""
        asked = ScriptSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = dict(asked.validated_data)
        team = Team.objects.filter(slug=facts["team"]).first()
        if team is None:
            raise Invalid(
                _("There is no team “%(slug)s”.") % {"slug": facts["team"]}, fields={"team": _("unknown")}
            )
        facts["team"] = team
        job = submit_script(**facts, by=cast("User", request.user))
        return Response(JobSerializer(job).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str = "") -> Response:
        """End a job."""
        job = cancel_job(self.get_object(), by=cast("User", request.user))
        return Response(JobSerializer(job_visible_to(request.user, job.pk)).data)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str = "") -> Response:
        """Queue a failed or cancelled job anew."""
        job = retry_job(self.get_object(), by=cast("User", request.user))
        return Response(JobSerializer(job).data)

    @extend_schema(responses=AttemptSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def attempts(self, request: Request, pk: str = "") -> Response:
        """The attempts of a job, oldest first."""
        rows = self.get_object().attempts.order_by("number")[:200]
        return Response(AttemptSerializer(rows, many=True).data)

    @extend_schema(responses=GivenSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def datasets(self, request: Request, pk: str = "") -> Response:
        """The data set versions that a job reads, of those that you may see."""
        found, _hidden = job_data.given_to(self.get_object(), reader=cast("User", request.user))
        return Response(GivenSerializer(found, many=True).data)

    @extend_schema(responses=UsageSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def usage(self, request: Request, pk: str = "") -> Response:
        """Memory and processor time of the newest attempt, what it reported, and what runs of the same thing needed."""
        job = self.get_object()
        found = {"samples": usage_of(job), "needs": measured_needs(job.needs_key), "advice": advice_on(job)}
        return Response(UsageSerializer({**found, "reports": job.reports}).data)

    @extend_schema(
        parameters=[OpenApiParameter("offset", int), OpenApiParameter("attempt", int)],
        responses=OpenApiResponse(OpenApiTypes.STR, description="X-Next-Offset tells where to go on."),
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def log(self, request: Request, pk: str = "") -> HttpResponse:
        """Output from a byte offset on, at most 1 MiB."""
        offset, attempt = (_whole(request, name) for name in ("offset", "attempt"))
        data, following = job_log(self.get_object(), offset, 1 << 20, attempt=attempt or None)
        answer = HttpResponse(data, content_type="text/plain; charset=utf-8")
        answer["X-Next-Offset"] = str(following)
        return answer

    @extend_schema(responses=OpenApiTypes.BINARY)
    @action(detail=True, methods=["get"], url_path=r"outputs/(?P<path>.+)", pagination_class=None)
    def outputs(self, request: Request, pk: str = "", path: str = "") -> FileResponse:
        """One file that the job left."""
        handle, name = job_output(self.get_object(), path.rstrip("/"))
        return FileResponse(handle, as_attachment=True, filename=name)


def _whole(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isdecimal():
        raise Invalid(
            _("%(name)s must be a whole number from 0 on.") % {"name": name}, fields={name: _("no number")}
        )
    return int(text)


class NodeViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Node]
):
    """The machines that run workloads; operators read them, administrators change them."""

    serializer_class = NodeSerializer
    ordering = ("name", "pk")
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Node]:
        if not getattr(self, "swagger_fake_view", False):
            require(may_see_nodes(self.request.user))
        return nodes()

    @extend_schema(request=NodeSerializer, responses=NodeSerializer)
    def partial_update(self, request: Request, pk: str = "") -> Response:
        """Give a node other labels."""
        asked = NodeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changed = label_node(self.get_object(), asked.validated_data["labels"], by=cast("User", request.user))
        return Response(NodeSerializer(changed).data)

    @extend_schema(request=None, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str = "") -> Response:
        """Let it take nothing new; what runs there goes on."""
        return Response(NodeSerializer(drain_node(self.get_object(), by=cast("User", request.user))).data)

    @extend_schema(request=None, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str = "") -> Response:
        """Let a drained node take new work again."""
        return Response(NodeSerializer(resume_node(self.get_object(), by=cast("User", request.user))).data)

    def destroy(self, request: Request, pk: str = "") -> Response:
        """Forget a node that is silent."""
        remove_node(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class MachineView(APIView):
    """How this machine fences people's code, what it has given out, and every workload on it; for administrators."""

    @extend_schema(responses=MachineSerializer)
    def get(self, request: Request) -> Response:
        require(may_administer(request.user))
        return Response(MachineSerializer(this_machine()).data)


class AllowedHostViewSet(
    IdempotencyMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[AllowedHost],
):
    """The hosts that sandboxes may reach; everybody reads the list, administrators change it."""

    serializer_class = AllowedHostSerializer
    ordering = ("pattern", "pk")
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[AllowedHost]:
        return allowed_hosts()

    @extend_schema(request=AllowedHostSerializer, responses={201: AllowedHostSerializer})
    def create(self, request: Request) -> Response:
        """Let sandboxes reach a host."""
        asked = AllowedHostSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = asked.validated_data
        made = allow_host(facts["pattern"], note=facts.get("note", ""), by=cast("User", request.user))
        return Response(AllowedHostSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=HostChangeSerializer, responses=AllowedHostSerializer)
    def partial_update(self, request: Request, pk: str = "") -> Response:
        """Switch an entry on or off."""
        asked = HostChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changed = set_host_enabled(
            self.get_object(), enabled=asked.validated_data["enabled"], by=cast("User", request.user)
        )
        return Response(AllowedHostSerializer(changed).data)

    def destroy(self, request: Request, pk: str = "") -> Response:
        """Take an administrator's entry off the list."""
        remove_host(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EgressViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[EgressRecord]):
    """What sandboxes asked of the network, the newest first; for administrators."""

    serializer_class = EgressSerializer
    ordering = ("-last_at", "-pk")

    def get_queryset(self) -> QuerySet[EgressRecord]:
        asked = self.request.query_params if not getattr(self, "swagger_fake_view", False) else {}
        allowed = {"true": True, "false": False}.get(asked.get("allowed", ""))
        return egress_records(allowed=allowed, workload_id=asked.get("workload", ""))

    @extend_schema(parameters=[OpenApiParameter("allowed", bool), OpenApiParameter("workload", str)])
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        require(may_administer(request.user))
        return super().list(request, *args, **kwargs)
