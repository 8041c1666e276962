"""REST: experiments, by the same services as the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.selectors import get_capability
from apps.core.api import IdempotencyMixin
from apps.core.policy import require
from apps.experiments import plans, services
from apps.experiments.models import Experiment
from apps.experiments.planning import needed_by
from apps.experiments.policy import may_see_experiments, may_write_experiment
from apps.experiments.selectors import experiments_visible_to
from apps.experiments.serializers import (
    ExperimentPlanSerializer,
    ExperimentSerializer,
    NeededSerializer,
    NewExperimentPlanSerializer,
)

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import User


class ExperimentViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Experiment]
):
    """Callers of a capability dealt to arms, and what their calls showed."""

    serializer_class = ExperimentSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Experiment]:
        if getattr(self, "swagger_fake_view", False):
            return Experiment.objects.none()
        user = cast("User", self.request.user)
        rows = experiments_visible_to(user)
        if slug := self.request.query_params.get("capability"):
            capability = get_capability(slug, user=user)
            require(may_see_experiments(user, capability))
            rows = rows.filter(capability=capability)
        return rows

    @extend_schema(parameters=[OpenApiParameter("capability", str)])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Experiments of my teams, newest first; of one capability where it is named."""
        return super().list(request, *args, **kwargs)

    def _told(self, experiment: Experiment, code: int = 200) -> Response:
        return Response(ExperimentSerializer(self.get_queryset().get(pk=experiment.pk)).data, status=code)

    @extend_schema(request=NewExperimentPlanSerializer, responses={201: ExperimentSerializer})
    def create(self, request: Request) -> Response:
        """Write a plan down; nothing moves until it is started."""
        read, user = _read(NewExperimentPlanSerializer, request), cast("User", request.user)
        capability = get_capability(read.validated_data["capability"], user=user)
        made = plans.create_experiment(capability, read.asked(), by=user)
        return self._told(made, status.HTTP_201_CREATED)

    @extend_schema(request=ExperimentPlanSerializer, responses=ExperimentSerializer)
    def update(self, request: Request, pk: str | None = None) -> Response:
        """Write a draft anew."""
        experiment, read = self.get_object(), _read(ExperimentPlanSerializer, request)
        return self._told(plans.change_experiment(experiment, read.asked(), by=cast("User", request.user)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Throw a draft away."""
        plans.delete_draft(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=NewExperimentPlanSerializer, responses=NeededSerializer)
    @action(detail=False, methods=["post"])
    def needed(self, request: Request) -> Response:
        """How many calls a plan needs and how long that takes, by the calls of the last days; nothing is kept."""
        read, user = _read(NewExperimentPlanSerializer, request), cast("User", request.user)
        capability = get_capability(read.validated_data["capability"], user=user)
        require(may_write_experiment(user, capability))
        asked = read.asked()
        plans.check(capability, asked)
        return Response(NeededSerializer(needed_by(capability, asked)).data)

    def _act(self, verb: Callable[..., Experiment]) -> Response:
        return self._told(verb(self.get_object(), by=cast("User", self.request.user)))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str | None = None) -> Response:
        """Deal callers to the arms from now on, or again after a pause."""
        return self._act(services.start_experiment)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str | None = None) -> Response:
        """Let all callers follow production for a while; the slice stays taken."""
        return self._act(services.pause_experiment)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str | None = None) -> Response:
        """Let all callers follow production; what was seen stays."""
        return self._act(services.end_experiment)


def _read(serializer: Any, request: Request) -> Any:
    read = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    return read
