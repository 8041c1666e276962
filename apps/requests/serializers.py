"""REST shapes of requests and notifications."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.models import User
from apps.core.serializers import ModelSerializer, Serializer
from apps.requests import kinds, services
from apps.requests.models import Comment, Decision, Deputy, Notification, Request, Step


class HitSerializer(Serializer[Any]):
    """One thing that a search found."""

    kind = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    url = serializers.CharField()


class DecisionSerializer(ModelSerializer[Decision]):
    user: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    instead_of: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Decision
        fields = ["user", "instead_of", "approve", "comment", "at"]


class StepSerializer(ModelSerializer[Step]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    decisions = DecisionSerializer(many=True, read_only=True)

    class Meta:
        model = Step
        fields = ["position", "role", "team", "count", "filled", "decisions"]


class CommentSerializer(ModelSerializer[Comment]):
    user: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Comment
        fields = ["id", "user", "text", "at"]
        read_only_fields = ["id", "at"]


class RequestSerializer(ModelSerializer[Request]):
    owner: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    title = serializers.CharField(source="title_words", read_only=True)
    steps = StepSerializer(many=True, read_only=True)

    class Meta:
        model = Request
        fields = [
            "id",
            "kind",
            "subject_urn",
            "title",
            "body",
            "url",
            "owner",
            "team",
            "status",
            "four_eyes",
            "deadline",
            "created_at",
            "closed_at",
            "steps",
        ]


class FactSerializer(Serializer[Any]):
    """One thing that is told to who decides, in the reader's language."""

    name = serializers.CharField()
    text = serializers.CharField()


class WholeRequestSerializer(RequestSerializer):
    """One request with what its page tells besides."""

    facts = serializers.SerializerMethodField(
        help_text="what is asked for, and what became of that meanwhile"
    )
    stuck = serializers.SerializerMethodField(
        help_text="why there is nobody left who could grant it; empty while there is somebody"
    )

    class Meta(RequestSerializer.Meta):
        fields = [*RequestSerializer.Meta.fields, "facts", "stuck"]

    @extend_schema_field(FactSerializer(many=True))
    def get_facts(self, request: Request) -> list[dict[str, str]]:
        return [{"name": name, "text": text} for name, text in kinds.get(request.kind).facts(request)]

    def get_stuck(self, request: Request) -> str:
        return services.why_unsatisfiable(request)


class DecideSerializer(Serializer[None]):
    """A yes or a no; a no needs a comment."""

    approve = serializers.BooleanField()
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class NotificationSerializer(ModelSerializer[Notification]):
    class Meta:
        model = Notification
        fields = ["id", "title", "body", "url", "request", "at", "read_at"]


class DeputySerializer(ModelSerializer[Deputy]):
    person: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True), required=False
    )
    deputy: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True)
    )

    class Meta:
        model = Deputy
        fields = ["id", "person", "deputy", "since", "until"]
