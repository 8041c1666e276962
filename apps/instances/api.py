"""REST: deployments, traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog.policy import may_build
from apps.catalog.selectors import get_capability, get_version
from apps.compute.services import workload_log
from apps.core.api import IdempotencyMixin, narrowed
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.instances import services, testkeys
from apps.instances.models import Deployment
from apps.instances.selectors import deployments_visible_to, get_deployment, shadow_of, weights_of
from apps.instances.serializers import (
    DeploymentSerializer,
    LogSerializer,
    NewDeploymentSerializer,
    PlacementSerializer,
    ScaleSerializer,
    ShadowSerializer,
    TestKeySerializer,
    WeightsSerializer,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User
    from apps.catalog.models import Capability


class DeploymentViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Deployment]
):
    """Deployments of the caller's teams. `?capability=`, `?kind=`, `?status=`, `?version=` filter."""

    serializer_class = DeploymentSerializer
    lookup_value_regex = "[0-9]+"
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Deployment]:
        if getattr(self, "swagger_fake_view", False):
            return Deployment.objects.none()
        asked, found = self.request.query_params, deployments_visible_to(self.request.user)
        names = {
            "capability": "capability__slug",
            "kind": "kind",
            "status": "status",
            "version": "version_id",
        }
        if asked.get("version") and not asked["version"].isdecimal():
            raise Invalid(_("`version` must be the id of a version."), fields={"version": _("no id")})
        return narrowed(found, self.request, names)

    def _user(self) -> User:
        return cast("User", self.request.user)

    def _answer(self, deployment: Deployment, code: int = status.HTTP_200_OK) -> Response:
        fresh = deployments_visible_to(self._user()).get(pk=deployment.pk)
        return Response(DeploymentSerializer(fresh).data, status=code)

    @extend_schema(request=NewDeploymentSerializer, responses={201: DeploymentSerializer})
    def create(self, request: Request) -> Response:
        """Run a version, for test or for production."""
        asked = NewDeploymentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        version = get_version(values["version"], user=request.user)
        deployment = services.deploy_version(
            version,
            kind=values["kind"],
            by=self._user(),
            replicas=values["replicas"],
            resources=values.get("resources"),
            labels=values.get("labels"),
        )
        return self._answer(deployment, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str = "") -> Response:
        """End it."""
        return self._answer(services.stop_deployment(self.get_object(), by=self._user()))

    @extend_schema(request=None, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str = "") -> Response:
        """Run a stopped one again."""
        return self._answer(services.start_deployment(self.get_object(), by=self._user()))

    @extend_schema(request=None, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, pk: str = "") -> Response:
        """Replace its replicas one by one."""
        return self._answer(services.restart_deployment(self.get_object(), by=self._user()))

    @extend_schema(request=ScaleSerializer, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def scale(self, request: Request, pk: str = "") -> Response:
        """Run another number of replicas."""
        asked = ScaleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._answer(
            services.scale_deployment(self.get_object(), asked.validated_data["replicas"], by=self._user())
        )

    @extend_schema(request=PlacementSerializer, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def place(self, request: Request, pk: str = "") -> Response:
        """Start replicas from now on only on nodes with these labels."""
        asked = PlacementSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._answer(
            services.place_deployment(self.get_object(), asked.validated_data["labels"], by=self._user())
        )

    @extend_schema(request=None, responses={201: TestKeySerializer})
    @action(detail=True, methods=["post"])
    def key(self, request: Request, pk: str = "") -> Response:
        """A key to a test deployment for a day; the secret is in this answer and nowhere else."""
        return Response(
            {"key": testkeys.make(self.get_object(), by=self._user())}, status=status.HTTP_201_CREATED
        )

    @extend_schema(responses=LogSerializer)
    @action(detail=True, methods=["get"])
    def log(self, request: Request, pk: str = "") -> Response:
        """A replica's output from `?offset=` on; `?replica=` names one, else the newest."""
        replicas = list(self.get_object().replica_set.all())
        wanted = request.query_params.get("replica", "")
        found = [each for each in replicas if not wanted or str(each.pk) == wanted]
        if not found:
            raise NotFound(_("No such replica runs."))
        offset = request.query_params.get("offset", "0")
        data, following = workload_log(found[-1].workload_id, int(offset) if offset.isdecimal() else 0)
        return Response({"replica": found[-1].pk, "text": data.decode(errors="replace"), "next": following})


class WeightsView(APIView):
    """How a capability's production traffic is divided."""

    @extend_schema(responses=WeightsSerializer, operation_id="traffic_retrieve")
    def get(self, request: Request, slug: str) -> Response:
        capability = get_capability(slug, user=request.user)
        require(may_build(request.user, capability))
        return Response({"capability": slug, "weights": weights_of(capability)})

    @extend_schema(request=WeightsSerializer, responses=WeightsSerializer, operation_id="traffic_update")
    def put(self, request: Request, slug: str) -> Response:
        """Divide it anew; each version that gains traffic passes the guard."""
        asked = WeightsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        capability = get_capability(slug, user=request.user)
        weights = _weights(asked.validated_data["weights"])
        written = services.set_weights(capability, weights, by=cast("User", request.user))
        return Response({"capability": slug, "weights": written})


def _weights(given: dict[str, Any]) -> dict[int, int]:
    if not all(str(key).isdecimal() for key in given):
        raise Invalid(
            _("The keys of `weights` must be ids of deployments."), fields={"weights": _("must be ids")}
        )
    return {int(key): value for key, value in given.items()}


class ShadowView(APIView):
    """The deployment that gets a copy of a capability's production calls; its answers are logged, never returned."""

    @extend_schema(responses=ShadowSerializer, operation_id="shadow_retrieve")
    def get(self, request: Request, slug: str) -> Response:
        capability = get_capability(slug, user=request.user)
        require(may_build(request.user, capability))
        return self._answer(capability)

    @extend_schema(request=ShadowSerializer, responses=ShadowSerializer, operation_id="shadow_update")
    def put(self, request: Request, slug: str) -> Response:
        """Set it, or end it with `"deployment": null`."""
        asked = ShadowSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = cast("User", request.user)
        capability = get_capability(slug, user=user)
        pk = asked.validated_data["deployment"]
        deployment = get_deployment(pk, user=user) if pk is not None else None
        services.set_shadow(capability, deployment, asked.validated_data["percent"], by=user)
        return self._answer(capability)

    @staticmethod
    def _answer(capability: Capability) -> Response:
        shadow = shadow_of(capability)
        return Response(
            {
                "capability": capability.slug,
                "deployment": shadow.deployment_id if shadow else None,
                "percent": shadow.percent if shadow else 100,
            }
        )
