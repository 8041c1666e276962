"""REST shapes of calls and of what became known of them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.gateway.models import Call, Outcome, Overload
from apps.gateway.retention import MOST_DAYS


class OutcomeSerializer(serializers.ModelSerializer[Outcome]):
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


class CallSerializer(serializers.ModelSerializer[Call]):
    class Meta:
        model = Call
        fields = [
            "request_id", "at", "capability_id", "deployment_id", "version", "status", "error_kind",
            "latency_ms", "stage_weight", "shadow", "parsed", "score",
        ]  # fmt: skip


class CallDetailSerializer(CallSerializer):
    request = serializers.JSONField(source="request_document", read_only=True)
    response = serializers.JSONField(source="response_document", read_only=True)
    outcomes = OutcomeSerializer(many=True, read_only=True)

    class Meta(CallSerializer.Meta):
        fields = [
            *CallSerializer.Meta.fields,
            "subject",
            "sizes",
            "logged",
            "request",
            "response",
            "outcomes",
        ]


class UnmaskedSerializer(serializers.Serializer[Any]):
    """The bodies of a call with their encrypted fields read."""

    request = serializers.JSONField()
    response = serializers.JSONField()


class OverloadSerializer(serializers.ModelSerializer[Overload]):
    capability: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )

    class Meta:
        model = Overload
        fields = ["id", "capability", "deployment", "started_at", "last_at", "refused"]


class RetentionSerializer(serializers.Serializer[Any]):
    capability = serializers.SlugField(read_only=True)
    days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS)
