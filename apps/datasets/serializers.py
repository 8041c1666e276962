"""REST shapes of data sets."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.models import Team, User
from apps.core.serializers import ModelSerializer, Serializer
from apps.datasets.models import Comparison, Dataset, DatasetVersion, Split, Tag


class DatasetSerializer(ModelSerializer[Dataset]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", queryset=Team.objects.all()
    )
    name = serializers.CharField(required=False)

    class Meta:
        model = Dataset
        fields = ["id", "slug", "name", "description", "team", "visibility", "created_at"]
        extra_kwargs: dict[str, Any] = {"slug": {"validators": []}}


class DatasetChangeSerializer(Serializer[Any]):
    """What may be changed later; what is left out stays."""

    name = serializers.CharField(required=False, max_length=100)
    description = serializers.CharField(required=False, allow_blank=True)
    visibility = serializers.ChoiceField(choices=Dataset.Visibility.choices, required=False)


class TablePreviewSerializer(Serializer[Any]):
    """Rows of all tables one after the other, each with a cell for every column."""

    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField(child=serializers.JSONField()))


class DatasetVersionSerializer(ModelSerializer[DatasetVersion]):
    dataset: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    parent_number: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        source="parent", slug_field="number", read_only=True
    )
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    tags: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="name", read_only=True, many=True
    )

    class Meta:
        model = DatasetVersion
        fields = [
            *("id", "dataset", "number", "digest", "size", "rows", "schema", "statistics", "manifest"),
            *("parent_number", "tags", "note", "created_by", "created_at"),
        ]
        read_only_fields = fields


class NewDatasetVersionSerializer(Serializer[Any]):
    """A new version: `file` (any file, or a zip or tar), or `files` as {path: sha256} of stored objects."""

    file = serializers.FileField(required=False)
    files = serializers.JSONField(required=False)
    note = serializers.CharField(required=False, allow_blank=True, default="")
    parent_number = serializers.IntegerField(required=False, help_text="The version that it goes on from")


class SplitSerializer(ModelSerializer[Split]):
    parts = serializers.DictField(source="counts", child=serializers.IntegerField(), read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Split
        fields = [
            *("unit", "method", "column", "seed", "parts", "by_value", "assignment"),
            *("created_by", "created_at"),
        ]
        read_only_fields = fields


class NewSplitSerializer(Serializer[Any]):
    """How a version is divided: `shares` as {part: share}, by chance unless a column is named."""

    shares = serializers.DictField(child=serializers.FloatField(), required=False)
    stratify_by = serializers.CharField(required=False, allow_blank=True, default="")
    group_by = serializers.CharField(required=False, allow_blank=True, default="")
    seed = serializers.IntegerField(required=False, default=0)


class DatasetReaderSerializer(ModelSerializer[User]):
    """A person outside the team who may read the data set."""

    name = serializers.CharField(source="get_full_name", read_only=True)

    class Meta:
        model = User
        fields = ["username", "name"]


class NewDatasetReaderSerializer(Serializer[Any]):
    """Whom to let in."""

    username = serializers.CharField(max_length=150)


class TagSerializer(ModelSerializer[Tag]):
    number: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        source="version", slug_field="number", read_only=True
    )
    moved_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Tag
        fields = ["name", "number", "moved_by", "moved_at"]
        read_only_fields = fields


class NewTagSerializer(Serializer[Any]):
    """A name for a version."""

    name = serializers.CharField(max_length=80)
    number = serializers.IntegerField()


class DatasetComparisonSerializer(ModelSerializer[Comparison]):
    """What changed; `result` is null while it is being worked out: ask again."""

    before: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="number", read_only=True
    )
    after: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="number", read_only=True
    )

    class Meta:
        model = Comparison
        fields = ["before", "after", "key", "result", "created_at"]
        read_only_fields = fields
