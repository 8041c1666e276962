"""REST shapes of jobs."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from apps.compute import job_data, labels
from apps.compute.models import AllowedHost, Attempt, EgressRecord, Job, Node
from apps.compute.placement import LONGEST_LABEL, MOST_LABELS
from apps.core.serializers import ModelSerializer, Serializer


class LabelsField(serializers.ListField):
    """Labels that the node has to have."""

    def __init__(self, **facts: Any) -> None:
        facts.setdefault("help_text", "Only a node that has all of these labels takes it.")
        child = serializers.CharField(max_length=LONGEST_LABEL)
        super().__init__(child=child, max_length=MOST_LABELS, **facts)


class JobDataField(serializers.ListField):
    """Data set versions by name that a job reads."""

    def __init__(self, **facts: Any) -> None:
        words = (
            "<data set>@<number or tag>, such as faults@3: read-only at /datasets/<data set>/<number>, where "
        )
        facts.setdefault("help_text", f"{words}atrium.dataset finds them.")
        facts.setdefault("required", False)
        super().__init__(child=serializers.CharField(max_length=150), max_length=job_data.MOST, **facts)


class AttemptSerializer(ModelSerializer[Attempt]):
    reason = serializers.CharField(source="reason_words", read_only=True)

    class Meta:
        model = Attempt
        fields = ["number", "started_at", "finished_at", "reason", "exit_code", "peak_memory_mb", "cpu_s"]


class JobSerializer(ModelSerializer[Job]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    reason = serializers.CharField(source="reason_words", read_only=True)

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "title",
            "team",
            "created_by",
            "subject",
            "status",
            "reason",
            "progress",
            "progress_message",
            "environment",
            "params",
            "resources",
            "labels",
            "node",
            "timeout_s",
            "priority",
            "attempt",
            "max_attempts",
            "result",
            "outputs",
            "memory_mb",
            "peak_memory_mb",
            "cpu_s",
            "needs_key",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


class NeedsSerializer(Serializer[Any]):
    """What the newest runs of one thing needed at most, and what to ask for next time (`memory_mb`, `cpu`)."""

    runs = serializers.IntegerField()
    peak_memory_mb = serializers.FloatField()
    cores = serializers.FloatField()
    seconds = serializers.FloatField()
    memory_mb = serializers.IntegerField()
    cpu = serializers.FloatField()


class GivenSerializer(Serializer[Any]):
    """A data set version that a job reads; `origin` where the job comes from it, not only has it beside."""

    name = serializers.CharField(help_text="<data set>/<number>")
    origin = serializers.BooleanField(source="source")


class UsageSerializer(Serializer[Any]):
    """What a job used: `samples` are [seconds since the start, MB, processor seconds until then].

    `reports` are {step, metric: value} each, as its code told with `atrium.report`.
    """

    reports = serializers.ListField(child=serializers.DictField(child=serializers.FloatField()))
    samples = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    needs = NeedsSerializer(allow_null=True)
    advice = serializers.CharField(allow_blank=True)


class ScriptSerializer(Serializer[dict[str, Any]]):
    """A Python script, or a notebook, to run as a job."""

    title = serializers.CharField(max_length=200)
    team = serializers.SlugField(help_text="Short name of the team.")
    script = serializers.CharField(
        max_length=1_000_000, trim_whitespace=False, required=False, allow_blank=True, default=""
    )
    notebook = serializers.CharField(
        max_length=8_000_000,
        trim_whitespace=False,
        required=False,
        allow_blank=True,
        default="",
        help_text="An .ipynb file's text instead of a script; its executed copy is kept.",
    )
    cell_timeout_s = serializers.FloatField(
        required=False,
        min_value=0,
        help_text="End a notebook's cell that gave no output and used no processor for so long; 0: never, "
        "left out: two hours.",
    )
    environment = serializers.CharField(max_length=60, default="base")
    inputs = serializers.DictField(
        child=serializers.RegexField(r"^[0-9a-f]{64}$"),
        default=dict,
        help_text="Path below /work/inputs to the SHA-256 of a stored file.",
    )
    params = serializers.DictField(default=dict, help_text="Found in /work/params.json.")
    datasets = JobDataField()
    labels = LabelsField(required=False, default=list)
    resources = serializers.DictField(default=dict, help_text="cpu, memory_mb, gpu, disk_mb, tmp_mb.")
    timeout_s = serializers.FloatField(min_value=0.1, default=3600)
    max_attempts = serializers.IntegerField(min_value=1, max_value=10, default=1)
    priority = serializers.IntegerField(min_value=1, max_value=9, default=5, help_text="1 is first.")


class NodeSerializer(ModelSerializer[Node]):
    """A machine that runs workloads: what it gives to them (`cpu`, `memory_mb`, `gpu`), and what it bears.

    `load` is how many processes want one of its `cores`, on average over one minute.
    """

    state = serializers.ChoiceField(["active", "drained", "silent"], read_only=True)
    labels = serializers.ListField(child=serializers.CharField(allow_blank=True, max_length=2000))
    drained_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Node
        fields = ["id", "name", "state", "labels", "cpu", "memory_mb", "gpu", "cores", "all_memory_mb"]
        fields += ["load", "used_memory_mb", "workloads", "seen_at", "drained_at", "drained_by"]
        read_only_fields = [name for name in fields if name != "labels"]


class SandboxSerializer(Serializer[Any]):
    """How code of people is fenced: what the level holds, and why none of the stronger ones works here."""

    level = serializers.CharField(source="name")
    strong = serializers.BooleanField(source="is_strong")
    holds = serializers.ListField(child=serializers.CharField())
    why_not = serializers.SerializerMethodField()

    def get_why_not(self, level: Any) -> dict[str, str]:
        return labels.why_not(level)


class AmountSerializer(Serializer[Any]):
    """Shares of processor cores, memory and graphics cards."""

    cpu = serializers.FloatField()
    memory_mb = serializers.FloatField()
    gpu = serializers.FloatField()


class WorkloadSerializer(Serializer[Any]):
    """A process tree that the engine knows; `job` is the job whose attempt it is, if any."""

    id = serializers.CharField(source="seen.id")
    purpose = serializers.CharField(allow_blank=True)
    job = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(source="seen.state")
    reason = serializers.CharField(allow_blank=True)
    memory_mb = serializers.FloatField(source="seen.memory_mb")
    peak_memory_mb = serializers.FloatField(source="seen.peak_memory_mb")
    cpu_s = serializers.FloatField(source="seen.cpu_s")
    disk_mb = serializers.FloatField(source="seen.disk_mb")
    restarts = serializers.IntegerField(source="seen.restarts")


class BuiltSerializer(Serializer[Any]):
    """A locked environment of workloads, and whether it is built on this machine."""

    name = serializers.CharField()
    digest = serializers.CharField()
    ready = serializers.BooleanField()


class MachineSerializer(Serializer[Any]):
    """The machine that answers: its fence, what it has given out (`used`) of what it may give, and what runs."""

    node = serializers.CharField()
    sandbox = SandboxSerializer()
    used = AmountSerializer()
    capacity = AmountSerializer()
    workloads = WorkloadSerializer(many=True)
    environments = BuiltSerializer(many=True)


class AllowedHostSerializer(ModelSerializer[AllowedHost]):
    """A host that sandboxes may reach."""

    added_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = AllowedHost
        fields = ["id", "pattern", "enabled", "source", "note", "added_by", "added_at"]
        read_only_fields = ["source"]
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "pattern": {"validators": []}
        }  # one that is there already is switched on


class HostChangeSerializer(Serializer[dict[str, Any]]):
    """Switching an entry on or off."""

    enabled = serializers.BooleanField()


class EgressSerializer(ModelSerializer[EgressRecord]):
    """What one workload asked of one host."""

    class Meta:
        model = EgressRecord
        fields = ["id", "workload_id", "purpose", "host", "port", "allowed"]
        fields += ["connections", "bytes_out", "bytes_in", "first_at", "last_at"]
        read_only_fields = fields
