"""REST shapes of calls and of what became known of them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.serializers import ModelSerializer, Serializer
from apps.gateway.asked import FEEDBACK, OUTCOMES, SPANS
from apps.gateway.models import Call, CallExport, Outcome, Overload
from apps.gateway.retention import MOST_DAYS
from apps.gateway.scanning import MOST_CHARACTERS
from apps.gateway.sealed import masked_values, shown


class OutcomeSerializer(ModelSerializer[Outcome]):
    by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Outcome
        fields = ["id", "request_id", "kind", "correct", "expected", "comment", "by", "at"]
        read_only_fields = ["id", "kind", "by", "at"]
        extra_kwargs = {
            "correct": {"required": False},
            "expected": {"required": False},
            "comment": {"required": False, "max_length": 10_000},
        }

    def to_representation(self, instance: Outcome) -> dict[str, Any]:
        told: dict[str, Any] = super().to_representation(instance)
        return told | {"expected": shown(instance.expected)}


class CallSerializer(ModelSerializer[Call]):
    class Meta:
        model = Call
        fields = [
            "request_id", "at", "capability_id", "deployment_id", "version", "status", "error_kind",
            "latency_ms", "stage_weight", "shadow", "parsed", "score",
        ]  # fmt: skip


class CallDetailSerializer(CallSerializer):
    request = serializers.JSONField(source="request_document", read_only=True)
    response = serializers.JSONField(source="response_document", read_only=True)
    logged = serializers.SerializerMethodField()
    outcomes = OutcomeSerializer(many=True, read_only=True)
    caller = serializers.CharField(read_only=True, help_text="the team or the person whose key asked")
    site = serializers.CharField(read_only=True, help_text="the short name of the place that answered")

    class Meta(CallSerializer.Meta):
        fields = [
            *CallSerializer.Meta.fields,
            "subject",
            "caller",
            "site",
            "sizes",
            "logged",
            "request",
            "response",
            "outcomes",
        ]

    @extend_schema_field(serializers.JSONField())
    def get_logged(self, call: Call) -> Any:
        return None if call.logged is None else masked_values(call.logged)


class UnmaskedSerializer(Serializer[Any]):
    """The bodies of a call, what its model logged, and what was said of it, with all that is encrypted read."""

    request = serializers.JSONField()
    response = serializers.JSONField()
    logged = serializers.JSONField()
    feedback = serializers.DictField(child=serializers.JSONField(), help_text="by the id of the outcome")


class OverloadSerializer(ModelSerializer[Overload]):
    capability: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )

    class Meta:
        model = Overload
        fields = ["id", "capability", "deployment", "started_at", "last_at", "refused"]


class RetentionSerializer(Serializer[Any]):
    capability = serializers.SlugField(read_only=True)
    days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS)


class CallExportSerializer(ModelSerializer[CallExport]):
    capability: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    dataset: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    version: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="number",
        read_only=True,
        help_text="the number of the data set's version, once it is there",
    )

    class Meta:
        model = CallExport
        fields = [
            "id", "capability", "dataset", "asked", "status", "looked_at", "found", "version", "reason",
            "started_at", "ended_at",
        ]  # fmt: skip


class NewCallExportSerializer(Serializer[Any]):
    """What to take: all calls of a capability that fit the filters, which are those of the list of calls."""

    capability = serializers.SlugField()
    dataset = serializers.SlugField()
    version = serializers.CharField(max_length=64, required=False, allow_blank=True)
    outcome = serializers.ChoiceField(OUTCOMES, required=False, allow_blank=True)
    since = serializers.ChoiceField(list(SPANS), required=False, allow_blank=True)
    site = serializers.CharField(max_length=64, required=False, allow_blank=True)
    subscriber = serializers.CharField(
        max_length=150,
        required=False,
        allow_blank=True,
        help_text="a team's short name, or a person's user name",
    )
    feedback = serializers.ChoiceField(FEEDBACK, required=False, allow_blank=True)
    score_from = serializers.CharField(max_length=20, required=False, allow_blank=True)
    score_below = serializers.CharField(max_length=20, required=False, allow_blank=True)
    where = serializers.CharField(
        max_length=MOST_CHARACTERS, required=False, allow_blank=True, help_text="a JMESPath condition"
    )


class LookedSerializer(Serializer[Any]):
    """Calls that were found by a condition, and how far the log was looked through for them."""

    results = CallSerializer(source="items", many=True)
    looked_at = serializers.IntegerField()
    back_to = serializers.DateTimeField(allow_null=True)
    next_cursor = serializers.CharField(allow_blank=True)
