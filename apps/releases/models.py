"""Policies say who signs and how a release goes on; releases carry one version from its report to production."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence
from apps.releases import reasons

if TYPE_CHECKING:
    from apps.catalog.models import Version


class Policy(models.Model):
    """How versions of a team's capabilities are signed and released. Immutable once used: a change is the next number.

    `signers` is [{"role", "count"}] in the team. `stages` is [{"weight", "worse_by", "site"?, "slow_ms"?, "budget"?,
    "memory_mb"?, "server_cpu"?, "costlier_by"?, "metric"?}]: the candidate's share in percent, of the calls from one
    site's teams when there is a `site`, and the rise of bad answers (a probability) that the stage must be able to
    notice. An answer that took longer than `slow_ms` is a bad one too; where that is not said and `budget` is, longer
    than the gates of suite and policy allow. A replica above `memory_mb` fails the stage, and so does one that would
    keep more than `server_cpu` cores busy if all the traffic came, or whose rows cost more processor time than what
    runs beside it by the fraction `costlier_by`. `gates` are asked of the report beside those of its suite, in the
    same form. Without a capability it is the default of the team's capabilities that have none of theirs.
    """

    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", verbose_name=_("team")
    )
    capability = models.ForeignKey(
        "catalog.Capability", null=True, on_delete=models.PROTECT, related_name="+"
    )
    number = models.PositiveIntegerField(_("number"))
    signers = models.JSONField(default=list)
    gates = models.JSONField(_("gates"), default=list)
    four_eyes = models.BooleanField(_("each signature by another person"), default=True)
    stages = models.JSONField(default=list)
    shadow_calls = models.PositiveIntegerField(
        _("mirrored calls before the first stage"), default=0, help_text="0: no shadow stage."
    )
    deputies = models.BooleanField(_("who is away can be stood in for"), default=True)
    deadline_days = models.PositiveSmallIntegerField(_("days to sign"), default=14)
    stage_days = models.PositiveSmallIntegerField(
        _("days after which an undecided stage pauses the release"), default=14
    )
    replay_calls = models.PositiveIntegerField(
        _("logged calls of each subscriber that the candidate answers before 100 %"),
        default=0,
        help_text="0: subscribers are not asked.",
    )
    metric = models.JSONField(
        null=True, help_text="A business metric over calls and feedback, see `business.Metric`."
    )
    consent_hours = models.PositiveSmallIntegerField(_("hours for subscribers to object"), default=72)
    pin_days = models.PositiveSmallIntegerField(_("days that who objects keeps the old version"), default=30)
    replays_stand_in = models.BooleanField(
        _("replayed calls may stand in for calls that stay away because subscribers object"), default=False
    )
    promote_by_gate = models.BooleanField(
        _("go to the next stage without a person when the evidence is a success"), default=False
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    withdrawn_at = models.DateTimeField(
        null=True, help_text="From then on the capability follows its team's."
    )

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
        signed={"rolling", "voided"},
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
    why = models.JSONField(default=dict, blank=True)
    held = models.JSONField(
        default=dict, blank=True, help_text="{cause: since when}: what keeps it from going on, by its code."
    )
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

    @property
    def held_since(self) -> datetime | None:
        """Since when something keeps it from going on."""
        return min(map(datetime.fromisoformat, self.held.values()), default=None)

    @property
    def reason_words(self) -> str:
        """Why it stands where it does: what a person wrote, or a sentence in the reader's language."""
        return reasons.words(self.why, self.reason)


class Signature(models.Model):
    """One person's signature on exactly one content."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="signatures")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    instead_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
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
    server_cpu = models.FloatField(null=True)
    costlier_by = models.FloatField(null=True)
    site = models.CharField(max_length=50, blank=True)
    load = models.JSONField(default=dict, help_text="What servers were busy with, see `load`.")
    metric = models.JSONField(null=True)
    counted_at = models.DateTimeField(null=True)
    recounted_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    outcome = models.CharField(max_length=10, blank=True)
    evidence = models.JSONField(default=dict)
    started_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("stage")
        verbose_name_plural = _("stages")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["release", "position"], name="stage_position_once")]

    @property
    def reason_words(self) -> str:
        """Why it stands where it does, in the reader's language; empty before it was judged."""
        return reasons.words(self.evidence.get("why"), self.evidence.get("reason", ""))


class StageMinute(models.Model):
    """What the calls of one minute of a stage at one deployment showed: the log is counted once, not every time.

    `bad` are server errors, slow answers, and mirrored calls that the candidate alone refused; what callers complained
    of is counted on its own, since it comes later. `metric_*` are the number, sum and sum of squares of the business
    metric, scaled to 0..1; they are filled once, when feedback had its time, and then stay. `cpu_s` is what the
    replicas used in it, and `rows` the mean rows of a call, 0 where that is not known; both only at a stage that asks
    for them.
    """

    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="minutes")
    deployment_id = models.BigIntegerField()
    minute = models.DateTimeField()
    calls = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()
    slow = models.PositiveIntegerField()
    bad = models.PositiveIntegerField()
    histogram = ArrayField(models.PositiveIntegerField())
    metric_n = models.PositiveIntegerField(null=True)
    metric_sum = models.FloatField(default=0)
    metric_squares = models.FloatField(default=0)
    cpu_s = models.FloatField(default=0)
    rows = models.FloatField(null=True)

    class Meta:
        verbose_name = _("minute of a stage")
        verbose_name_plural = _("minutes of a stage")
        constraints = [
            models.UniqueConstraint(fields=["stage", "deployment_id", "minute"], name="stage_minute_once")
        ]


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

    @property
    def expired(self) -> bool:
        """Whether its hours ended it, rather than a person or its version."""
        return bool(self.ended_at and self.expires_at and self.ended_at >= self.expires_at)


