"""Jobs with their attempts, what long-running workloads take of the machine, and the machines themselves."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence


class Job(models.Model):
    """A command that runs once in the sandbox, to an end. This row is the truth; workloads are its attempts."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        STARTING = "starting", _("Starting")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class Network(models.TextChoices):
        NONE = "none", _("None")
        FORWARDER = "forwarder", _("The portal only")
        HOST = "host", _("The machine's")

    lifecycle = Lifecycle(
        queued={"starting", "failed", "cancelled"},
        starting={"running", "queued", "succeeded", "failed", "cancelled"},
        running={"queued", "succeeded", "failed", "cancelled"},
        succeeded=set(),
        failed={"queued"},
        cancelled={"queued"},
    )
    ACTIVE = ("starting", "running")
    ENDED = ("succeeded", "failed", "cancelled")

    kind = models.CharField(_("kind"), max_length=40)
    title = models.CharField(_("title"), max_length=200)
    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    subject = models.CharField(max_length=200, blank=True, help_text=_("The URN of what the job is about."))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.QUEUED)
    reason = models.TextField(_("reason"), blank=True)

    argv = models.JSONField(default=list)
    environment = models.CharField(_("environment"), max_length=60, default="base")
    inputs = models.JSONField(default=dict, help_text="Path below /work/inputs to SHA-256.")
    files = models.JSONField(default=dict, help_text="Path below /work to SHA-256.")
    params = models.JSONField(_("parameters"), default=dict)
    mounts = models.JSONField(default=list, help_text="[source, target, readonly] each.")
    variables = models.TextField(blank=True, help_text="Environment variables, encrypted.")
    resources = models.JSONField(_("resources"), default=dict)
    needs_key = models.CharField(
        max_length=200,
        blank=True,
        help_text="What is run again and again: its runs' measured needs go together.",
    )
    labels = models.JSONField(_("labels"), default=list, help_text="What its node has to have.")
    network = models.CharField(max_length=10, choices=Network.choices, default=Network.NONE)
    priority = models.PositiveSmallIntegerField(_("priority"), default=5)
    timeout_s = models.FloatField(_("time limit"), default=3600)
    max_attempts = models.PositiveSmallIntegerField(default=1)

    attempt = models.PositiveSmallIntegerField(default=0, help_text="Number of the newest attempt.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Attempts that the code itself ended.")
    losses = models.PositiveSmallIntegerField(default=0, help_text="Attempts that the machine ended.")
    workload_id = models.CharField(max_length=40, blank=True)
    node = models.CharField(
        _("node"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("The name of the node that runs the newest attempt."),
    )
    checkpoints = models.JSONField(default=dict, help_text="Path below /work/checkpoints to SHA-256.")
    progress = models.FloatField(_("progress"), null=True)
    progress_message = models.CharField(max_length=300, blank=True)
    reports = models.JSONField(default=list, help_text="What it reported: {step, metric: value, …} each.")
    result = models.JSONField(_("result"), null=True)
    outputs = models.JSONField(_("outputs"), default=dict)
    memory_mb = models.FloatField(default=0)
    peak_memory_mb = models.FloatField(default=0)
    cpu_s = models.FloatField(default=0)
    cancel_requested_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes = [
            models.Index(
                fields=["priority", "queued_at", "id"], condition=Q(status="queued"), name="job_queue"
            ),
            models.Index(fields=["id"], condition=Q(status__in=["starting", "running"]), name="job_active"),
            models.Index(fields=["team", "-id"], name="job_by_team"),
            models.Index(fields=["subject", "-id"], name="job_by_subject"),
            models.Index(
                fields=["needs_key", "-id"], condition=~Q(needs_key=""), name="job_by_what_it_needs"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "starting", "running", "succeeded", "failed", "cancelled"]),
                name="job_status_known",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def shown_result(self) -> Any:
        """The result without what only serves to say its sentences in another language."""
        if not isinstance(self.result, dict):
            return self.result
        return {name: value for name, value in self.result.items() if name != "told"} or None

    @property
    def reason_words(self) -> str:
        """The reason in the active language, where the job left a pattern of it. A list annotates `told` itself."""
        told = self.told if hasattr(self, "told") else self._told
        return sentence(self.reason, told or {})

    @property
    def what_to_do(self) -> str:
        """What a failed job itself advises, where it left that in its result, in the active language."""
        advice = failure_in(self.result).get("advice", "") if self.status == self.Status.FAILED else ""
        return sentence(advice, self._told)

    @property
    def _told(self) -> dict[str, Any]:
        told = self.result.get("told") if isinstance(self.result, dict) else None
        return told if isinstance(told, dict) else {}

    @property
    def running_s(self) -> float:
        """Seconds since its newest attempt began; until its end, once that has come."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def limit_minutes(self) -> float:
        """How long an attempt may take."""
        return self.timeout_s / 60

    @property
    def ended(self) -> bool:
        """Whether the job has come to an end."""
        return self.status in self.ENDED


def failure_in(result: Any) -> dict[str, str]:
    """What a job's result says of its failure: {"failure": {"message", "advice"}}; empty where it says nothing."""
    told = result.get("failure") if isinstance(result, dict) else None
    return {str(name): str(text) for name, text in told.items()} if isinstance(told, dict) else {}


class Attempt(models.Model):
    """One workload of a job. Made in the transaction that admits it, so that no attempt starts twice."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    workload_id = models.CharField(max_length=40, unique=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    told = models.JSONField(default=dict, help_text="The pattern and the values that the reason is made of.")
    exit_code = models.IntegerField(null=True)
    peak_memory_mb = models.FloatField(default=0)
    cpu_s = models.FloatField(default=0)
    usage = models.JSONField(default=list, help_text="[seconds since the start, MB, processor seconds] each.")
    log = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the log, once it ended.")

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="attempt_once")]

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether it ended by that; the sandbox's words, which are kept in English, say so."""
        return self.reason.startswith("out of memory")

    @property
    def reason_words(self) -> str:
        """Why it ended, in the active language."""
        return sentence(self.reason, {self.reason: self.told})


class LogPart(models.Model):
    """Output of a running attempt, for other nodes, which cannot read the log of its engine. Gone with its end."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="log_parts")
    start = models.BigIntegerField(help_text="The offset of its first byte.")
    end = models.BigIntegerField(help_text="The offset to go on from.")
    data = models.BinaryField()

    class Meta:
        verbose_name = _("part of a log")
        verbose_name_plural = _("parts of logs")
        constraints = [models.UniqueConstraint(fields=["attempt", "end"], name="log_part_once")]


class Reservation(models.Model):
    """What a workload that no job stands for (a replica, a workspace) takes of the machine."""

    workload_id = models.CharField(max_length=40, primary_key=True)
    purpose = models.CharField(max_length=200, blank=True)
    cpu = models.FloatField()
    memory_mb = models.PositiveIntegerField()
    gpu = models.FloatField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")


class Node(models.Model):
    """A machine whose engine runs workloads. It writes its own row every few seconds, all but labels and drain."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    labels = models.JSONField(_("labels"), default=list, help_text="A list of words.")
    cpu = models.FloatField(
        help_text="Processor cores that it gives to workloads; each real one several times."
    )
    memory_mb = models.FloatField(help_text="Memory that it gives to workloads.")
    gpu = models.FloatField(default=0)
    cores = models.PositiveIntegerField(help_text="Real ones.")
    all_memory_mb = models.FloatField(help_text="The machine's.")
    load = models.FloatField(help_text="Processes that want a core, on average over one minute.")
    used_memory_mb = models.FloatField(help_text="By everything on the machine.")
    workloads = models.PositiveIntegerField(help_text="How many run.")
    seen_at = models.DateTimeField(help_text="The newest heartbeat, by the database's clock.")
    drained_at = models.DateTimeField(null=True, help_text="Since when it takes nothing new.")
    drained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")

    def __str__(self) -> str:
        return self.name

    @property
    def load_share(self) -> float:
        """How much of its cores is wanted; above 1 where more is."""
        return self.load / max(self.cores, 1)

    @property
    def memory_share(self) -> float:
        """How much of its memory is used."""
        return self.used_memory_mb / max(self.all_memory_mb, 1)


class AllowedHost(models.Model):
    """A host of the network that sandboxes with the portal's forwarder may reach; see `egress.Rule` for the pattern.

    Those that the machine's own package clients use are found at the start. Such a one is switched off rather
    than removed, so that it does not come back.
    """

    class Source(models.TextChoices):
        MACHINE = "machine", _("This machine's package clients")
        ADMINISTRATOR = "administrator", _("An administrator")

    pattern = models.CharField(
        _("host"), max_length=262, unique=True, help_text=_("host, host:port or *.domain")
    )
    enabled = models.BooleanField(default=True)
    source = models.CharField(max_length=20, choices=Source.choices, default=Source.ADMINISTRATOR)
    note = models.CharField(_("what for"), max_length=200, blank=True)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("allowed host")
        verbose_name_plural = _("allowed hosts")

    def __str__(self) -> str:
        return self.pattern


class EgressRecord(models.Model):
    """How often one workload asked for one host of the network, whether it was let through, and how much flowed."""

    workload_id = models.CharField(max_length=40)
    purpose = models.CharField(max_length=200, blank=True)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    allowed = models.BooleanField()
    connections = models.PositiveIntegerField(default=0)
    bytes_out = models.BigIntegerField(default=0)
    bytes_in = models.BigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        verbose_name = _("network use")
        verbose_name_plural = _("network use")
        indexes = [models.Index(fields=["-last_at", "-id"], name="egress_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["workload_id", "host", "port", "allowed"], name="egress_once_per_host"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workload_id} → {self.host}:{self.port}"
