"""JSON forms of suites, evaluations and reports."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.catalog.models import Capability, Version
from apps.core.serializers import ModelSerializer, Serializer
from apps.datasets.models import DatasetVersion
from apps.evaluation.models import Claim, Report, Run, Suite, SuiteData


class FurtherField(serializers.PrimaryKeyRelatedField[DatasetVersion]):
    """A data set version by its number, read from a row of `SuiteData`."""

    def to_representation(self, value: Any) -> Any:
        return value.dataset_version_id if isinstance(value, SuiteData) else super().to_representation(value)


class SuiteSerializer(ModelSerializer[Suite]):
    capability: Any = serializers.SlugRelatedField(slug_field="slug", queryset=Capability.objects.all())
    dataset_version: Any = serializers.PrimaryKeyRelatedField(queryset=DatasetVersion.objects.all())
    further_data: Any = FurtherField(
        many=True,
        required=False,
        queryset=DatasetVersion.objects.all(),
        help_text="More data set versions, whose rows are asked and told apart as the slice `dataset=NAME@NUMBER`.",
    )
    gates = serializers.JSONField()
    slices = serializers.ListField(child=serializers.CharField(), required=False)
    groups = serializers.ListField(child=serializers.CharField(), required=False)

    class Meta:
        model = Suite
        fields = [
            "id",
            "capability",
            "number",
            "name",
            "dataset_version",
            "further_data",
            "target",
            "slices",
            "groups",
            "task",
            "scorer",
            "gates",
            "created_at",
        ]
        read_only_fields = ["number", "created_at"]


class RunSerializer(ModelSerializer[Run]):
    version: Any = serializers.PrimaryKeyRelatedField(queryset=Version.objects.all())
    suite: Any = serializers.PrimaryKeyRelatedField(queryset=Suite.objects.all(), required=False)
    report = serializers.PrimaryKeyRelatedField[Report](read_only=True)
    reason = serializers.CharField(source="why", read_only=True)

    class Meta:
        model = Run
        fields = ["id", "version", "suite", "status", "reason", "job", "report", "started_at", "ended_at"]
        read_only_fields = ["status", "reason", "job", "started_at", "ended_at"]


class ReportSerializer(ModelSerializer[Report]):
    class Meta:
        model = Report
        fields = ["id", "run", "version", "digest", "verdict", "headline", "created_at"]


class RowsAskedSerializer(Serializer[Any]):
    truth = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    answer = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    slice = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    only = serializers.ChoiceField(["wrong", ""], required=False, default="")
    after = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=0)
    size = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class RowsSerializer(Serializer[Any]):
    """`next` is what to ask for as `after`; null when there are no more."""

    results = serializers.ListField(child=serializers.DictField())
    next = serializers.IntegerField(allow_null=True)


class ClaimSerializer(ModelSerializer[Claim]):
    capability: Any = serializers.SlugRelatedField(slug_field="slug", queryset=Capability.objects.all())
    by = serializers.CharField(source="by.username", read_only=True)

    class Meta:
        model = Claim
        fields = ["id", "capability", "item", "text", "by", "at"]
        read_only_fields = ["at"]


class ProofSerializer(Serializer[Any]):
    words = serializers.CharField()
    at = serializers.DateTimeField()
    url = serializers.CharField()


class ScoredSerializer(Serializer[Any]):
    name = serializers.CharField()
    section = serializers.CharField()
    points = serializers.FloatField()
    by = serializers.CharField()
    proof = ProofSerializer(allow_null=True)


class ScoreSerializer(Serializer[Any]):
    total = serializers.FloatField()
    sections = serializers.DictField(child=serializers.FloatField())
    items = ScoredSerializer(many=True)
