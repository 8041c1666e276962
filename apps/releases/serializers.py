"""JSON forms of releases."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.catalog.models import Version
from apps.releases.models import Release, Signature, Stage


class StageSerializer(serializers.ModelSerializer[Stage]):
    class Meta:
        model = Stage
        fields = ["position", "weight", "worse_by", "status", "outcome", "evidence", "started_at", "ended_at"]


class SignatureSerializer(serializers.ModelSerializer[Signature]):
    user = serializers.CharField(source="user.username")

    class Meta:
        model = Signature
        fields = ["user", "role", "content_digest", "comment", "at"]


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    version: Any = serializers.PrimaryKeyRelatedField(queryset=Version.objects.all())
    stages = StageSerializer(many=True, read_only=True)
    signatures = SignatureSerializer(many=True, read_only=True)

    class Meta:
        model = Release
        fields = [
            "id", "version", "report", "policy", "status", "content_digest", "request", "reason",
            "opened_at", "ended_at", "stages", "signatures",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name != "version"]


class SigningSerializer(serializers.Serializer[Any]):
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    comment = serializers.CharField(required=False, default="", allow_blank=True)


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, default="", allow_blank=True)
