"""JSON forms of releases."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.catalog.models import Version
from apps.core.serializers import ModelSerializer, Serializer
from apps.releases.models import (
    Bypass,
    Conclusion,
    Finding,
    Policy,
    Release,
    Replay,
    ReplayedCall,
    Rerun,
    Signature,
    Stage,
)
from apps.releases.risk import weighed


class StageSerializer(ModelSerializer[Stage]):
    evidence = serializers.SerializerMethodField()

    class Meta:
        model = Stage
        fields = [
            "position", "weight", "site", "worse_by", "slow_ms", "memory_mb", "server_cpu", "costlier_by",
            "status", "outcome",
            "evidence", "started_at", "resumed_at", "ended_at",
        ]  # fmt: skip

    def get_evidence(self, stage: Stage) -> dict[str, Any]:
        """What was seen; why the stage stands where it does as `why`, a code, and as `reason`, a sentence."""
        seen = dict(stage.evidence)
        return seen | {"reason": stage.reason_words} if seen else seen


class SignatureSerializer(ModelSerializer[Signature]):
    user = serializers.CharField(source="user.username")
    instead_of = serializers.CharField(source="instead_of.username", default=None)

    class Meta:
        model = Signature
        fields = ["user", "instead_of", "role", "content_digest", "comment", "at"]


class FindingSerializer(ModelSerializer[Finding]):
    raised_by = serializers.CharField(source="raised_by.username", read_only=True)

    class Meta:
        model = Finding
        fields = ["id", "text", "most_percent", "raised_by", "raised_at", "closed_at", "resolution"]
        read_only_fields = ["raised_at", "closed_at", "resolution"]


class FoundSerializer(FindingSerializer):
    """A finding where those of many releases stand together."""

    release: Any = serializers.IntegerField(source="release_id", read_only=True)
    release_status = serializers.CharField(source="release.status", read_only=True)
    capability = serializers.CharField(source="release.capability.slug", read_only=True)
    version = serializers.CharField(source="release.version.number", read_only=True)
    closed_by = serializers.CharField(source="closed_by.username", default=None, read_only=True)

    class Meta(FindingSerializer.Meta):
        fields = [
            "id", "release", "release_status", "capability", "version", "text", "most_percent", "raised_by",
            "raised_at", "closed_by", "closed_at", "resolution",
        ]  # fmt: skip
        read_only_fields = fields


class ConclusionSerializer(ModelSerializer[Conclusion]):
    stage = serializers.IntegerField(source="stage.weight", read_only=True)
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    asked_by = serializers.CharField(source="asked_by.username", read_only=True)
    settled_by = serializers.CharField(source="settled_by.username", read_only=True, default=None)

    class Meta:
        model = Conclusion
        fields = [
            "id", "stage", "reason", "password", "evidence", "status", "asked_by", "asked_at", "settled_by",
            "settled_at",
        ]  # fmt: skip
        read_only_fields = ["evidence", "status", "asked_at", "settled_at"]


class DifferenceSerializer(Serializer[Any]):
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class WeighedSerializer(Serializer[Any]):
    """A report in short: `main` is the figure of which value and difference to production are."""

    verdict = serializers.CharField()
    main = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    difference = DifferenceSerializer(allow_null=True)
    risk = serializers.CharField()


class ReleaseSerializer(ModelSerializer[Release]):
    version: Any = serializers.PrimaryKeyRelatedField(queryset=Version.objects.all())
    stages = StageSerializer(many=True, read_only=True)
    signatures = SignatureSerializer(many=True, read_only=True)
    findings = FindingSerializer(many=True, read_only=True)
    reason: Any = serializers.CharField(source="reason_words", read_only=True)
    weighed = serializers.SerializerMethodField()
    held_since = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Release
        fields = [
            "id", "version", "report", "weighed", "policy", "status", "content_digest", "request", "reason",
            "why", "held_since", "opened_at", "ended_at", "stages", "signatures", "findings", "cases",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name != "version"]

    @extend_schema_field(WeighedSerializer)
    def get_weighed(self, release: Release) -> Any:
        """What the QA inbox shows of its report: verdict, difference to production with its interval, and risk."""
        report = release.report
        told = {"verdict": report.verdict} | weighed(report.verdict, report.headline)
        return self._weighed.to_representation(told)

    @cached_property
    def _weighed(self) -> WeighedSerializer:
        """One for all rows of a list: making its fields costs more than reading them."""
        return WeighedSerializer()


class SigningSerializer(Serializer[Any]):
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    comment = serializers.CharField(required=False, default="", allow_blank=True)


class ConditionalSigningSerializer(SigningSerializer):
    condition = serializers.CharField(required=False, default="", allow_blank=True)
    most_percent = serializers.IntegerField(required=False, default=0, min_value=0, max_value=99)


class ResolutionSerializer(Serializer[Any]):
    resolution = serializers.CharField()


class PasswordSerializer(Serializer[Any]):
    password = serializers.CharField(write_only=True, trim_whitespace=False)


class BlockerSerializer(Serializer[Any]):
    code = serializers.CharField()
    words = serializers.CharField()
    url = serializers.CharField()
    cell = serializers.CharField()


class BypassSerializer(ModelSerializer[Bypass]):
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


class RollBackSerializer(Serializer[Any]):
    reason = serializers.CharField(required=False, default="", allow_blank=True)


class ReplaySerializer(ModelSerializer[Replay]):
    capability = serializers.CharField(source="release.capability.slug", read_only=True)
    version = serializers.CharField(source="release.version.number", read_only=True)
    team = serializers.CharField(source="subscription.team.slug", read_only=True)
    answered_by = serializers.CharField(source="answered_by.username", read_only=True, default=None)
    counts = serializers.SerializerMethodField()

    class Meta:
        model = Replay
        fields = [
            "id", "release", "capability", "version", "subscription", "team", "status", "deadline", "counts",
            "answered_by", "answered_at", "comment", "asked_anew_at", "asked_anew_for",
        ]  # fmt: skip
        read_only_fields = fields

    def get_counts(self, replay: Replay) -> dict[str, int]:
        """How many calls came to which outcome: same, moved, different, failed, skipped, pending."""
        counted: dict[int, dict[str, int]] = self.context.get("counts", {})
        return counted.get(replay.pk, {})


class ReplayedCallSerializer(ModelSerializer[ReplayedCall]):
    message: Any = serializers.CharField(source="why", read_only=True)

    class Meta:
        model = ReplayedCall
        fields = ["id", "request_id", "at", "version", "outcome", "largest", "answer_id", "message"]


class ReplayCommentSerializer(Serializer[Any]):
    comment = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class PolicySerializer(ModelSerializer[Policy]):
    """Without a capability it is the default of the team's capabilities that have none of their own."""

    capability = serializers.CharField(source="capability.slug", default=None, allow_null=True)
    team = serializers.CharField(source="team.slug", required=False)
    signers = serializers.JSONField()
    gates = serializers.JSONField(required=False)
    stages = serializers.JSONField()
    metric = serializers.JSONField(required=False, allow_null=True)

    class Meta:
        model = Policy
        fields = [
            "id", "capability", "team", "number", "signers", "gates", "stages", "metric", "four_eyes", "deputies",
            "shadow_calls", "replay_calls", "consent_hours", "pin_days", "replays_stand_in", "deadline_days",
            "stage_days", "promote_by_gate", "created_at", "withdrawn_at",
        ]  # fmt: skip
        read_only_fields = ["number", "created_at", "withdrawn_at"]


