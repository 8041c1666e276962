"""Policies say who signs and how a release goes on; releases carry one version from its report to production."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle


class Policy(models.Model):
    """How versions of a team's capabilities are signed and released. Immutable once used: a change is the next number.

    `signers` is [{"role", "count"}] in the team; `stages` is [{"weight", "worse_by", "slow_ms"?, "memory_mb"?}]:
    the candidate's share in percent, and the rise of bad answers (a probability) that a stage must be able to notice;
    an answer that took longer than `slow_ms` is a bad one too; a replica above `memory_mb` fails the stage.
    """

    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", verbose_name=_("team")
    )
    capability = models.ForeignKey(
        "catalog.Capability", null=True, on_delete=models.PROTECT, related_name="+"
    )
    number = models.PositiveIntegerField(_("number"))
    signers = models.JSONField(default=list)
    four_eyes = models.BooleanField(_("each signature by another person"), default=True)
    stages = models.JSONField(default=list)
    shadow_calls = models.PositiveIntegerField(
        _("mirrored calls before the first stage"), default=0, help_text="0: no shadow stage."
    )
    deadline_days = models.PositiveSmallIntegerField(_("days to sign"), default=14)
    promote_by_gate = models.BooleanField(
        _("go to the next stage without a person when the evidence is a success"), default=False
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("release policy")
        verbose_name_plural = _("release policies")
        constraints = [
            models.UniqueConstraint(
                fields=["team", "capability", "number"], name="policy_number_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.team} #{self.number}"


class Release(models.Model):
    """One version on its way to production, on the evidence of one report, under one policy.

    `content_digest` covers artifact, environment, code, data, suite, report and policy: what was signed.
    """

    class Status(models.TextChoices):
        SIGNING = "signing", _("Waiting for signatures")
        SIGNED = "signed", _("Signed")
        ROLLING = "rolling", _("In gray release")
        PAUSED = "paused", _("Paused")
        RELEASED = "released", _("Released")
        REJECTED = "rejected", _("Rejected")
        VOIDED = "voided", _("Signature void")
        ROLLED_BACK = "rolled_back", _("Rolled back")
        SUPERSEDED = "superseded", _("Superseded")

    lifecycle = Lifecycle(
        signing={"signed", "rejected", "voided"},
        signed={"rolling", "voided", "superseded"},
        rolling={"paused", "released", "rolled_back", "voided"},
        paused={"rolling", "rolled_back", "voided"},
        released={"superseded", "rolled_back", "voided"},
        superseded={"released"},
        rejected=set(),
        voided=set(),
        rolled_back=set(),
    )

    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    report = models.ForeignKey("evaluation.Report", on_delete=models.PROTECT, related_name="+")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="releases")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.SIGNING)
    content_digest = models.CharField(max_length=64)
    request = models.ForeignKey("requests.Request", null=True, on_delete=models.PROTECT, related_name="+")
    baseline = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    deployment = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    cases = models.JSONField(null=True, help_text="What the shipped cases said on the served endpoint.")
    reason = models.TextField(blank=True)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        indexes = [models.Index(fields=["capability", "-id"], name="release_of_capability")]
        constraints = [
            models.UniqueConstraint(
                fields=["capability"],
                condition=models.Q(status__in=["rolling", "paused"]),
                name="release_one_in_gray",
            ),
            models.UniqueConstraint(
                fields=["version", "content_digest"],
                condition=models.Q(status__in=["signing", "signed", "rolling", "paused", "released"]),
                name="release_once_for_content",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version}"


class Signature(models.Model):
    """One person's signature on exactly one content."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="signatures")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=10)
    content_digest = models.CharField(max_length=64)
    comment = models.TextField(blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("signature")
        verbose_name_plural = _("signatures")
        constraints = [models.UniqueConstraint(fields=["release", "user"], name="signature_once")]


class Stage(models.Model):
    """One step of a gray release: a share of the traffic and what its calls showed. A share of 0: the shadow stage."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        ACTIVE = "active", _("Active")
        PASSED = "passed", _("Passed")
        FAILED = "failed", _("Failed")
        SKIPPED = "skipped", _("Not reached")

    lifecycle = Lifecycle(
        pending={"active", "skipped"},
        active={"passed", "failed", "skipped"},
        passed=set(),
        failed=set(),
        skipped=set(),
    )

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="stages")
    position = models.PositiveSmallIntegerField()
    weight = models.PositiveSmallIntegerField(_("share"))
    worse_by = models.FloatField()
    slow_ms = models.FloatField(null=True)
    memory_mb = models.FloatField(null=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    outcome = models.CharField(max_length=10, blank=True)
    evidence = models.JSONField(default=dict)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("stage")
        verbose_name_plural = _("stages")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["release", "position"], name="stage_position_once")]


class Finding(models.Model):
    """Something that a signer saw: the release gets at most `most_percent` of the traffic until it is closed."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="findings")
    text = models.TextField()
    most_percent = models.PositiveSmallIntegerField(_("most of the traffic, %"), default=0)
    raised_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    raised_at = models.DateTimeField(auto_now_add=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    closed_at = models.DateTimeField(null=True)
    resolution = models.TextField(blank=True)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [
            models.CheckConstraint(condition=models.Q(most_percent__lte=99), name="finding_limits_the_share")
        ]


class Bypass(models.Model):
    """An emergency: two people let an unsigned version answer, for hours. It rolls back by itself unless signed."""

    class Status(models.TextChoices):
        ASKED = "asked", _("Waiting for a second person")
        ACTIVE = "active", _("In force")
        ENDED = "ended", _("Rolled back")
        SIGNED = "signed", _("Signed afterwards")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    lifecycle = Lifecycle(
        asked={"active", "withdrawn"},
        active={"ended", "signed"},
        ended=set(),
        signed=set(),
        withdrawn=set(),
    )

    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    version_digest = models.CharField(max_length=64)
    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    hours = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ASKED)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    agreed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    expires_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    deployment = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    baseline = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name = _("emergency bypass")
        verbose_name_plural = _("emergency bypasses")
        constraints = [
            models.UniqueConstraint(
                fields=["capability"],
                condition=models.Q(status__in=["asked", "active"]),
                name="bypass_one_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.version}"
