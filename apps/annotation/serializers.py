"""JSON forms of annotation projects, rules, tasks and annotations."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from apps.accounts.models import User
from apps.annotation.formats import FORMATS
from apps.annotation.label_types import TYPES
from apps.annotation.models import (
    Annotation,
    Bulk,
    Decision,
    Project,
    PullRule,
    Retraining,
    RetrainingDecision,
    RetrainingRule,
    Task,
    Transfer,
)
from apps.annotation.receipts import STATES
from apps.annotation.selectors import as_told
from apps.catalog.models import Capability
from apps.core.serializers import ModelSerializer, NamedField, Serializer
from apps.datasets.models import Dataset
from apps.workbench.placing import MOST_ROWS


class ProjectSerializer(ModelSerializer[Project]):
    capability: Any = NamedField(slug_field="slug", queryset=Capability.objects.all())
    dataset: Any = NamedField(slug_field="slug", queryset=Dataset.objects.all())
    team: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    labels = serializers.ListField(
        child=serializers.CharField(max_length=200), default=list, max_length=200, write_only=True
    )
    kind = serializers.ChoiceField(choices=sorted(TYPES), default="single")
    options = serializers.DictField(default=dict)
    overlap = serializers.IntegerField(min_value=1, max_value=9, default=2)
    open_tasks = serializers.IntegerField(read_only=True)
    to_review = serializers.IntegerField(read_only=True)
    accepted = serializers.IntegerField(read_only=True)

    class Meta:
        model = Project
        fields = [
            "id",
            "capability",
            "team",
            "name",
            "question",
            "guideline",
            "kind",
            "options",
            "show",
            "labels",
            "overlap",
            "blind",
            "near",
            "pseudonymous",
            "order",
            "per_person",
            "golden_every",
            "gate",
            "dataset",
            "target",
            "status",
            "open_tasks",
            "to_review",
            "accepted",
            "created_at",
        ]
        read_only_fields = [
            "status",
            "pseudonymous",
            "order",
            "per_person",
            "golden_every",
            "gate",
            "created_at",
        ]

    def to_representation(self, instance: Project) -> dict[str, Any]:
        return super().to_representation(instance) | {"labels": instance.labels}


class ProjectChangeSerializer(ModelSerializer[Project]):
    """What may change while people label."""

    class Meta:
        model = Project
        fields = ["name", "question", "guideline", "blind", "near", "pseudonymous"]


class LabelsSerializer(Serializer[Any]):
    labels = serializers.ListField(child=serializers.CharField(max_length=200), max_length=200)
    hotkeys = serializers.DictField(
        child=serializers.CharField(max_length=1, allow_blank=True),
        required=False,
        help_text="the key of each label; without it labels that stay keep theirs",
    )


class QueueSerializer(Serializer[Any]):
    """Order, most tasks per person, the accuracy that the labels have to decide on, and the people it is for."""

    order = serializers.ChoiceField(choices=Project.Order.choices)
    per_person = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False, allow_null=True)
    golden_every = serializers.IntegerField(
        min_value=2,
        max_value=1000,
        required=False,
        allow_null=True,
        help_text="One task in so many is golden.",
    )
    gate = serializers.FloatField(required=False, allow_null=True)
    assignees: Any = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.all(), many=True, required=False
    )

    def validate_assignees(self, people: list[User]) -> list[User]:
        team = self.context["project"].team
        outside = [
            person.get_username() for person in people if not person.memberships.filter(team=team).exists()
        ]
        if outside:
            raise serializers.ValidationError(
                _("Not in the team %(team)s: %(names)s.") % {"team": team.name, "names": ", ".join(outside)}
            )
        return people


class StatusSerializer(Serializer[Any]):
    status = serializers.ChoiceField(choices=Project.Status.choices)


class RuleSerializer(ModelSerializer[PullRule]):
    share = serializers.FloatField(default=1.0)
    below = serializers.FloatField(required=False, allow_null=True)
    every_s = serializers.IntegerField(default=30, min_value=5, max_value=86400)

    class Meta:
        model = PullRule
        fields = [
            "id", "kind", "measure", "below", "share", "quota", "every_s", "event", "active", "pulled_at", "error",
        ]  # fmt: skip
        read_only_fields = ["active", "pulled_at", "error"]


class SwitchSerializer(Serializer[Any]):
    active = serializers.BooleanField()


class RulePreviewSerializer(Serializer[Any]):
    looked_at = serializers.IntegerField()
    taken = serializers.IntegerField()
    some = serializers.ListField(child=serializers.DictField())
    unread = serializers.ListField(child=serializers.CharField())


class TaskSerializer(ModelSerializer[Task]):
    dataset_version = serializers.StringRelatedField[Any]()
    reason = serializers.CharField(source="why", read_only=True)

    class Meta:
        model = Task
        fields = [
            "id",
            "project",
            "request_id",
            "called_at",
            "version",
            "inputs",
            "predicted",
            "confidence",
            "suggested",
            "proposed",
            "reason",
            "rule_kind",
            "probability",
            "priority",
            "weight",
            "status",
            "label",
            "value",
            "dataset_version",
            "created_at",
            "closed_at",
        ]

    def to_representation(self, instance: Task) -> dict[str, Any]:
        return super().to_representation(as_told(instance))


class NewTasksSerializer(Serializer[Any]):
    """Rows that become tasks; `keep_good` keeps the good ones when some are broken."""

    project = serializers.IntegerField(min_value=1, max_value=2**31)
    rows = serializers.ListField(child=serializers.JSONField(), min_length=1, max_length=10_000)
    keep_good = serializers.BooleanField(default=False)


class AddedSerializer(Serializer[Any]):
    tasks = serializers.IntegerField()
    merged = serializers.IntegerField()
    unproposed = serializers.IntegerField(
        help_text="Rows that came without what they proposed: it is no value of the label type."
    )
    broken = serializers.ListField(child=serializers.JSONField())


class AnnotationSerializer(ModelSerializer[Annotation]):
    user: Any = serializers.SlugRelatedField(slug_field="username", read_only=True)
    project = serializers.IntegerField(source="task.project_id", read_only=True)

    class Meta:
        model = Annotation
        fields = [
            "id",
            "task",
            "project",
            "user",
            "label",
            "value",
            "skipped",
            "flagged",
            "comment",
            "seconds",
            "extra",
            "at",
        ]


class NewAnnotationSerializer(Serializer[Any]):
    """What one person says about the task whose place they hold; `slot` and `token` come from the claim."""

    slot = serializers.IntegerField(min_value=1, max_value=2**62)
    token = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    label: Any = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    value = serializers.JSONField(required=False, allow_null=True, default=None)
    skipped = serializers.BooleanField(default=False)
    flagged = serializers.BooleanField(default=False)
    comment = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")
    seconds = serializers.FloatField(default=0)


class TaskPlaceSerializer(Serializer[Any]):
    """A place at a task: send `slot` and `token` with the annotation, before `leased_until`."""

    slot = serializers.IntegerField(source="pk")
    token = serializers.IntegerField()
    leased_until = serializers.DateTimeField()
    task = TaskSerializer()


class HeldSerializer(Serializer[Any]):
    slot = serializers.IntegerField(min_value=1, max_value=2**62)
    token = serializers.IntegerField(min_value=0, max_value=2**31 - 1)


class TaskReviewSerializer(Serializer[Any]):
    label: Any = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    value = serializers.JSONField(required=False, allow_null=True, default=None)
    leave_out = serializers.BooleanField(default=False)
    comment = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")


class AskSerializer(Serializer[Any]):
    comment = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")


class TaskDecisionSerializer(ModelSerializer[Decision]):
    by: Any = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Decision
        fields = ["id", "what", "label", "value", "comment", "by", "at"]


class TransferSerializer(ModelSerializer[Transfer]):
    reason: Any = serializers.CharField(source="why", read_only=True)
    broken: Any = serializers.ListField(source="broken_rows", read_only=True)

    class Meta:
        model = Transfer
        fields = [
            "id",
            "direction",
            "format",
            "status",
            "rows",
            "merged",
            "unproposed",
            "broken",
            "reason",
            "started_at",
            "ended_at",
        ]


class BulkSerializer(ModelSerializer[Bulk]):
    reason: Any = serializers.CharField(source="why", read_only=True)
    dataset: Any = serializers.SlugRelatedField(
        source="project.dataset", slug_field="slug", read_only=True, help_text="the project's data set"
    )
    number: Any = serializers.IntegerField(
        source="version.number", read_only=True, default=None, help_text="the version that came of an export"
    )
    rows: Any = serializers.IntegerField(source="version.rows", read_only=True, default=None)

    class Meta:
        model = Bulk
        fields = [
            "id", "what", "asked", "status", "total", "done", "flagged", "dataset", "number", "rows", "reason",
            "started_at", "ended_at",
        ]  # fmt: skip


class AcceptSerializer(Serializer[Any]):
    """Which of the labels that all agreed on are accepted; without any, all of them."""

    label: Any = serializers.CharField(max_length=200, required=False, allow_blank=True)
    rule_kind = serializers.ChoiceField(choices=PullRule.Kind.choices, required=False, allow_blank=True)
    with_model = serializers.BooleanField(
        required=False, default=False, help_text="Only where the model said the same."
    )


class NewTransferSerializer(Serializer[Any]):
    format = serializers.ChoiceField(choices=sorted(FORMATS))
    file = serializers.FileField(required=False)
    keep_good = serializers.BooleanField(default=False)


class NotebookOfTasksSerializer(Serializer[Any]):
    """The tasks that the notebook loads, and the workspace that it is put into."""

    workspace = serializers.IntegerField(min_value=1)
    tasks = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**62), min_length=1, max_length=MOST_ROWS
    )


class RetrainingSerializer(ModelSerializer[Retraining]):
    reason = serializers.CharField(source="why", read_only=True)
    dataset_version = serializers.StringRelatedField[Any]()
    version = serializers.StringRelatedField[Any]()

    class Meta:
        model = Retraining
        fields = ["id", "status", "reason", "dataset_version", "version", "job", "run", "started_at"]


class RetrainingRuleSerializer(ModelSerializer[RetrainingRule]):
    """When a capability is trained anew; `project` is the number of the annotation project that measures it."""

    capability: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    project = serializers.IntegerField(source="project_id", min_value=1, max_value=2**62)
    least_quality = serializers.FloatField(default=0.9)
    days = serializers.IntegerField(default=14, min_value=1, max_value=365)
    least_labels = serializers.IntegerField(default=50, min_value=1, max_value=1_000_000)
    cool_down_h = serializers.IntegerField(default=24, min_value=1, max_value=8760)
    opens_release = serializers.BooleanField(default=True)
    active = serializers.BooleanField(default=True)
    written_by: Any = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = RetrainingRule
        fields = [
            "capability", "project", "least_quality", "days", "least_labels", "cool_down_h", "opens_release",
            "active", "written_by", "written_at",
        ]  # fmt: skip
        read_only_fields = ["written_at"]


class RetrainingDecisionSerializer(ModelSerializer[RetrainingDecision]):
    """What a rule decided; `code` says why in a word, `reason` in the reader's language, `figures` in numbers."""

    reason = serializers.CharField(source="why", read_only=True)
    figures = serializers.DictField(read_only=True)

    class Meta:
        model = RetrainingDecision
        fields = ["id", "what", "code", "reason", "figures", "retraining", "release", "at"]