class Conclusion(models.Model):
    """A stage whose calls stay away since subscribers object, concluded by two people on what replayed calls showed.

    `evidence` is what was known when it was asked for, and again when the second person agreed.
    """

    class Status(models.TextChoices):
        ASKED = "asked", _("Waiting for a second person")
        AGREED = "agreed", _("Agreed")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    lifecycle = Lifecycle(asked={"agreed", "withdrawn"}, agreed=set(), withdrawn=set())

    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="conclusions")
    reason = models.TextField()
    evidence = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ASKED)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("conclusion of a stage")
        verbose_name_plural = _("conclusions of stages")
        constraints = [
            models.UniqueConstraint(
                fields=["stage"], condition=models.Q(status="asked"), name="conclusion_one_asked"
            )
        ]


class Replay(models.Model):
    """One subscriber's last calls, asked again of a candidate, and what the subscriber says of the differences."""

    class Status(models.TextChoices):
        RUNNING = "running", _("Being replayed")
        ASKED = "asked", _("Waiting for the subscriber")
        CONSENTED = "consented", _("Consents")
        OBJECTED = "objected", _("Objects")
        LAPSED = "lapsed", _("Said nothing in time")
        SKIPPED = "skipped", _("No calls to replay")
        ENDED = "ended", _("The release ended")

    OPEN = (Status.RUNNING, Status.ASKED)
    lifecycle = Lifecycle(
        running={"asked", "skipped", "ended"},
        asked={"consented", "objected", "lapsed", "ended"},
        consented={"objected", "ended"},
        objected={"consented", "ended"},
        lapsed={"consented", "objected", "ended"},
        skipped={"ended"},
        ended=set(),
    )

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="replays")
    subscription = models.ForeignKey("store.Subscription", on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    collected = models.BooleanField(default=False)
    waits_for = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What `waits_for` is made of.")
    claimed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deadline = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    comment = models.TextField(_("comment"), blank=True)
    kept = models.ForeignKey(
        "instances.Deployment",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What an objection keeps, or kept.",
    )
    asked_anew_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_anew_at = models.DateTimeField(null=True)
    asked_anew_for = models.TextField(blank=True, help_text="What the provider says to an objection.")

    class Meta:
        verbose_name = _("replay")
        verbose_name_plural = _("replays")
        constraints = [
            models.UniqueConstraint(fields=["release", "subscription"], name="replay_once_for_subscriber")
        ]
        indexes = [
            models.Index(fields=["release"], condition=models.Q(status="running"), name="replay_running"),
            models.Index(fields=["deadline"], condition=models.Q(status="asked"), name="replay_due"),
        ]

    @property
    def kept_until(self) -> datetime | None:
        """Until when the old version answers a subscriber who objects."""
        days = timedelta(days=self.release.policy.pin_days)
        return self.answered_at + days if self.answered_at and self.status == self.Status.OBJECTED else None

    @property
    def why(self) -> str:
        """What it waits for, in the reader's language."""
        return sentence(self.waits_for, self.told)


class ReplayedCall(models.Model):
    """A logged call, and what became of it on the candidate. The bodies stay in the call log, under its rules.

    `largest` is the largest difference between two numbers of the answers; `answer_id` is the candidate's call.
    """

    class Outcome(models.TextChoices):
        PENDING = "pending", _("Pending")
        SAME = "same", _("Same answer")
        MOVED = "moved", _("Numbers moved")
        DIFFERENT = "different", _("Another answer")
        FAILED = "failed", _("No answer")
        SKIPPED = "skipped", _("Not replayed")

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="calls")
    request_id = models.UUIDField()
    at = models.DateTimeField()
    version = models.CharField(max_length=64)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.PENDING)
    largest = models.FloatField(null=True)
    answer_id = models.UUIDField(null=True)
    message = models.CharField(max_length=300, blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What `message` is made of.")

    class Meta:
        verbose_name = _("replayed call")
        verbose_name_plural = _("replayed calls")
        constraints = [models.UniqueConstraint(fields=["replay", "request_id"], name="replayed_once")]
        indexes = [models.Index(fields=["replay", "outcome", "id"], name="replayed_by_outcome")]

    @property
    def why(self) -> str:
        """Why it has no answer, in the reader's language."""
        return sentence(self.message, self.told)


class Rerun(models.Model):
    """One logged call, asked again of the version that answered it, or of another one of the capability.

    `outcome` is of `differences.Compared`.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Under way")
        ANSWERED = "answered", _("Answered")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(waiting={"answered", "failed"}, answered=set(), failed=set())

    request_id = models.UUIDField()
    at = models.DateTimeField()
    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    answered_by = models.ForeignKey(
        "catalog.Version",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The version that answered then, where another one is asked; null: `version` itself.",
    )
    deployment = models.ForeignKey("instances.Deployment", on_delete=models.PROTECT, related_name="+")
    own_deployment = models.BooleanField(help_text="Brought up for this, and ended with it.")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    claimed_until = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, blank=True)
    largest = models.FloatField(null=True)
    answer_id = models.UUIDField(null=True)
    message = models.CharField(max_length=300, blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What `message` is made of.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("call run again")
        verbose_name_plural = _("calls run again")
        indexes = [
            models.Index(fields=["id"], condition=models.Q(status="waiting"), name="rerun_waiting"),
            models.Index(fields=["request_id"], name="rerun_of_call"),
        ]

    @property
    def then(self) -> Version:
        """The version that answered the logged call."""
        return self.answered_by or self.version

    @property
    def why(self) -> str:
        """Why it failed, in the reader's language."""
        return sentence(self.message, self.told)
