"""JSON forms of experiments. Effects and rates are parts of 1, mean latencies milliseconds, see `analysis`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.serializers import ModelSerializer, Serializer
from apps.experiments.models import MODEL, Arm, Experiment
from apps.experiments.plans import ArmPlan, Asked
from apps.experiments.selectors import waiting


class ArmSerializer(ModelSerializer[Arm]):
    version = serializers.CharField(source="version.number", default=None)

    class Meta:
        model = Arm
        fields = ["id", "name", "share", "version", "parameters", "deployment"]


class ExperimentSerializer(ModelSerializer[Experiment]):
    """What is read. `evidence` has each arm with its effect, `why` why the portal itself paused or ended it."""

    capability = serializers.CharField(source="capability.slug")
    arms = ArmSerializer(many=True)
    waits_for = serializers.SerializerMethodField()

    class Meta:
        model = Experiment
        fields = [
            "id", "capability", "name", "hypothesis", "layer", "begins", "size", "measure", "metric", "effect",
            "arms", "status", "why", "waits_for", "evidence", "created_at", "started_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_waits_for(self, experiment: Experiment) -> str | None:
        """The version whose release in gray has the traffic for itself meanwhile."""
        if experiment.status != Experiment.Status.RUNNING:
            return None
        return waiting([experiment.capability_id]).get(experiment.capability_id)


class ArmPlanSerializer(Serializer[Any]):
    name = serializers.CharField(max_length=60)
    share = serializers.IntegerField(min_value=1, max_value=99)
    version = serializers.CharField(required=False, default="", allow_blank=True)
    parameters = serializers.DictField(required=False, default=dict)


class ExperimentPlanSerializer(Serializer[Any]):
    """What is written."""

    name = serializers.CharField(max_length=100)
    hypothesis = serializers.CharField(max_length=4000)
    layer = serializers.CharField(max_length=40, required=False, default=MODEL)
    begins = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=99
    )
    size = serializers.IntegerField(min_value=1, max_value=100)
    measure = serializers.ChoiceField(choices=Experiment.Measure.choices)
    effect = serializers.FloatField()
    arms = ArmPlanSerializer(many=True)

    def asked(self) -> Asked:
        """The plan as the services take it. The document is valid."""
        told = {name: value for name, value in self.validated_data.items() if name != "capability"}
        return Asked(**{**told, "arms": [ArmPlan(**arm) for arm in told["arms"]]})


class NewExperimentPlanSerializer(ExperimentPlanSerializer):
    capability = serializers.CharField()


class NeededSerializer(Serializer[Any]):
    """How many calls a plan needs, and the hours that they take; null where nothing was logged that tells."""

    calls = serializers.IntegerField(allow_null=True)
    hours = serializers.FloatField(allow_null=True)
    mean = serializers.FloatField(allow_null=True)
