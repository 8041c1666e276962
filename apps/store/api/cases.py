"""REST: saved cases, and running and shipping them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.models import Capability
from apps.core.api import IdempotencyMixin
from apps.core.serializers import ModelSerializer, NamedField, Serializer
from apps.store import services
from apps.store.cases import cases_to_run, results_of, saved_cases, test_deployment
from apps.store.models import CaseResult, SavedCase
from atrium.package import DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class SavedCaseSerializer(ModelSerializer[SavedCase]):
    """An input and what is expected of it: tensors as the inference protocol has them."""

    capability: serializers.SlugRelatedField[Any] = NamedField(
        slug_field="slug", queryset=Capability.objects.select_related("team")
    )
    inputs = serializers.ListField(child=serializers.DictField(), min_length=1)
    expected = serializers.ListField(child=serializers.DictField(), required=False, default=list)
    tolerance = serializers.FloatField(required=False, default=DEFAULT_TOLERANCE, min_value=0)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = SavedCase
        fields = ["id", "capability", "name", "inputs", "expected", "tolerance", "created_by", "created_at"]
        read_only_fields = ["id", "created_at"]
        validators: tuple[Any, ...] = ()


class OnDeploymentSerializer(Serializer[None]):
    """A test deployment; `number` is the new version's where cases are shipped, by default the next patch."""

    deployment = serializers.IntegerField(min_value=1)
    number = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)


class CaseOutcomeSerializer(Serializer[Any]):
    """How one case went: passed, failed, answered where nothing is expected, or skipped."""

    name = serializers.CharField()
    status = serializers.ChoiceField(choices=["passed", "failed", "answered", "skipped"])
    message = serializers.CharField()
    difference = serializers.FloatField(allow_null=True)
    took_ms = serializers.FloatField()
    request_id = serializers.CharField()


class ResultSerializer(Serializer[Any]):
    """The last result of a case."""

    name = serializers.CharField()
    status = serializers.ChoiceField(source="row.status", choices=CaseResult.Status.choices)
    message = serializers.CharField(source="row.why")
    difference = serializers.FloatField(source="row.difference", allow_null=True)
    took_ms = serializers.FloatField(source="row.took_ms")
    request_id = serializers.CharField(source="row.request_id")
    by = serializers.CharField(source="row.by.username")
    at = serializers.DateTimeField(source="row.at")


class SavedCaseViewSet(
    IdempotencyMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[SavedCase],
):
    """What a team asks its test deployments again and again."""

    serializer_class = SavedCaseSerializer
    lookup_value_regex = "[0-9]+"
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[SavedCase]:
        if getattr(self, "swagger_fake_view", False):
            return SavedCase.objects.none()
        user = cast("User", self.request.user)
        return saved_cases(user, self.request.query_params.get("capability", ""))

    @extend_schema(parameters=[OpenApiParameter("capability", str)])
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    def create(self, request: Request) -> Response:
        """Keep an input with the answer that is expected."""
        asked = SavedCaseSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        case = services.save_case(**asked.validated_data, by=cast("User", request.user))
        return Response(SavedCaseSerializer(case).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: SavedCase) -> None:
        services.remove_case(instance, by=cast("User", self.request.user))

    @extend_schema(request=OnDeploymentSerializer, responses=CaseOutcomeSerializer(many=True))
    @action(detail=False, methods=["post"])
    def run(self, request: Request) -> Response:
        """Ask a test deployment all saved and shipped cases; says of each how it went."""
        user, asked = cast("User", request.user), self._asked(request)
        deployment = test_deployment(user, asked["deployment"])
        cases = cases_to_run(deployment)
        outcomes = services.run_cases(deployment, cases, by=user)
        return Response(CaseOutcomeSerializer(outcomes, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("deployment", int, required=True)],
        responses=ResultSerializer(many=True),
        filters=False,
    )
    @action(detail=False, pagination_class=None)
    def results(self, request: Request) -> Response:
        """How each case went when the test deployment was last asked it, when and by whom."""
        asked = OnDeploymentSerializer(data={"deployment": request.query_params.get("deployment")})
        asked.is_valid(raise_exception=True)
        deployment = test_deployment(cast("User", request.user), asked.validated_data["deployment"])
        results = results_of(deployment)
        there = [
            {"name": case.get("name", ""), "row": results[case["key"]]}
            for case in cases_to_run(deployment)
            if case["key"] in results
        ]
        return Response(ResultSerializer(there, many=True).data)

    @extend_schema(request=OnDeploymentSerializer, responses=OpenApiResponse(response=dict))
    @action(detail=False, methods=["post"])
    def ship(self, request: Request) -> Response:
        """Make a new version of the deployed one whose shipped cases include the saved ones."""
        user, asked = cast("User", request.user), self._asked(request)
        deployment = test_deployment(user, asked["deployment"])
        made = services.ship_cases(deployment.version, asked["number"], by=user)
        facts = {"capability": made.capability.slug, "number": made.number, "status": made.status}
        return Response(facts, status=status.HTTP_201_CREATED)

    def _asked(self, request: Request) -> dict[str, Any]:
        asked = OnDeploymentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)
