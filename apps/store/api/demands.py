"""REST: the demand board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.core.api import IdempotencyMixin
from apps.core.serializers import ModelSerializer, Serializer
from apps.store import board, selectors, services
from apps.store.models import Demand

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class DemandSerializer(ModelSerializer[Demand]):
    """What is wanted. `others` counts who needs it too."""

    posted_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    capability: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    version: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="number", read_only=True
    )
    others = serializers.IntegerField(read_only=True, default=0)

    class Meta:
        model = Demand
        fields = [
            *("id", "title", "need", "status", "posted_by", "team", "capability", "version", "others"),
            "created_at",
        ]
        read_only_fields = ["id", "status", "created_at"]


class DemandActSerializer(Serializer[None]):
    """`verb` is need (with `text`), take (with `team`), back, answer (with `capability`) or withdraw."""

    verb = serializers.ChoiceField(choices=["need", "take", "back", "answer", "withdraw"])
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)
    team = serializers.SlugField(required=False)
    capability = serializers.SlugField(required=False)


class DemandViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Demand]
):
    """What people want, and who builds it."""

    serializer_class = DemandSerializer
    lookup_value_regex = "[0-9]+"
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Demand]:
        if getattr(self, "swagger_fake_view", False):
            return Demand.objects.none()
        return selectors.demands(self.request.query_params.get("status", ""))

    @extend_schema(parameters=[OpenApiParameter("status", str)])
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    def create(self, request: Request) -> Response:
        """Put one on the board."""
        asked = DemandSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        made = services.post_demand(values["title"], values["need"], by=cast("User", request.user))
        return Response(DemandSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=DemandActSerializer, responses=DemandSerializer)
    @action(detail=True, methods=["post"])
    def act(self, request: Request, pk: str = "") -> Response:
        """Share the need, take it, give it back, answer it, withdraw it."""
        asked = DemandActSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        board.act(selectors.get_demand(int(pk)), values.pop("verb"), values, cast("User", request.user))
        return Response(DemandSerializer(selectors.get_demand(int(pk))).data)
