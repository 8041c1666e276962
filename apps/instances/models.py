"""Where versions run: deployments, their replicas, and how production traffic is divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence

if TYPE_CHECKING:
    from apps.accounts.models import Team


class Deployment(models.Model):
    """People write what they want (`desired`, `replicas`, `generation`); the reconciler writes what is (`status`).

    A replica of an older generation is replaced by one of the present: that is how a restart is asked for.
    """

    class Kind(models.TextChoices):
        TEST = "test", _("Test")
        PRODUCTION = "production", _("Production")

    class Desired(models.TextChoices):
        RUNNING = "running", _("Running")
        STOPPED = "stopped", _("Stopped")

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        STARTING = "starting", _("Starting")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")
        STOPPING = "stopping", _("Stopping")
        STOPPED = "stopped", _("Stopped")

    lifecycle = Lifecycle(
        pending={"starting", "ready", "failed", "stopping"},
        starting={"ready", "failed", "stopping"},
        ready={"starting", "failed", "stopping"},
        failed={"starting", "ready", "stopping"},
        stopping={"stopped"},
        stopped={"pending"},
    )

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    site = models.ForeignKey(
        "accounts.Site",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("site"),
    )
    host = models.ForeignKey(
        "accounts.Team",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("run by"),
        help_text=_("A team that runs it at its own site, for itself; empty: the capability's team."),
    )
    replicas = models.PositiveSmallIntegerField(_("replicas"), default=1)
    resources = models.JSONField(default=dict)
    labels = models.JSONField(
        _("labels"), default=list, help_text="What the nodes of its replicas have to have."
    )
    generation = models.PositiveIntegerField(default=1, editable=False)
    desired = models.CharField(
        max_length=10, choices=Desired.choices, default=Desired.RUNNING, editable=False
    )
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING, editable=False
    )
    status_reason = models.TextField(blank=True, editable=False)
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        constraints = [
            models.CheckConstraint(condition=models.Q(replicas__gte=1), name="deployment_has_replicas"),
        ]
        indexes = [
            models.Index(fields=["capability", "kind"], name="deployment_of_capability"),
            models.Index(fields=["id"], condition=~models.Q(status="stopped"), name="deployment_alive"),
        ]

    def __str__(self) -> str:
        return f"{self.version} #{self.pk}"

    @property
    def why(self) -> str:
        """Why it stands where it does, in the reader's language."""
        return sentence(self.status_reason, self.told)

    @property
    def run_by(self) -> Team:
        """The team whose operators look after it."""
        return self.host or self.capability.team


class Replica(models.Model):
    """One runner process of a deployment, as it was last observed. The row ends with the workload."""

    class Status(models.TextChoices):
        STARTING = "starting", _("Starting")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")
        STOPPING = "stopping", _("Stopping")

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="replica_set")
    generation = models.PositiveIntegerField()
    workload_id = models.CharField(max_length=40, unique=True)
    socket = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STARTING)
    reason = models.TextField(blank=True)
    failure = models.TextField(blank=True)
    """What the last failure was; it stays when the replica answers again."""
    failure_at = models.DateTimeField(null=True)
    told = models.JSONField(default=dict, help_text="What its reason and its failure are made of.")
    restarts = models.PositiveIntegerField(default=0)
    replaced = models.PositiveIntegerField(default=0)
    failed_checks = models.PositiveIntegerField(default=0)
    pid = models.PositiveIntegerField(null=True)
    memory_mb = models.FloatField(default=0)
    cpu_s = models.FloatField(default=0)
    cpu_share = models.FloatField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    observed_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    stopping_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("replica")
        verbose_name_plural = _("replicas")

    @property
    def why(self) -> str:
        """What is to be said of it now, in the reader's language."""
        return sentence(self.reason, self.told)

    @property
    def last_failure(self) -> str:
        """What the last failure was, in the reader's language."""
        return sentence(self.failure, self.told)


class TrafficWeight(models.Model):
    """The share, in percent, of a capability's production calls that goes to one deployment.

    `at_sites` names the sites where callers have another share: {site's short name: percent}.
    `salt` decides with the caller's name who lands where, and stays while the weights change.
    """

    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    deployment = models.OneToOneField(Deployment, on_delete=models.CASCADE, related_name="traffic")
    weight = models.PositiveSmallIntegerField(_("share"))
    at_sites = models.JSONField(_("shares at single sites"), default=dict, blank=True)
    salt = models.CharField(max_length=32)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("traffic share")
        verbose_name_plural = _("traffic shares")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(weight__gte=0, weight__lte=100), name="traffic_weight_is_percent"
            ),
        ]


class Shadow(models.Model):
    """The deployment that gets a copy of a capability's production calls; its answers are logged, never returned."""

    capability = models.OneToOneField("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    deployment = models.OneToOneField(Deployment, on_delete=models.CASCADE, related_name="shadow")
    percent = models.PositiveSmallIntegerField(_("share"), default=100)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("shadow")
        verbose_name_plural = _("shadows")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(percent__gte=1, percent__lte=100), name="shadow_share_is_percent"
            ),
        ]


class Pin(models.Model):
    """The production calls of one caller go to one deployment until a moment, whatever the shares say.

    `caller` is the pool of the caller's keys, such as `subscription:7`.
    """

    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="pins")
    caller = models.CharField(max_length=100)
    until = models.DateTimeField()
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("pinned caller")
        verbose_name_plural = _("pinned callers")
        constraints = [
            models.UniqueConstraint(fields=["capability", "caller"], name="pin_once_for_caller"),
        ]
