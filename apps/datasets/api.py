"""REST: data sets, their versions, their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.http import FileResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, mixins, parsers, status, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.accounts.selectors import person_called
from apps.core import archives, naming, objects
from apps.core.api import IdempotencyMixin
from apps.core.errors import Invalid
from apps.core.parsers import JSONParser
from apps.core.policy import require
from apps.core.serializers import LineageSerializer
from apps.datasets import services
from apps.datasets.models import Dataset, DatasetVersion, Tag
from apps.datasets.policy import may_add_version, may_edit, may_share, may_split
from apps.datasets.selectors import (
    MOST_PREVIEWED,
    datasets_visible_to,
    get_dataset,
    get_split,
    get_version,
    open_file,
    preview_table,
    readers_of,
    tags_of,
    version_called,
    versions_of,
)
from apps.datasets.serializers import (
    DatasetChangeSerializer,
    DatasetComparisonSerializer,
    DatasetReaderSerializer,
    DatasetSerializer,
    DatasetVersionSerializer,
    NewDatasetReaderSerializer,
    NewDatasetVersionSerializer,
    NewSplitSerializer,
    NewTagSerializer,
    SplitSerializer,
    TablePreviewSerializer,
    TagSerializer,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request


class DatasetViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Dataset]
):
    """Data sets that the caller may read."""

    serializer_class = DatasetSerializer
    lookup_field = "slug"
    ordering = ("name", "pk")

    def get_queryset(self) -> QuerySet[Dataset]:
        if getattr(self, "swagger_fake_view", False):
            return Dataset.objects.none()
        return datasets_visible_to(self.request.user)

    @extend_schema(request=DatasetSerializer, responses={201: DatasetSerializer})
    def create(self, request: Request) -> Response:
        asked = DatasetSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        dataset = services.create_dataset(values.pop("slug"), by=cast("User", request.user), **values)
        return Response(DatasetSerializer(dataset).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=DatasetChangeSerializer, responses=DatasetSerializer)
    def partial_update(self, request: Request, slug: str = "") -> Response:
        """Change its name, its description, or who sees it."""
        dataset = self.get_object()
        require(may_edit(request.user, dataset))
        asked = DatasetChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changed = services.edit_dataset(dataset, by=cast("User", request.user), **asked.validated_data)
        return Response(DatasetSerializer(changed).data)


class DatasetVersionsView(IdempotencyMixin, generics.ListAPIView[DatasetVersion]):
    """The versions of a data set, newest first."""

    serializer_class = DatasetVersionSerializer
    parser_classes = [JSONParser, parsers.MultiPartParser]
    ordering = ("-number",)

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        if getattr(self, "swagger_fake_view", False):
            return DatasetVersion.objects.none()
        return versions_of(get_dataset(self.kwargs["slug"], user=self.request.user))

    @extend_schema(request=NewDatasetVersionSerializer, responses={201: DatasetVersionSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Upload a new version."""
        user = cast("User", request.user)
        dataset = get_dataset(slug, user=user)
        require(may_add_version(user, dataset))
        asked = NewDatasetVersionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        parent = get_version(dataset, values["parent_number"]) if values.get("parent_number") else None
        version = services.create_version(
            dataset, _files_of(values), by=user, note=values["note"], parent=parent
        )
        return Response(DatasetVersionSerializer(version).data, status=status.HTTP_201_CREATED)


def _files_of(values: dict[str, Any]) -> dict[str, str]:
    if values.get("file") is not None:
        sent = values["file"]
        return archives.store([archives.Upload(sent.name, sent.file, sent.size)])
    files = values.get("files")
    if not isinstance(files, dict) or not all(isinstance(sha256, str) for sha256 in files.values()):
        raise Invalid(
            _("Send the data as `file`, or its files as `files`: {path: sha256} of objects stored before."),
            fields={"files": _("is missing")},
        )
    return dict(files)


class DatasetVersionView(generics.RetrieveAPIView[DatasetVersion]):
    """One version of a data set."""

    serializer_class = DatasetVersionSerializer

    def get_object(self) -> DatasetVersion:
        dataset = get_dataset(self.kwargs["slug"], user=self.request.user)
        return get_version(dataset, self.kwargs["number"])


class DatasetFileView(APIView):
    """One file of a version, as bytes."""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, number: int, path: str) -> FileResponse:
        version = get_version(get_dataset(slug, user=request.user), number)
        return FileResponse(
            open_file(version, path),
            as_attachment=True,
            filename=path.rsplit("/", 1)[-1],
            content_type="application/octet-stream",
        )