class IntervalSerializer(Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class GateSerializer(Serializer[Any]):
    """Whether accuracy reaches the gate, by a test that may be looked at at any time; `to_go` labels decide it."""

    reached = serializers.BooleanField(allow_null=True)
    to_go = serializers.IntegerField(allow_null=True)
    low = serializers.FloatField()
    high = serializers.FloatField()
    n = serializers.IntegerField()
    waiting = serializers.IntegerField()


class GroupSerializer(Serializer[Any]):
    """Accuracy from labels of random controls, and complaints as a share of the calls of 30 days."""

    dimension = serializers.CharField()
    name = serializers.CharField()
    accuracy = IntervalSerializer(allow_null=True)
    calls = serializers.IntegerField(allow_null=True)
    complained = IntervalSerializer(allow_null=True)


class QualitySerializer(Serializer[Any]):
    """Agreement (Krippendorff's alpha) of the newest tasks, and accuracy in production from random controls.

    `near_audit` is how often almost equal inputs that were labelled by themselves got the label of their task.
    """

    agreement = IntervalSerializer()
    raw_agreement = serializers.FloatField(allow_null=True)
    accuracy = IntervalSerializer(allow_null=True)
    near_audit = IntervalSerializer(allow_null=True)
    decision = GateSerializer(allow_null=True)
    live = GroupSerializer(many=True)
    people = serializers.ListField(child=serializers.DictField())
    labels = serializers.ListField(child=serializers.DictField())
    pairs = serializers.ListField(child=serializers.DictField())


class ReceiptSerializer(Serializer[Any]):
    id = serializers.IntegerField()
    request_id = serializers.UUIDField()
    at = serializers.DateTimeField()
    correct = serializers.BooleanField(allow_null=True)
    state = serializers.ChoiceField(choices=STATES)
    steps = serializers.ListField(child=serializers.CharField())
    asking = serializers.BooleanField(help_text="The same input is on its way to the version in production.")
    may_ask = serializers.BooleanField(help_text="The version in production can be asked the same input now.")
