"""REST shapes of deployments."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.compute.serializers import LabelsField
from apps.core.serializers import ModelSerializer, Serializer
from apps.instances.models import Deployment, Replica


class ReplicaSerializer(ModelSerializer[Replica]):
    reason = serializers.CharField(source="why", read_only=True)
    failure = serializers.CharField(source="last_failure", read_only=True)

    class Meta:
        model = Replica
        fields = [
            *(
                "id",
                "status",
                "reason",
                "failure",
                "failure_at",
                "generation",
                "restarts",
                "memory_mb",
                "cpu_s",
                "cpu_share",
            ),
            *("created_at", "ready_at"),
        ]
        read_only_fields = fields


class DeploymentSerializer(ModelSerializer[Deployment]):
    """A deployment as it is read."""

    capability: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    version_number = serializers.CharField(source="version.number", read_only=True)
    digest = serializers.CharField(source="version.digest", read_only=True)
    site: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    host: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    weight = serializers.SerializerMethodField()
    status_reason = serializers.CharField(source="why", read_only=True)
    replica_set = ReplicaSerializer(many=True, read_only=True)

    class Meta:
        model = Deployment
        fields = [
            *("id", "capability", "version", "version_number", "digest", "kind", "site", "host", "replicas"),
            *("resources", "labels", "desired", "status", "status_reason", "weight", "replica_set"),
            *("created_at", "ready_at", "stopped_at"),
        ]
        read_only_fields = fields

    def get_weight(self, deployment: Deployment) -> int:
        traffic = getattr(deployment, "traffic", None)
        return traffic.weight if traffic else 0


class NewDeploymentSerializer(Serializer[Any]):
    """What to run."""

    version = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Deployment.Kind.choices)
    replicas = serializers.IntegerField(required=False, default=1, min_value=1)
    resources = serializers.DictField(child=serializers.FloatField(), required=False)
    labels = LabelsField(
        required=False,
        help_text="Only nodes with all of these labels take its replicas; left out: as its newest deployment.",
    )


class ScaleSerializer(Serializer[Any]):
    replicas = serializers.IntegerField(min_value=1)


class PlacementSerializer(Serializer[Any]):
    labels = LabelsField(
        help_text="What the nodes of replicas that start from now on have to have; [] for none."
    )


class WeightsSerializer(Serializer[Any]):
    """`weights`: {deployment id: percent}, 100 together, or {} for none."""

    capability = serializers.SlugField(read_only=True)
    weights = serializers.DictField(child=serializers.IntegerField())


class ShadowSerializer(Serializer[Any]):
    """The deployment that gets a copy of this percentage of the production calls; null ends the mirror."""

    capability = serializers.SlugField(read_only=True)
    deployment = serializers.IntegerField(allow_null=True)
    percent = serializers.IntegerField(default=100, min_value=1, max_value=100)


class LogSerializer(Serializer[Any]):
    """A part of a replica's output."""

    replica = serializers.IntegerField()
    text = serializers.CharField()
    next = serializers.IntegerField()


class TestKeySerializer(Serializer[Any]):
    """A secret that is told once."""

    key = serializers.CharField()
