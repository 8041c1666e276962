"""JSON forms of releases."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.catalog.models import Version
from apps.releases.models import Bypass, Finding, Release, Signature, Stage


class StageSerializer(serializers.ModelSerializer[Stage]):
    class Meta:
        model = Stage
        fields = ["position", "weight", "worse_by", "status", "outcome", "evidence", "started_at", "ended_at"]


class SignatureSerializer(serializers.ModelSerializer[Signature]):
    user = serializers.CharField(source="user.username")

    class Meta:
        model = Signature
        fields = ["user", "role", "content_digest", "comment", "at"]


class FindingSerializer(serializers.ModelSerializer[Finding]):
    raised_by = serializers.CharField(source="raised_by.username", read_only=True)

    class Meta:
        model = Finding
        fields = ["id", "text", "most_percent", "raised_by", "raised_at", "closed_at", "resolution"]
        read_only_fields = ["raised_at", "closed_at", "resolution"]


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    version: Any = serializers.PrimaryKeyRelatedField(queryset=Version.objects.all())
    stages = StageSerializer(many=True, read_only=True)
    signatures = SignatureSerializer(many=True, read_only=True)
    findings = FindingSerializer(many=True, read_only=True)

    class Meta:
        model = Release
        fields = [
            "id", "version", "report", "policy", "status", "content_digest", "request", "reason",
            "opened_at", "ended_at", "stages", "signatures", "findings", "cases",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name != "version"]


class SigningSerializer(serializers.Serializer[Any]):
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    comment = serializers.CharField(required=False, default="", allow_blank=True)


class ConditionalSigningSerializer(SigningSerializer):
    condition = serializers.CharField(required=False, default="", allow_blank=True)
    most_percent = serializers.IntegerField(required=False, default=0, min_value=0, max_value=99)


class ResolutionSerializer(serializers.Serializer[Any]):
    resolution = serializers.CharField()


class PasswordSerializer(serializers.Serializer[Any]):
    password = serializers.CharField(write_only=True, trim_whitespace=False)


class BlockerSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    words = serializers.CharField()
    url = serializers.CharField()
    cell = serializers.CharField()


class BypassSerializer(serializers.ModelSerializer[Bypass]):
    version: Any = serializers.PrimaryKeyRelatedField(queryset=Version.objects.all())
    hours = serializers.IntegerField(min_value=1, max_value=72)
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    asked_by = serializers.CharField(source="asked_by.username", read_only=True)

    class Meta:
        model = Bypass
        fields = [
            "id",
            "version",
            "reason",
            "hours",
            "password",
            "status",
            "asked_by",
            "asked_at",
            "expires_at",
        ]
        read_only_fields = ["status", "asked_at", "expires_at"]


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, default="", allow_blank=True)
