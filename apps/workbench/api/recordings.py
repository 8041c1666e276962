"""REST: recorded terminals and the rules of what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.accounts.policy import may_administer
from apps.core.api import IdempotencyMixin
from apps.core.policy import require
from apps.workbench import recordings
from apps.workbench.models import Recording, RecordingRule
from apps.workbench.serializers import RecordingRuleSerializer, RecordingSerializer

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class RecordingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Recording]):
    """One's own recordings, for an administrator everybody's, newest first. `?workspace=` filters."""

    serializer_class = RecordingSerializer
    ordering = ("-started_at", "-pk")
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Recording]:
        if getattr(self, "swagger_fake_view", False):
            return Recording.objects.none()
        rows = recordings.recordings_visible_to(cast("User", self.request.user))
        workspace = self.request.query_params.get("workspace", "")
        return rows.filter(workspace_id=int(workspace[:18])) if workspace.isdecimal() else rows

    @extend_schema(parameters=[OpenApiParameter("workspace", int)])
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        """The newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(responses={(200, "application/x-asciicast"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], pagination_class=None)
    def cast(self, request: Request, pk: str = "") -> StreamingHttpResponse:
        """The file; another reader than the owner leaves an audit row."""
        lines = recordings.read_recording(self.get_object(), by=cast("User", request.user))
        return StreamingHttpResponse(lines, content_type="application/x-asciicast")


class RecordingRuleViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[RecordingRule]
):
    """Whose terminals are recorded: for administrators. Without a rule none are."""

    serializer_class = RecordingRuleSerializer
    ordering = ("scope", "pk")
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[RecordingRule]:
        if not getattr(self, "swagger_fake_view", False):
            require(may_administer(self.request.user))
        return recordings.rules()

    @extend_schema(request=RecordingRuleSerializer, responses={201: RecordingRuleSerializer})
    def create(self, request: Request) -> Response:
        """Record the terminals of a team, of a site's teams, or (with neither) all."""
        require(may_administer(request.user))
        asked = RecordingRuleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        made = recordings.add_rule(by=cast("User", request.user), **asked.validated_data)
        return Response(RecordingRuleSerializer(made).data, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, pk: str = "") -> Response:
        """Record these no more; what was recorded stays until its time is over."""
        recordings.remove_rule(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)