class PreviewView(APIView):
    """The first rows of a version's tables."""

    @extend_schema(
        parameters=[
            OpenApiParameter("rows", int, description=f"From 1 to {MOST_PREVIEWED}; 20 when left out.")
        ],
        responses={200: TablePreviewSerializer},
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        version = get_version(get_dataset(slug, user=request.user), number)
        asked = request.query_params.get("rows", "20")
        if not (asked.isdecimal() and len(asked) < 9 and 1 <= int(asked) <= MOST_PREVIEWED):
            message = _("rows must be a whole number from 1 to %(most)d.") % {"most": MOST_PREVIEWED}
            raise Invalid(message, fields={"rows": message})
        return Response(TablePreviewSerializer(preview_table(version, rows=int(asked))).data)


class LineageView(APIView):
    """What a version was made from, and what was made from it, nearest first, at most 50 edges each."""

    @extend_schema(responses={200: LineageSerializer})
    def get(self, request: Request, slug: str, number: int) -> Response:
        version = get_version(get_dataset(slug, user=request.user), number)
        return Response(LineageSerializer(naming.lineage_of(version, request.user)).data)


class SplitView(IdempotencyMixin, APIView):
    """How a version is divided into parts, and dividing it, once."""

    @extend_schema(responses={200: SplitSerializer})
    def get(self, request: Request, slug: str, number: int) -> Response:
        version = get_version(get_dataset(slug, user=request.user), number)
        return Response(SplitSerializer(get_split(version)).data)

    @extend_schema(request=NewSplitSerializer, responses={201: SplitSerializer})
    def post(self, request: Request, slug: str, number: int) -> Response:
        version = get_version(get_dataset(slug, user=request.user), number)
        asked = NewSplitSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        split = services.split_version(version, by=cast("User", request.user), **asked.validated_data)
        return Response(SplitSerializer(split).data, status=status.HTTP_201_CREATED)


class AssignmentView(APIView):
    """Which item of a version is in which part: {"unit", "parts", "of"}; `of` has a digit for each item in order."""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, slug: str, number: int) -> FileResponse:
        version = get_version(get_dataset(slug, user=request.user), number)
        stored = objects.open_object(get_split(version).assignment)
        return FileResponse(stored, content_type="application/json")


class ComparisonView(APIView):
    """What changed between two versions: files, schema, rows, and how each column is distributed."""

    @extend_schema(
        parameters=[
            OpenApiParameter("before", OpenApiTypes.STR, required=True, description="A number or a tag."),
            OpenApiParameter("after", OpenApiTypes.STR, required=True, description="A number or a tag."),
            OpenApiParameter("key", OpenApiTypes.STR, description="The column by which rows are recognised."),
        ],
        responses={200: DatasetComparisonSerializer, 202: DatasetComparisonSerializer},
    )
    def get(self, request: Request, slug: str) -> Response:
        dataset = get_dataset(slug, user=request.user)
        asked = [request.query_params.get(name, "") for name in ("before", "after")]
        if not all(asked):
            raise Invalid(_("Name both versions: ?before=1&after=2."), fields={"before": _("is missing")})
        before, after = (version_called(dataset, each) for each in asked)
        found = services.compare_versions(before, after, key=request.query_params.get("key", ""))
        code = status.HTTP_202_ACCEPTED if found.result is None else status.HTTP_200_OK
        return Response(DatasetComparisonSerializer(found).data, status=code)


class TagsView(IdempotencyMixin, generics.ListAPIView[Tag]):
    """The tags of a data set, and giving one to a version, which takes it from the one that had it."""

    serializer_class = TagSerializer
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[Tag]:
        if getattr(self, "swagger_fake_view", False):
            return Tag.objects.none()
        return tags_of(get_dataset(self.kwargs["slug"], user=self.request.user))

    @extend_schema(request=NewTagSerializer, responses={201: TagSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Name a version."""
        dataset = get_dataset(slug, user=request.user)
        require(may_split(request.user, dataset))
        asked = NewTagSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        version = get_version(dataset, asked.validated_data["number"])
        tag = services.tag_version(version, asked.validated_data["name"], by=cast("User", request.user))
        return Response(TagSerializer(tag).data, status=status.HTTP_201_CREATED)


class TagView(APIView):
    """One tag: taken away."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, name: str) -> Response:
        services.drop_tag(get_dataset(slug, user=request.user), name, by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReadersView(IdempotencyMixin, generics.ListAPIView[User]):
    """The people outside the team who read a data set, and letting one in."""

    serializer_class = DatasetReaderSerializer
    ordering = ("username",)

    def get_queryset(self) -> QuerySet[User]:
        if getattr(self, "swagger_fake_view", False):
            return User.objects.none()
        dataset = get_dataset(self.kwargs["slug"], user=self.request.user)
        require(may_share(self.request.user, dataset))
        return readers_of(dataset)

    @extend_schema(request=NewDatasetReaderSerializer, responses={201: DatasetReaderSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Let a person read it."""
        dataset = get_dataset(slug, user=request.user)
        require(may_share(request.user, dataset))
        asked = NewDatasetReaderSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        person = person_called(asked.validated_data["username"])
        services.share_dataset(dataset, person, by=cast("User", request.user))
        return Response(DatasetReaderSerializer(person).data, status=status.HTTP_201_CREATED)


class ReaderView(APIView):
    """One person outside the team who reads a data set: no longer."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, username: str) -> Response:
        services.stop_sharing(get_dataset(slug, user=request.user), username, by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)
