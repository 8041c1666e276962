"""REST: logged calls, and feedback on them by people (callers give theirs at the gateway)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog.policy import may_build
from apps.catalog.selectors import get_capability
from apps.core.api import IdempotencyMixin
from apps.core.policy import require
from apps.datasets.selectors import get_dataset
from apps.gateway import exporting, payloads
from apps.gateway.asked import FEEDBACK, OUTCOMES, SPANS, narrowed
from apps.gateway.models import Call, CallExport, Outcome, Overload
from apps.gateway.retention import days_of
from apps.gateway.scanning import Condition, expression_of, look
from apps.gateway.selectors import (
    callers_of,
    calls_visible_to,
    capabilities_called,
    exports_visible_to,
    feedback_visible_to,
    get_call,
    outcomes_of,
    overloads_visible_to,
    site_of,
)
from apps.gateway.serializers import (
    CallDetailSerializer,
    CallExportSerializer,
    CallSerializer,
    LookedSerializer,
    NewCallExportSerializer,
    OutcomeSerializer,
    OverloadSerializer,
    RetentionSerializer,
    UnmaskedSerializer,
)
from apps.gateway.services import give_feedback, set_retention, unmask_call

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class CallViewSet(IdempotencyMixin, mixins.ListModelMixin, viewsets.GenericViewSet[Call]):
    """Calls of the capabilities of one's teams, and with one's teams' keys, newest first."""

    serializer_class = CallSerializer
    ordering = ("-at", "-request_id")
    lookup_field = "request_id"
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Call]:
        if getattr(self, "swagger_fake_view", False):
            return Call.objects.none()
        user = cast("User", self.request.user)
        asked = self.request.query_params
        rows = calls_visible_to(user, shadow=bool(asked.get("shadow")))
        return narrowed(rows, asked, capabilities_called(user))

    @extend_schema(
        parameters=[
            OpenApiParameter("capability", str),
            OpenApiParameter("version", str),
            OpenApiParameter("since", enum=list(SPANS)),
            OpenApiParameter("outcome", enum=list(OUTCOMES)),
            OpenApiParameter("site", str),
            OpenApiParameter("subscriber", str, description="a team's short name, or a person's user name"),
            OpenApiParameter("feedback", enum=list(FEEDBACK)),
            OpenApiParameter("score_from", float),
            OpenApiParameter("score_below", float),
            OpenApiParameter("from", OpenApiTypes.DATETIME),
            OpenApiParameter("until", OpenApiTypes.DATETIME),
            OpenApiParameter(
                "shadow", bool, description="What shadows answered, instead of what callers got"
            ),
        ]
    )
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(
        parameters=[
            OpenApiParameter("where", str, description="a JMESPath condition"),
            OpenApiParameter("field", str, description="a parsed field that is to be there"),
            OpenApiParameter("value", str, description="what it is to be"),
        ],
        responses=LookedSerializer,
    )
    @action(detail=False, methods=["get"])
    def look(self, request: Request) -> Response:
        """The calls for which a condition holds: at most 2,000 are looked at; go on with `next_cursor`.

        The filters of the list narrow them before.
        """
        condition = Condition(expression_of(request.query_params))
        found = look(self.get_queryset(), condition, request.query_params.get("cursor", ""))
        return Response(LookedSerializer(found).data)

    @extend_schema(responses=CallDetailSerializer)
    def retrieve(self, request: Request, request_id: str) -> Response:
        """One call with its bodies and what became known of it."""
        call = get_call(request_id, user=cast("User", request.user))
        call.outcomes = outcomes_of([call.request_id]).get(call.request_id, [])  # type: ignore[attr-defined]
        call.caller = callers_of([call]).get(call.grant_id, "")  # type: ignore[attr-defined]
        call.site = site_of(call)  # type: ignore[attr-defined]
        return Response(CallDetailSerializer(call).data)

    @extend_schema(request=None, responses=UnmaskedSerializer)
    @action(detail=True, methods=["post"])
    def unmask(self, request: Request, request_id: str) -> Response:
        """Its bodies with the encrypted fields read; who asked stands in the audit log."""
        user = cast("User", request.user)
        found = unmask_call(get_call(request_id, user=user), by=user)
        return Response(found, headers={"Cache-Control": "no-store"})

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], url_path="bodies/(?P<which>request|response)")
    def bodies(self, request: Request, request_id: str, which: str) -> HttpResponse:
        """A body above the plan's limit, which lies in a file beside the log."""
        call = get_call(request_id, user=cast("User", request.user))
        return HttpResponse(payloads.read(call, which), content_type="application/json")


class FeedbackViewSet(IdempotencyMixin, mixins.ListModelMixin, viewsets.GenericViewSet[Outcome]):
    """Feedback and labels on the calls of the capabilities of one's teams, newest first."""

    serializer_class = OutcomeSerializer
    ordering = ("-at", "-pk")

    def get_queryset(self) -> QuerySet[Outcome]:
        if getattr(self, "swagger_fake_view", False):
            return Outcome.objects.none()
        return feedback_visible_to(cast("User", self.request.user))

    @extend_schema(responses={201: OutcomeSerializer})
    def create(self, request: Request) -> Response:
        """Say whether an answer was right, and what it should have been."""
        asked = OutcomeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = cast("User", request.user)
        facts = dict(asked.validated_data)
        outcome = give_feedback(get_call(facts.pop("request_id"), user=user), **facts, by=user)
        return Response(OutcomeSerializer(outcome).data, status.HTTP_201_CREATED)


class OverloadViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Overload]):
    """Times in which deployments of one's teams turned calls away, newest first."""

    serializer_class = OverloadSerializer
    ordering = ("-last_at", "-pk")

    def get_queryset(self) -> QuerySet[Overload]:
        if getattr(self, "swagger_fake_view", False):
            return Overload.objects.none()
        return overloads_visible_to(cast("User", self.request.user))


class RetentionView(APIView):
    """For how many days a capability's calls are kept."""

    @extend_schema(responses=RetentionSerializer, operation_id="retention_retrieve")
    def get(self, request: Request, slug: str) -> Response:
        capability = get_capability(slug, user=request.user)
        require(may_build(request.user, capability))
        return Response({"capability": slug, "days": days_of(capability)})

    @extend_schema(
        request=RetentionSerializer, responses=RetentionSerializer, operation_id="retention_update"
    )
    def put(self, request: Request, slug: str) -> Response:
        """Change it; older calls are deleted within the hour."""
        asked = RetentionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        capability = get_capability(slug, user=request.user)
        kept = set_retention(capability, asked.validated_data["days"], by=cast("User", request.user))
        return Response({"capability": slug, "days": kept.days})


class CallExportViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[CallExport]
):
    """Calls on their way into a data set, newest first."""

    serializer_class = CallExportSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[CallExport]:
        if getattr(self, "swagger_fake_view", False):
            return CallExport.objects.none()
        return exports_visible_to(cast("User", self.request.user))

    @extend_schema(request=NewCallExportSerializer, responses={201: CallExportSerializer})
    def create(self, request: Request) -> Response:
        """Make a data set version of calls; watch its status until it is done."""
        asked = NewCallExportSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user, values = cast("User", request.user), dict(asked.validated_data)
        capability = get_capability(values.pop("capability"), user=user)
        dataset = get_dataset(values.pop("dataset"), user=user)
        made = exporting.start_export(capability, dataset, values, by=user)
        return Response(CallExportSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=CallExportSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it; nothing is kept. 409 when it has ended."""
        found = self.get_object()
        exporting.cancel_export(found, by=cast("User", request.user))
        return Response(CallExportSerializer(found).data)
