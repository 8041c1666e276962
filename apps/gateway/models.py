"""Who may call what (grants), what was called (calls, usage), and what came of it (outcomes)."""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle

QUOTA_EXCEEDED = "quota-exceeded"
STEPS = "steps"
"""Under this name a call's `logged` has the steps of a composite capability: `[{"name", "ms", "outputs"}, …]`."""

SEALED_VALUES = "sealed_values"
"""Under this name a call's `logged` has what the model's code logged, encrypted or dropped as a whole."""


class Grant(models.Model):
    """A key. Only its SHA-256 is kept. Keys of one `pool` share their limits.

    `scope` is `production`, or `deployment:<id>` for a key that reaches one deployment, whatever the routes say.
    """

    class Kind(models.TextChoices):
        SUBSCRIPTION = "subscription", _("Subscription")
        TRIAL = "trial", _("Trial")
        TEST = "test", _("Test")
        EVALUATION = "evaluation", _("Evaluation")

    class Status(models.TextChoices):
        ACTIVE = "active", _("Active")
        SUSPENDED = "suspended", _("Suspended")
        REVOKED = "revoked", _("Revoked")

    PRODUCTION = "production"
    lifecycle = Lifecycle(active={"suspended", "revoked"}, suspended={"active", "revoked"}, revoked=set())

    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=16, editable=False)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    pool = models.CharField(max_length=100)
    limits = models.JSONField(default=dict)
    scope = models.CharField(max_length=40, default=PRODUCTION)
    addresses = models.JSONField(_("addresses"), default=list, blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.ACTIVE, editable=False
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    label = models.CharField(_("label"), max_length=100, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("key")
        verbose_name_plural = _("keys")
        indexes = [
            models.Index(fields=["pool"], name="grant_pool"),
            models.Index(fields=["id"], condition=~models.Q(status="revoked"), name="grant_alive"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class Call(models.Model):
    """One inference call as the data plane logged it; partitioned by day, so the key in the database is
    (request_id, at). Bodies are what went over the wire, as JSON, or NULL when they were above the limit: then
    `sizes` has their digests, see `payloads`. Sensitive fields are encrypted in them, see `sealed`.

    `parsed` and `score` are what the version's parsing rules made of the bodies; `logged` is what the model's own
    code attached to the call. `arms` are those of the experiments that the call was in, `unit` the digest of whom
    they were dealt to; both are NULL outside of experiments.
    """

    request_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()
    grant_id = models.BigIntegerField(null=True)
    capability_id = models.BigIntegerField(null=True)
    deployment_id = models.BigIntegerField(null=True)
    version = models.CharField(max_length=64)
    subject = models.CharField(max_length=100)
    status = models.PositiveSmallIntegerField()
    error_kind = models.CharField(max_length=40)
    latency_ms = models.FloatField()
    stage_weight = models.FloatField()
    shadow = models.BooleanField()
    request = models.BinaryField(null=True)
    response = models.BinaryField(null=True)
    sizes = models.JSONField(null=True)
    digested = models.BooleanField()
    parsed = models.JSONField(null=True)
    score = models.FloatField(null=True)
    logged = models.JSONField(null=True)
    unit = models.BigIntegerField(null=True)
    arms = ArrayField(models.BigIntegerField(), null=True)

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        db_table = "gateway_call"

    @property
    def request_document(self) -> Any:
        """What was asked, as JSON; None when it was refused before, or too large to keep."""
        return _document(self.request)

    @property
    def response_document(self) -> Any:
        """What was answered, as JSON."""
        return _document(self.response)


def _document(body: bytes | memoryview | None) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return bytes(body or b"").decode("utf-8", "replace")


class DataKey(models.Model):
    """A key pair to which a capability's sensitive fields are encrypted for a day. The gateway has the public half."""

    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    public = models.CharField(max_length=44)
    private = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("data key")
        verbose_name_plural = _("data keys")


class Retention(models.Model):
    """For how many days a capability's calls are kept; without a row it is `retention.DAYS`."""

    capability = models.OneToOneField("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    days = models.PositiveIntegerField(_("days"))
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retentions")
        constraints = [
            models.CheckConstraint(condition=models.Q(days__gte=1, days__lte=3650), name="retention_in_days"),
        ]


class Overload(models.Model):
    """A time in which a deployment had to turn calls away; a minute without one ends it."""

    deployment = models.ForeignKey("instances.Deployment", on_delete=models.CASCADE, related_name="+")
    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    refused = models.PositiveBigIntegerField(_("calls refused"))

    class Meta:
        verbose_name = _("overload")
        verbose_name_plural = _("overloads")
        indexes = [models.Index(fields=["capability", "-last_at"], name="overload_of_capability")]


class CallExport(models.Model):
    """Logged calls on their way into a data set, as its next version.

    `asked` narrows the calls as the list's filters do (`asked.FILTERS`), with moments (from, until) in place of a span,
    and `where`, a JMESPath condition. `looked_at` calls were read so far, and `found` of them match.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Under way")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    lifecycle = Lifecycle(waiting={"done", "failed", "cancelled"}, done=set(), failed=set(), cancelled=set())

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="+")
    asked = models.JSONField(default=dict)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.WAITING, editable=False
    )
    looked_at = models.PositiveIntegerField(_("calls looked at"), default=0)
    found = models.PositiveIntegerField(_("calls found"), default=0)
    version = models.ForeignKey(
        "datasets.DatasetVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("export of calls")
        verbose_name_plural = _("exports of calls")
        indexes = [
            models.Index(fields=["id"], condition=models.Q(status="waiting"), name="call_export_waiting"),
            models.Index(fields=["capability", "-id"], name="call_export_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.capability_id} → {self.dataset_id} #{self.pk}"


class Segment(models.Model):
    """How far a file of the data plane's log has been read: the identity of a row is (name, offset)."""

    name = models.CharField(max_length=100, primary_key=True)
    position = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    done_at = models.DateTimeField(null=True)


class LateMinute(models.Model):
    """A minute of a capability's calls of which some came into the log, or were digested, only much later (`late`)."""

    capability_id = models.BigIntegerField()
    minute = models.DateTimeField()
    noted_at = models.DateTimeField()

    class Meta:
        verbose_name = _("minute with late calls")
        verbose_name_plural = _("minutes with late calls")
        constraints = [
            models.UniqueConstraint(fields=["capability_id", "minute"], name="late_minute_once"),
        ]
        indexes = [models.Index(fields=["capability_id", "noted_at"], name="late_minute_noted")]


class Usage(models.Model):
    """Calls of one key at one deployment in one hour with one outcome (empty: answered, else the error's kind).

    `grant_id` 0 is a shadow's calls. `histogram` counts latencies by `apps.gateway.histogram`.
    """

    grant_id = models.BigIntegerField()
    capability_id = models.BigIntegerField()
    deployment_id = models.BigIntegerField()
    version = models.CharField(max_length=64)
    hour = models.DateTimeField()
    outcome = models.CharField(max_length=40)
    count = models.BigIntegerField()
    ms = models.FloatField()
    histogram = ArrayField(models.BigIntegerField())

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        constraints = [
            models.UniqueConstraint(
                fields=["grant_id", "hour", "capability_id", "deployment_id", "outcome"], name="usage_once"
            ),
        ]
        indexes = [
            models.Index(fields=["capability_id", "hour"], name="usage_of_capability"),
            models.Index(
                fields=["hour"], condition=models.Q(outcome=QUOTA_EXCEEDED), name="usage_over_quota"
            ),
        ]


class UsageOfCapability(models.Model):
    """All keys' calls of a capability at one deployment in one hour with one outcome: the same numbers as `Usage`."""

    capability_id = models.BigIntegerField()
    deployment_id = models.BigIntegerField()
    version = models.CharField(max_length=64)
    hour = models.DateTimeField()
    outcome = models.CharField(max_length=40)
    count = models.BigIntegerField()
    histogram = ArrayField(models.BigIntegerField())

    class Meta:
        verbose_name = _("usage of a capability")
        verbose_name_plural = _("usage of capabilities")
        constraints = [
            models.UniqueConstraint(
                fields=["capability_id", "hour", "deployment_id", "outcome"], name="capability_usage_once"
            ),
        ]


class UsageOfKey(models.Model):
    """A key's calls of one version on one day (UTC): how many, how many without an answer, the last such hour."""

    capability_id = models.BigIntegerField()
    day = models.DateTimeField()
    grant_id = models.BigIntegerField()
    version = models.CharField(max_length=64)
    count = models.BigIntegerField()
    failed = models.BigIntegerField()
    last = models.DateTimeField()

    class Meta:
        verbose_name = _("usage of a key")
        verbose_name_plural = _("usage of keys")
        constraints = [
            models.UniqueConstraint(
                fields=["capability_id", "day", "grant_id", "version"], name="key_usage_once"
            ),
        ]


class Outcome(models.Model):
    """What became known of an answer after it was given: feedback of the caller, or an accepted label."""

    class Kind(models.TextChoices):
        FEEDBACK = "feedback", _("Feedback")
        LABEL = "label", _("Label")

    request_id = models.UUIDField(db_index=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    correct = models.BooleanField(_("correct"), null=True)
    expected = models.JSONField(_("expected"), null=True)
    comment = models.TextField(_("comment"), blank=True)
    grant = models.ForeignKey(Grant, null=True, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_index=True)
    arrived_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)

    class Meta:
        verbose_name = _("outcome")
        verbose_name_plural = _("outcomes")


class UncountedFeedback(models.Model):
    """What somebody said with a key about a call, and why it does not count (`feedback`).

    `next_at` is when a word whose call is not in the log yet is looked at again.
    """

    class Why(models.TextChoices):
        WAITING = "waiting", _("Its call is not in the log yet")
        FOREIGN = "foreign", _("The call is another caller's")
        REPLACED = "replaced", _("The caller said something else later")
        UNKNOWN = "unknown", _("There is no such call")

    request_id = models.UUIDField(db_index=True)
    correct = models.BooleanField(_("correct"), null=True)
    expected = models.JSONField(_("expected"), null=True)
    comment = models.TextField(_("comment"), blank=True)
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    why = models.CharField(_("why"), max_length=8, choices=Why.choices)
    received_at = models.DateTimeField(auto_now_add=True, db_index=True)
    next_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("feedback that does not count")
        verbose_name_plural = _("feedback that does not count")
        indexes = [
            models.Index(
                fields=["next_at"], condition=models.Q(next_at__isnull=False), name="feedback_waiting"
            ),
        ]