class RerunSerializer(ModelSerializer[Rerun]):
    message: Any = serializers.CharField(source="why", read_only=True)
    capability = serializers.CharField(source="version.capability.slug", read_only=True)
    version = serializers.CharField(
        source="version.number",
        required=False,
        max_length=64,
        help_text="the one that is asked; by default the one that answered",
    )
    answered_by = serializers.CharField(source="then.number", read_only=True)
    asked_by = serializers.CharField(source="asked_by.username", read_only=True)

    class Meta:
        model = Rerun
        fields = [
            "id", "request_id", "capability", "version", "answered_by", "status", "outcome", "largest", "answer_id",
            "message", "asked_by", "asked_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name not in ("request_id", "version")]


class PastSerializer(Serializer[Any]):
    capability = serializers.CharField()
    at = serializers.DateTimeField(required=False)
    subscription = serializers.IntegerField(required=False)
    end_user = serializers.CharField(required=False, default="", allow_blank=True)


class ShareSerializer(Serializer[Any]):
    deployment = serializers.IntegerField()
    version = serializers.CharField()
    percent = serializers.IntegerField()


class MomentSerializer(Serializer[Any]):
    at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(allow_null=True)
    shares = ShareSerializer(many=True)
    version = serializers.CharField()
    pinned = serializers.BooleanField()
    at_sites = serializers.DictField(child=ShareSerializer(many=True))


class PreviewedSerializer(Serializer[Any]):
    capability = serializers.CharField()
    metric = serializers.JSONField()


class OfVersionSerializer(Serializer[Any]):
    version = serializers.CharField()
    calls = serializers.IntegerField()
    counted = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)


class MetricPreviewSerializer(Serializer[Any]):
    versions = OfVersionSerializer(many=True)
    needed = serializers.IntegerField(allow_null=True)
