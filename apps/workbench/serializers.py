"""REST shapes of the workbench."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.workbench.models import Environment, Workspace


class WorkspaceSerializer(serializers.ModelSerializer[Workspace]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    owner: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    cpu = serializers.FloatField(source="size.cpu", read_only=True)
    memory_mb = serializers.IntegerField(source="size.memory_mb", read_only=True)
    disk_mb = serializers.IntegerField(source="size.disk_mb", read_only=True)

    class Meta:
        model = Workspace
        fields = [
            "id",
            "name",
            "owner",
            "team",
            "environment",
            "flavour",
            "cpu",
            "memory_mb",
            "disk_mb",
            "status",
            "status_reason",
            "status_at",
            "lease_until",
            "idle_minutes",
            "share_terminals",
            "active_at",
            "activity",
            "cloned_from",
            "datasets",
            "created_at",
        ]
        read_only_fields = fields


class EnvironmentSerializer(serializers.ModelSerializer[Environment]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Environment
        fields = [
            *("id", "name", "team", "requirements", "status", "reason", "job_id", "lock_name"),
            *("lock_sha256", "workspace", "created_by", "created_at"),
        ]
        read_only_fields = fields


class NewEnvironmentSerializer(serializers.Serializer[dict[str, Any]]):
    """Packages beside those of the base."""

    name = serializers.SlugField(max_length=40)
    team = serializers.SlugField(help_text="Short name of the team.")
    requirements = serializers.CharField(max_length=20_000, help_text="One package per line.")


class NewWorkspaceSerializer(serializers.Serializer[dict[str, Any]]):
    """What a new workspace needs."""

    name = serializers.CharField(max_length=80)
    team = serializers.SlugField(help_text="Short name of the team.")
    flavour = serializers.ChoiceField(choices=Workspace.Flavour.choices, default=Workspace.Flavour.SMALL)
    environment = serializers.CharField(max_length=60, default="base")


class WorkspaceChangeSerializer(serializers.Serializer[dict[str, Any]]):
    """What may be changed later."""

    flavour = serializers.ChoiceField(choices=Workspace.Flavour.choices, required=False)
    idle_minutes = serializers.ChoiceField(choices=Workspace.IdleLimit.choices, required=False)
    environment = serializers.CharField(max_length=60, required=False)
    share_terminals = serializers.BooleanField(
        required=False, help_text="Whether developers of the team may watch its terminals."
    )
    datasets: serializers.ListField = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        max_length=50,
        help_text="Numbers (id) of data set versions to have read-only at /datasets/<name>/<version>.",
    )


class CloneSerializer(serializers.Serializer[dict[str, Any]]):
    """The copy's name."""

    name = serializers.CharField(max_length=80)
