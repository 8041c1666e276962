"""REST: releases, by the same services as the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.selectors import get_version
from apps.core.api import IdempotencyMixin
from apps.releases import rollout, signing
from apps.releases.models import Release
from apps.releases.selectors import releases_visible_to
from apps.releases.serializers import ReasonSerializer, ReleaseSerializer, SigningSerializer

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import User


class ReleaseViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Release],
):
    """From a passed report to production."""

    serializer_class = ReleaseSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Release]:
        return releases_visible_to(cast("User", self.request.user)).prefetch_related(
            "stages", "signatures__user"
        )

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = cast("User", request.user)
        version = get_version(serializer.validated_data["version"].pk, user=user)
        release = signing.open_release(version, by=user)
        return Response(self.get_serializer(release).data, status=status.HTTP_201_CREATED)

    def _act(self, verb: Callable[..., Release], **facts: Any) -> Response:
        verb(self.get_object(), by=cast("User", self.request.user), **facts)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=SigningSerializer)
    @action(detail=True, methods=["post"])
    def sign(self, request: Request, pk: str | None = None) -> Response:
        """Sign exactly the content of this release; the password proves who signs."""
        return self._act(signing.sign_release, **_read(SigningSerializer, request))

    @extend_schema(request=SigningSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str | None = None) -> Response:
        """Refuse to sign."""
        return self._act(signing.reject_release, **_read(SigningSerializer, request))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str | None = None) -> Response:
        """Bring the signed version up and begin with the first stage."""
        return self._act(rollout.start_rollout)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str | None = None) -> Response:
        """Go to the next stage."""
        return self._act(rollout.promote)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str | None = None) -> Response:
        """Keep the present shares."""
        return self._act(rollout.pause)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str | None = None) -> Response:
        """Go on where it was paused."""
        return self._act(rollout.resume)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, pk: str | None = None) -> Response:
        """Give all the traffic back to what ran before."""
        return self._act(rollout.roll_back, **_read(ReasonSerializer, request))


def _read(serializer: Any, request: Request) -> dict[str, Any]:
    read = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    found: dict[str, Any] = read.validated_data
    return found
