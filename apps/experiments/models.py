"""Experiments: callers of a capability dealt to arms, and what their calls showed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle

MODEL = "model"
"""The layer whose arms are versions; arms of all others set parameters."""


class Experiment(models.Model):
    """A question about a capability, and the slice of a layer's callers that answers it.

    `begins` and `size` are percent of the layer. `effect` is the smallest difference worth knowing, in the unit of the
    measure (a part of 1 for typical latency); `metric` is the business metric as it was when the plan was written.
    `production` are the shares that the control had when it began, `evidence` and `looks` what the calls showed, see
    `analysis`.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        ENDED = "ended", _("Ended")

    class Measure(models.TextChoices):
        ERRORS = "errors", _("Errors")
        TYPICAL = "typical", _("Typical latency")
        LATENCY = "latency", _("Mean latency")
        QUALITY = "quality", _("Quality by feedback")
        BUSINESS = "business", _("Business metric")

    class Why(models.TextChoices):
        """Why the portal itself paused or ended it."""

        UNSIGNED = "unsigned", _("a version may not take production traffic any more")
        LIMITED = "limited", _("a finding leaves a version less of the traffic than its arm has")
        STOPPED = "stopped", _("the deployment of a version was stopped or failed")
        CHANGED = (
            "changed",
            _("production is divided otherwise than when it began, so the control is another one"),
        )

    lifecycle = Lifecycle(
        draft={"running"}, running={"paused", "ended"}, paused={"running", "ended"}, ended=set()
    )
    HOLDING = (Status.RUNNING, Status.PAUSED)

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=100)
    hypothesis = models.TextField(_("hypothesis"))
    layer = models.CharField(_("layer"), max_length=40, default=MODEL)
    begins = models.PositiveSmallIntegerField(_("from"), default=0)
    size = models.PositiveSmallIntegerField(_("share of the layer"))
    measure = models.CharField(_("measure"), max_length=8, choices=Measure.choices)
    metric = models.JSONField(null=True)
    effect = models.FloatField(_("smallest difference worth knowing"))
    salt = models.CharField(max_length=32)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    why = models.CharField(max_length=10, choices=Why.choices, blank=True)
    production = models.JSONField(null=True)
    evidence = models.JSONField(default=dict)
    looks = models.JSONField(default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(null=True)
    recounted_at = models.DateTimeField(null=True)
    measured_until = models.DateTimeField(null=True)
    pace = models.JSONField(default=dict, help_text="How many seconds counting took, see `counting`.")

    class Meta:
        verbose_name = _("experiment")
        verbose_name_plural = _("experiments")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(size__gte=1, begins__gte=0, begins__lte=100 - models.F("size")),
                name="experiment_within_its_layer",
            ),
            models.CheckConstraint(condition=models.Q(effect__gt=0), name="experiment_effect_above_zero"),
        ]
        indexes = [
            models.Index(fields=["capability", "-id"], name="experiment_of_capability"),
            models.Index(
                fields=["capability"],
                condition=models.Q(status__in=["running", "paused"]),
                name="experiment_holding",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def ends(self) -> int:
        """Where its slice of the layer ends, in percent."""
        return self.begins + self.size

    @property
    def moves(self) -> bool:
        """Whether its arms are versions."""
        return self.layer == MODEL

    @property
    def why_words(self) -> str:
        """Why the portal itself paused or ended it, in the reader's language; else empty."""
        return str(self.get_why_display()) if self.why else ""


class Arm(models.Model):
    """One way to answer. The first one is the control: it changes nothing.

    `share` is percent of the experiment's callers. `own_deployment` was brought up for it, and ends with it.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(_("name"), max_length=60)
    share = models.PositiveSmallIntegerField(_("share"))
    version = models.ForeignKey("catalog.Version", null=True, on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    deployment = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    own_deployment = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("arm")
        verbose_name_plural = _("arms")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "position"], name="arm_position_once"),
            models.CheckConstraint(
                condition=models.Q(share__gte=1, share__lte=99), name="arm_share_is_percent"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_control(self) -> bool:
        return self.position == 0

    @property
    def changes(self) -> dict[str, Any]:
        """What it changes of a call, in words of the API."""
        if self.version is not None:
            return {"version": self.version.number}
        return {"parameters": self.parameters} if self.parameters else {}


class UnitHour(models.Model):
    """What the calls of one caller in one arm showed in one hour; `unit` is a digest of the caller.

    Refused calls (4xx) do not count. `answered`, `ms` and `log_ms` are of the calls that were answered, `rated` those
    that feedback calls right or wrong. `metric_*` are filled once, when feedback had its time, and then stay.
    """

    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="+")
    unit = models.BigIntegerField()
    hour = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    ms = models.FloatField(default=0)
    log_ms = models.FloatField(default=0, help_text="The sum of the natural logarithms of milliseconds.")
    rated = models.PositiveIntegerField(default=0)
    correct = models.PositiveIntegerField(default=0)
    metric_n = models.PositiveIntegerField(default=0)
    metric_sum = models.FloatField(default=0)

    class Meta:
        verbose_name = _("hour of a caller")
        verbose_name_plural = _("hours of callers")
        constraints = [models.UniqueConstraint(fields=["arm", "unit", "hour"], name="unit_hour_once")]
