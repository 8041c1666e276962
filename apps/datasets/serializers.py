"""REST shapes of data sets."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.models import Team
from apps.datasets.models import Dataset, DatasetVersion


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", queryset=Team.objects.all()
    )
    name = serializers.CharField(required=False)

    class Meta:
        model = Dataset
        fields = ["id", "slug", "name", "description", "team", "visibility", "created_at"]
        extra_kwargs: dict[str, Any] = {"slug": {"validators": []}}


class DatasetVersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    dataset: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    parent_number: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        source="parent", slug_field="number", read_only=True
    )
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = DatasetVersion
        fields = [
            *("id", "dataset", "number", "digest", "size", "rows", "schema", "statistics", "manifest"),
            *("parent_number", "note", "created_by", "created_at"),
        ]
        read_only_fields = fields


class NewDatasetVersionSerializer(serializers.Serializer[Any]):
    """A new version: `file` (any file, or a zip or tar), or `files` as {path: sha256} of stored objects."""

    file = serializers.FileField(required=False)
    files = serializers.JSONField(required=False)
    note = serializers.CharField(required=False, allow_blank=True, default="")
    parent_number = serializers.IntegerField(required=False, help_text="The version that it goes on from")
