"""REST: workspaces and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.db.models import Prefetch
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.accounts.models import Team
from apps.core.api import IdempotencyMixin
from apps.core.errors import Invalid
from apps.datasets.models import DatasetVersion
from apps.workbench import packages, services
from apps.workbench.models import Environment, Workspace
from apps.workbench.selectors import (
    dataset_versions_offered_to,
    environments_visible_to,
    workspace_for,
    workspaces_visible_to,
)
from apps.workbench.serializers import (
    CloneSerializer,
    EnvironmentSerializer,
    NewEnvironmentSerializer,
    NewWorkspaceSerializer,
    WorkspaceChangeSerializer,
    WorkspaceSerializer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


def _team(slug: str) -> Team:
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise Invalid(_("There is no team “%(slug)s”.") % {"slug": slug}, fields={"team": _("unknown")})
    return team


class WorkspaceViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Workspace]
):
    """One's own workspaces and those of one's teams."""

    serializer_class = WorkspaceSerializer
    ordering = ("name", "pk")
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Workspace]:
        if getattr(self, "swagger_fake_view", False):
            return Workspace.objects.none()
        rows, asked = workspaces_visible_to(cast("User", self.request.user)), self.request.query_params
        for name, field in (("status", "status"), ("team", "team__slug"), ("owner", "owner__username")):
            if asked.get(name):
                rows = rows.filter(**{field: asked[name]})
        return rows.prefetch_related(Prefetch("datasets", DatasetVersion.objects.only("pk")))

    @extend_schema(
        parameters=[
            OpenApiParameter("status", enum=Workspace.Status.values),
            OpenApiParameter("team", str),
            OpenApiParameter("owner", str),
        ]
    )
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=NewWorkspaceSerializer, responses={201: WorkspaceSerializer})
    def create(self, request: Request) -> Response:
        """Make a stopped workspace."""
        asked = NewWorkspaceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = dict(asked.validated_data)
        facts["team"] = _team(facts["team"])
        made = services.create_workspace(facts.pop("name"), by=cast("User", request.user), **facts)
        return Response(WorkspaceSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=WorkspaceChangeSerializer, responses=WorkspaceSerializer)
    def partial_update(self, request: Request, pk: str = "") -> Response:
        """Change its size (from the next start on) or when it is stopped for being idle."""
        asked = WorkspaceChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = dict(asked.validated_data)
        person, wanted = cast("User", request.user), facts.pop("datasets", None)
        changed = services.change_workspace(self.get_object(), by=person, **facts)
        if wanted is not None:
            found = list(dataset_versions_offered_to(person).filter(pk__in=wanted))
            if missing := set(wanted) - {version.pk for version in found}:
                message = _("There is no data set version %(id)s that you may see.") % {"id": min(missing)}
                raise Invalid(message, fields={"datasets": message})
            services.mount_datasets(changed, found, by=person)
        return Response(WorkspaceSerializer(changed).data)

    @extend_schema(request=None, responses=WorkspaceSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str = "") -> Response:
        """Ask for its server."""
        return self._after(services.start_workspace)

    @extend_schema(request=None, responses=WorkspaceSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str = "") -> Response:
        """Ask for its server's end."""
        return self._after(services.stop_workspace)

    @extend_schema(request=None, responses=WorkspaceSerializer)
    @action(detail=True, methods=["post"])
    def renew(self, request: Request, pk: str = "") -> Response:
        """Begin its lease anew."""
        return self._after(services.renew_lease)

    @extend_schema(request=None, responses=WorkspaceSerializer)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str = "") -> Response:
        """Put it away."""
        return self._after(services.archive_workspace)

    @extend_schema(request=None, responses=WorkspaceSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str = "") -> Response:
        """Bring it back."""
        return self._after(services.restore_workspace)

    @extend_schema(request=CloneSerializer, responses={201: WorkspaceSerializer})
    @action(detail=True, methods=["post"])
    def clone(self, request: Request, pk: str = "") -> Response:
        """Make a workspace of one's own with a copy of its files."""
        asked = CloneSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        name = asked.validated_data["name"]
        made = services.clone_workspace(self.get_object(), name, by=cast("User", request.user))
        return Response(WorkspaceSerializer(made).data, status=status.HTTP_201_CREATED)

    def _after(self, verb: Callable[..., Workspace]) -> Response:
        person = cast("User", self.request.user)
        changed = verb(self.get_object(), by=person)
        return Response(WorkspaceSerializer(workspace_for(person, changed.pk)).data)


class EnvironmentViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Environment]
):
    """The environments of one's teams."""

    serializer_class = EnvironmentSerializer
    ordering = ("name", "pk")
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Environment]:
        if getattr(self, "swagger_fake_view", False):
            return Environment.objects.none()
        return environments_visible_to(cast("User", self.request.user))

    @extend_schema(request=NewEnvironmentSerializer, responses={201: EnvironmentSerializer})
    def create(self, request: Request) -> Response:
        """Ask for an environment; its job locks the packages."""
        asked = NewEnvironmentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = asked.validated_data
        made = packages.create_environment(
            facts["name"], facts["requirements"], team=_team(facts["team"]), by=cast("User", request.user)
        )
        return Response(EnvironmentSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=EnvironmentSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str = "") -> Response:
        """Try a failed one again."""
        person = cast("User", request.user)
        return Response(EnvironmentSerializer(packages.retry_environment(self.get_object(), by=person)).data)
