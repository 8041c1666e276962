"""REST: workspaces, environments, registrations."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from django.db.models import Prefetch
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.accounts.models import Team
from apps.catalog.selectors import get_version
from apps.catalog.serializers import VersionSerializer
from apps.compute.selectors import job_visible_to
from apps.compute.serializers import JobSerializer
from apps.core import objects
from apps.core.api import IdempotencyMixin, narrowed
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.datasets.models import DatasetVersion
from apps.datasets.selectors import version_by_name
from apps.workbench import install_log, mounted, packages, recipes, registering, services, snapshots, sweeps
from apps.workbench.launch import home_of
from apps.workbench.models import Environment, Recipe, Registration, Sweep, Workspace
from apps.workbench.notebooks import check_size
from apps.workbench.placing import calls_draft, calls_named, put_notebook
from apps.workbench.policy import may_publish_recipe, may_see_experiments
from apps.workbench.runs import run_file
from apps.workbench.selectors import (
    dataset_versions_offered_to,
    environments_visible_to,
    recipe_for,
    recipe_runs_visible_to,
    recipes_visible_to,
    registrations_visible_to,
    sweeps_visible_to,
    workspace_for,
    workspaces_visible_to,
)
from apps.workbench.serializers import (
    CloneSerializer,
    EnvironmentSerializer,
    NewEnvironmentSerializer,
    NewRecipeSerializer,
    NewRegistrationSerializer,
    NewSweepSerializer,
    NewWorkspaceSerializer,
    NotebookOfCallsSerializer,
    NotebookSerializer,
    PlacedSerializer,
    RecipeRunSerializer,
    RecipeSerializer,
    RegisterFilesSerializer,
    RegistrationSerializer,
    RunFileSerializer,
    RunRecipeSerializer,
    SaveEnvironmentSerializer,
    SnapshotSerializer,
    SweepSerializer,
    TrialSerializer,
    WorkspaceChangeSerializer,
    WorkspaceSerializer,
)
from apps.workbench.snapshots import notebook_now
from apps.workbench.tracking import team_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


def _team(slug: str) -> Team:
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise Invalid(_("There is no team “%(slug)s”.") % {"slug": slug}, fields={"team": _("unknown")})
    return team


def _versions(wanted: Sequence[int], person: User) -> list[DatasetVersion]:
    """Data set versions by id. Raises Invalid for one that the person may not see."""
    found = list(dataset_versions_offered_to(person).filter(pk__in=wanted))
    if missing := set(wanted) - {version.pk for version in found}:
        message = _("There is no data set version %(id)s that you may see.") % {"id": min(missing)}
        raise Invalid(message, fields={"datasets": message})
    return found


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
        lookups = {"status": "status", "team": "team__slug", "owner": "owner__username"}
        rows = narrowed(workspaces_visible_to(cast("User", self.request.user)), self.request, lookups)
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
        facts["team"], person = _team(facts["team"]), cast("User", request.user)
        facts["datasets"] = _versions(facts.get("datasets", []), person)
        made = services.create_workspace(facts.pop("name"), by=person, **facts)
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
            services.mount_datasets(changed, _versions(wanted, person), by=person)
        return Response(WorkspaceSerializer(changed).data)

    @extend_schema(request=RunFileSerializer, responses={201: JobSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str = "") -> Response:
        """Run one of its notebooks or scripts as a job."""
        asked = RunFileSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts, person = dict(asked.validated_data), cast("User", request.user)
        facts["datasets"] = mounted.versions_named(facts.get("datasets", []), user=person)
        job = run_file(workspace_for(person, int(pk)), facts.pop("path"), by=person, **facts)
        return Response(JobSerializer(job).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RegisterFilesSerializer, responses={201: VersionSerializer})
    @action(detail=True, methods=["post"])
    def register(self, request: Request, pk: str = "") -> Response:
        """Make a version of a capability of a model among its files, and package it."""
        asked = RegisterFilesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts, person = dict(asked.validated_data), cast("User", request.user)
        made = registering.register_files(
            workspace_for(person, int(pk)), facts.pop("path"), by=person, **facts
        )
        return Response(VersionSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=SaveEnvironmentSerializer, responses={201: EnvironmentSerializer})
    @action(detail=True, methods=["post"])
    def environment(self, request: Request, pk: str = "") -> Response:
        """Make an environment of what was installed in it."""
        workspace, asked = self.get_object(), SaveEnvironmentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        name, person = asked.validated_data["name"], cast("User", request.user)
        made = packages.save_environment(workspace, name, home=home_of(workspace), by=person)
        return Response(EnvironmentSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=NotebookSerializer(many=True))
    @action(detail=True, pagination_class=None, filter_backends=[])
    def notebooks(self, request: Request, pk: str = "") -> Response:
        """Its notebooks, at most 200, and those that were deleted and are left as snapshots."""
        rows = snapshots.notebooks_of(self.get_object())
        return Response(NotebookSerializer(rows, many=True).data)

    @extend_schema(responses={(200, "application/x-ipynb+json"): OpenApiTypes.BINARY})
    @action(detail=True, url_path=r"notebooks/(?P<path>.+)", pagination_class=None)
    def notebook_content(self, request: Request, path: str, pk: str = "") -> HttpResponse:
        """A notebook as it stands there now; a server need not run."""
        path = path.rstrip("/")
        data = notebook_now(self.get_object(), path)
        if data is None:
            raise NotFound(_("There is no notebook “%(path)s” in this workspace.") % {"path": path})
        answer = HttpResponse(check_size(data), content_type="application/x-ipynb+json")
        answer["Content-Disposition"] = content_disposition_header(True, PurePosixPath(path).name) or ""
        return answer

    @extend_schema(
        parameters=[OpenApiParameter("path", str, description="One notebook")],
        responses=SnapshotSerializer(many=True),
    )
    @action(detail=True, ordering=("-pk",), url_path="snapshots")
    def list_snapshots(self, request: Request, pk: str = "") -> Response:
        """The notebooks as they were saved, newest first."""
        rows: Any = snapshots.snapshots_of(self.get_object(), request.query_params.get("path", ""))
        return self.get_paginated_response(SnapshotSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(responses={(200, "application/x-ipynb+json"): OpenApiTypes.BINARY})
    @action(detail=True, url_path=r"snapshots/(?P<snapshot>[0-9]{1,18})/content")
    def snapshot_content(self, request: Request, snapshot: str, pk: str = "") -> FileResponse:
        """A notebook as it was."""
        kept = snapshots.get_snapshot(self.get_object(), int(snapshot))
        return FileResponse(
            objects.open_object(kept.sha256),
            as_attachment=True,
            filename=PurePosixPath(kept.path).name,
            content_type="application/x-ipynb+json",
        )

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"], url_path=r"snapshots/(?P<snapshot>[0-9]{1,18})/restore")
    def restore_snapshot(self, request: Request, snapshot: str, pk: str = "") -> Response:
        """Put a notebook back as it was; what stands there now becomes a snapshot."""
        workspace = self.get_object()
        kept = snapshots.get_snapshot(workspace, int(snapshot))
        snapshots.restore_snapshot(workspace, kept, by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

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

    @extend_schema(request=NotebookOfCallsSerializer, responses={201: PlacedSerializer})
    @action(detail=True, methods=["post"], url_path="notebook-of-calls")
    def notebook_of_calls(self, request: Request, pk: str = "") -> Response:
        """Put a notebook there that loads these logged calls."""
        asked = NotebookOfCallsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person, workspace = cast("User", request.user), self.get_object()
        calls = calls_named([str(pk) for pk in asked.validated_data["calls"]], user=person)
        path = put_notebook(workspace, calls_draft(calls), by=person)
        return Response({"workspace": workspace.pk, "path": path}, status=status.HTTP_201_CREATED)

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

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    @action(detail=True, methods=["get"], pagination_class=None)
    def log(self, request: Request, pk: str = "") -> StreamingHttpResponse:
        """What was said while it was made: by the job that chooses the versions, then by the installer."""
        parts = install_log.whole(self.get_object())
        return StreamingHttpResponse(parts, content_type="text/plain; charset=utf-8")


class RegistrationViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Registration]
):
    """Models of one's teams on their way from the tracker into the catalog, newest first. `?run=` filters."""

    serializer_class = RegistrationSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Registration]:
        if getattr(self, "swagger_fake_view", False):
            return Registration.objects.none()
        rows, run = (
            registrations_visible_to(cast("User", self.request.user)),
            self.request.query_params.get("run"),
        )
        return rows.filter(run_id=run) if run else rows

    @extend_schema(request=NewRegistrationSerializer, responses={201: RegistrationSerializer})
    def create(self, request: Request) -> Response:
        """Register a model of a run; its files are copied in the background, then packaging begins."""
        asked = NewRegistrationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts, person = dict(asked.validated_data), cast("User", request.user)
        require(may_see_experiments(person))
        team = Team.objects.get(slug=team_for(person, facts.pop("team")))
        name = facts.pop("model")
        made = registering.register_run(facts.pop("run_id"), name, team=team, by=person, **facts)
        return Response(RegistrationSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=RegistrationSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str = "") -> Response:
        """Try a failed one again."""
        found = registering.retry_registration(self.get_object(), by=cast("User", request.user))
        return Response(RegistrationSerializer(found).data)


class RecipeViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Recipe]
):
    """The recipes that the caller may run."""

    serializer_class = RecipeSerializer
    ordering = ("name", "pk")
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Recipe]:
        if getattr(self, "swagger_fake_view", False):
            return Recipe.objects.none()
        return recipes_visible_to(cast("User", self.request.user)).prefetch_related("versions")

    @extend_schema(request=NewRecipeSerializer, responses={201: RecipeSerializer})
    def create(self, request: Request) -> Response:
        """Publish a recipe, or its next version."""
        asked = NewRecipeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts, person = dict(asked.validated_data), cast("User", request.user)
        team = _team(facts.pop("team"))
        require(may_publish_recipe(person, team))
        job, files, entry = facts.pop("job", None), facts.pop("files", None), facts.pop("entry", "")
        environment = facts.pop("environment")
        if job is not None:
            blueprint, parameters, slots = recipes.of_job(job_visible_to(person, job))
            facts.setdefault("parameters", [one.to_json() for one in parameters])
            facts.setdefault("slots", slots)
        elif files:
            blueprint = recipes.of_files(files, entry, environment=environment)
        else:
            raise Invalid(_("Name the `job` to take over, or send `files` and the `entry` among them."))
        made = recipes.publish_recipe(facts.pop("slug"), blueprint, team=team, by=person, **facts)
        return Response(RecipeSerializer(made.recipe).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RunRecipeSerializer, responses={201: RecipeRunSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, slug: str = "") -> Response:
        """Run it with data and parameters of one's own."""
        asked = RunRecipeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts, person = dict(asked.validated_data), cast("User", request.user)
        recipe, number = recipe_for(person, slug), facts.pop("number", None)
        versions = recipe.versions.order_by("-number")
        version = versions.filter(number=number).first() if number else versions.first()
        if version is None:
            raise Invalid(_("The recipe has no version %(number)s.") % {"number": number})
        facts["team"] = _team(facts["team"])
        facts["datasets"] = {
            slot: version_by_name(name, user=person) for slot, name in facts["datasets"].items()
        }
        if facts.get("base"):
            facts["base"] = get_version(facts["base"], user=person)
        made = recipes.run_recipe(version, by=person, **facts)
        return Response(RecipeRunSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=RecipeRunSerializer(many=True))
    @action(detail=True, methods=["get"])
    def runs(self, request: Request, slug: str = "") -> Response:
        """Its newest runs of one's teams, at most 100."""
        rows = recipe_runs_visible_to(request.user, recipe_for(request.user, slug)).order_by("-pk")[:100]
        return Response(RecipeRunSerializer(rows, many=True).data)


class SweepViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Sweep]
):
    """The sweeps of one's teams, newest first."""

    serializer_class = SweepSerializer
    ordering = ("-pk",)
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Sweep]:
        if getattr(self, "swagger_fake_view", False):
            return Sweep.objects.none()
        return sweeps_visible_to(self.request.user)

    @extend_schema(request=NewSweepSerializer, responses={201: SweepSerializer})
    def create(self, request: Request) -> Response:
        """Begin a sweep."""
        asked = NewSweepSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts, person = dict(asked.validated_data), cast("User", request.user)
        team = _team(facts.pop("team"))
        fixed, job = facts.pop("params"), facts.pop("job", None)
        if "datasets" in facts:
            facts["datasets"] = mounted.versions_named(facts["datasets"], user=person)
        code = {
            name: facts.pop(name, None)
            for name in ("script", "notebook", "environment", "resources", "timeout_s")
        }
        if job is not None:
            found = job_visible_to(person, job)
            blueprint = recipes.of_job(found)[0]
            fixed = {**found.params, **fixed}
        else:
            blueprint = sweeps.of_code(**code)
        made = sweeps.create_sweep(facts.pop("title"), blueprint, team=team, by=person, fixed=fixed, **facts)
        return Response(SweepSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=TrialSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def trials(self, request: Request, pk: str = "") -> Response:
        """Its trials, best first."""
        return Response(TrialSerializer(sweeps.compared(self.get_object()), many=True).data)

    @extend_schema(request=None, responses=SweepSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str = "") -> Response:
        """Start no more trials, end those that run."""
        found = sweeps.cancel_sweep(self.get_object(), by=cast("User", request.user))
        return Response(SweepSerializer(found).data)
