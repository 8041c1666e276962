"""What the store offers, who took it, what they say of it, and what the store computes of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence
from apps.store.limits import Limits, parse_limits
from apps.store.succession import Difference, asks_more, differences, is_stricter
from atrium.package import DEFAULT_TOLERANCE


class Plan(models.Model):
    """An offer for one capability: limits, and who has to agree. Immutable once published."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    class Approval(models.TextChoices):
        AUTO = "auto", _("At once")
        ONE = "one", _("One approval")
        FOUR_EYES = "four_eyes", _("Four eyes")

    lifecycle = Lifecycle(draft={"published", "withdrawn"}, published={"withdrawn"}, withdrawn=set())

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="plans")
    name = models.SlugField(_("name"), max_length=40)
    description = models.CharField(_("description"), max_length=300, blank=True)
    limits = models.JSONField(_("limits"), default=dict)
    approval = models.CharField(_("approval"), max_length=10, choices=Approval.choices, default=Approval.AUTO)
    trial = models.BooleanField(
        _("trial"),
        default=False,
        help_text=_("The limits of “Try it”, for each person; nobody subscribes to it."),
    )
    valid_days = models.PositiveIntegerField(
        _("days until it has to be renewed"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3660)],
        help_text=_("Empty: a subscription has no end."),
    )
    reuse = models.BooleanField(
        _("may run at the subscriber's site"),
        default=False,
        help_text=_(
            "A subscriber of another site may run the same bytes there; its keys are answered there."
        ),
    )
    device = models.BooleanField(
        _("may run on a device"),
        default=False,
        help_text=_(
            "A subscriber may download the model with a page that runs it, where there is no portal."
        ),
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["capability", "name"], condition=~Q(status="withdrawn"), name="plan_name_once"
            ),
            models.UniqueConstraint(
                fields=["capability"], condition=Q(trial=True, status="published"), name="plan_one_trial"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def allowed(self) -> Limits:
        """The limits, typed."""
        return parse_limits(self.limits)


class Succession(models.Model):
    """Which plan takes the place of a withdrawn one, and on which day its subscribers are moved there, if on any."""

    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="succession")
    successor = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    moves_on = models.DateField(null=True)
    named_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    named_at = models.DateTimeField()

    class Meta:
        verbose_name = _("succession of a plan")
        verbose_name_plural = _("successions of plans")

    @property
    def stands(self) -> bool:
        """Whether the successor is still on offer."""
        return self.successor.status == Plan.Status.PUBLISHED

    @property
    def differences(self) -> list[Difference]:
        """What changes for a subscriber, in the reader's language."""
        return differences(self.plan, self.successor)

    @property
    def stricter(self) -> bool:
        """Whether a subscriber gets less of anything."""
        return is_stricter(self.plan, self.successor)

    @property
    def asks_more(self) -> bool:
        """Whether a subscriber has to ask for it."""
        return asks_more(self.plan, self.successor)


class Subscription(models.Model):
    """A team uses a capability under a plan. Its keys are grants of the gateway that share one quota."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting for approval")
        GRANTED = "granted", _("Granted")
        REJECTED = "rejected", _("Rejected")
        SUSPENDED = "suspended", _("Suspended")
        EXPIRED = "expired", _("Expired")
        CANCELLED = "cancelled", _("Cancelled")

    OPEN = (Status.PENDING, Status.GRANTED, Status.SUSPENDED)
    HELD = (Status.GRANTED, Status.SUSPENDED)

    lifecycle = Lifecycle(
        pending={"granted", "rejected", "cancelled"},
        granted={"suspended", "expired", "cancelled"},
        suspended={"granted", "expired", "cancelled"},
        rejected=set(),
        expired=set(),
        cancelled=set(),
    )

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", verbose_name=_("team")
    )
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    use_case = models.TextField(_("use case"), max_length=2000, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING, editable=False)
    status_reason = models.CharField(max_length=500, blank=True)
    ticket = models.ForeignKey(
        "requests.Request", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    granted_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "team"],
                condition=Q(status__in=["pending", "granted", "suspended"]),
                name="subscription_open_once",
            )
        ]
        indexes = [models.Index(fields=["team", "-id"], name="subscription_of_team")]

    @property
    def pool(self) -> str:
        """The quota that all keys of this subscription share."""
        return f"subscription:{self.pk}"


class SubscriptionKey(models.Model):
    """One key of a subscription: the gateway's grant, and whom it was made for."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="keys")
    grant = models.OneToOneField("gateway.Grant", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    once = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001  unknown is not the empty word
    replaced_by = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces"
    )

    class Meta:
        verbose_name = _("key")
        verbose_name_plural = _("keys")
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["subscription", "once"], name="key_once")]


class Standing(models.Model):
    """What the store sorts, filters and badges a capability by: always computed, never typed in.

    `calls` and `availability` are of the last 30 days; `badges` and `data_types` are words of `apps.store.standing`.
    """

    capability = models.OneToOneField(
        "catalog.Capability", primary_key=True, on_delete=models.CASCADE, related_name="standing"
    )
    rating = models.FloatField(default=0)
    reviews = models.PositiveIntegerField(default=0)
    subscribers = models.PositiveIntegerField(default=0)
    calls = models.BigIntegerField(default=0)
    availability = models.FloatField(null=True)
    framework = models.CharField(max_length=40, blank=True)
    licence = models.CharField(max_length=60, blank=True)
    data_types = ArrayField(models.CharField(max_length=20), default=list)
    badges = ArrayField(models.CharField(max_length=20), default=list)
    made_at = models.DateTimeField(null=True)
    computed_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("standing")
        verbose_name_plural = _("standings")


class Review(models.Model):
    """What one subscriber says of a capability, and what its team answers."""

    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="reviews")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    rating = models.PositiveSmallIntegerField(
        _("rating"), validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    text = models.TextField(_("what you want to tell others"), max_length=4000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True)
    answer = models.TextField(_("answer"), max_length=4000, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints = [
            models.UniqueConstraint(fields=["capability", "user"], name="review_once"),
            models.CheckConstraint(condition=Q(rating__gte=1, rating__lte=5), name="review_rating_1_to_5"),
        ]


class Follow(models.Model):
    """A person wants to hear of a capability, or of everything that a team offers."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    capability = models.ForeignKey(
        "catalog.Capability", null=True, on_delete=models.CASCADE, related_name="follows"
    )
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("follow")
        verbose_name_plural = _("follows")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "capability", "team"], name="follow_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(capability=None, team__isnull=False) | Q(capability__isnull=False, team=None),
                name="follow_one_thing",
            ),
        ]


class Notice(models.Model):
    """That something was told already, so that an event that is delivered twice tells it once."""

    key = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")


class Batch(models.Model):
    """A file of rows that a person asked a capability about: a job under the person's own trial quota."""

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    version = models.CharField(max_length=64)
    file_name = models.CharField(max_length=200)
    size = models.BigIntegerField()
    job = models.OneToOneField("compute.Job", on_delete=models.PROTECT, related_name="+")
    grant = models.OneToOneField("gateway.Grant", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    stopped_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        indexes = [models.Index(fields=["user", "-id"], name="batch_of_person")]


class TrustedTeam(models.Model):
    """A team that subscribes to a capability without asking, whatever approval the plans want."""

    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="+")
    team = models.ForeignKey("accounts.Team", on_delete=models.CASCADE, related_name="+")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("trusted team")
        verbose_name_plural = _("trusted teams")
        constraints = [models.UniqueConstraint(fields=["capability", "team"], name="trusted_once")]


class Change(models.Model):
    """A wish for a living subscription: another plan, or the same one for longer (renewal). One at a time."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="changes")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    ticket = models.ForeignKey("requests.Request", null=True, on_delete=models.PROTECT, related_name="+")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    done = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("change of a subscription")
        verbose_name_plural = _("changes of subscriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(ended_at=None), name="change_one_at_a_time"
            )
        ]


class Demand(models.Model):
    """A capability that somebody wants and that nobody offers yet."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        TAKEN = "taken", _("Taken")
        ANSWERED = "answered", _("Answered")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    lifecycle = Lifecycle(
        open={"taken", "answered", "withdrawn"},
        taken={"open", "answered", "withdrawn"},
        answered=set(),
        withdrawn=set(),
    )

    title = models.CharField(_("what is wanted"), max_length=120)
    need = models.TextField(_("what for, on which data, how good"), max_length=4000)
    posted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN, editable=False)
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.PROTECT, related_name="+")
    capability = models.ForeignKey(
        "catalog.Capability", null=True, on_delete=models.PROTECT, related_name="+"
    )
    version = models.ForeignKey("catalog.Version", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("demand")
        verbose_name_plural = _("demands")
        indexes = [models.Index(fields=["status", "-id"], name="demand_by_status")]


class DemandNeed(models.Model):
    """Somebody else has the same need, and says which."""

    demand = models.ForeignKey(Demand, on_delete=models.CASCADE, related_name="needs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(_("your need"), max_length=2000, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("need")
        verbose_name_plural = _("needs")
        constraints = [models.UniqueConstraint(fields=["demand", "user"], name="need_once")]


class SiteCopy(models.Model):
    """A subscribing team runs a capability of another site at its own: the same digest, for its own keys alone.

    `deployment` answers, or is to answer; `successor` is the newer version that takes over once it is ready.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting for approval")
        STARTING = "starting", _("Starting")
        RUNNING = "running", _("Running")
        ENDED = "ended", _("Ended")

    OPEN = (Status.WAITING, Status.STARTING, Status.RUNNING)

    lifecycle = Lifecycle(
        waiting={"starting", "ended"}, starting={"running", "ended"}, running={"ended"}, ended=set()
    )

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="copies")
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    deployment = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    successor = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING, editable=False)
    reason = models.CharField(max_length=500, blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("copy at a site")
        verbose_name_plural = _("copies at sites")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(status__in=["waiting", "starting", "running"]),
                name="copy_open_once",
            )
        ]


class SavedCase(models.Model):
    """An input that the team asks its test deployments again and again, with the answer that it expects."""

    capability = models.ForeignKey("catalog.Capability", on_delete=models.CASCADE, related_name="saved_cases")
    name = models.CharField(_("name"), max_length=100)
    inputs = models.JSONField(help_text="The tensors of the question, as the protocol has them.")
    expected = models.JSONField(
        default=list, help_text="The tensors that are checked; none is only a question."
    )
    tolerance = models.FloatField(_("tolerance"), default=DEFAULT_TOLERANCE)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("saved case")
        verbose_name_plural = _("saved cases")
        constraints = [models.UniqueConstraint(fields=["capability", "name"], name="saved_case_named_once")]

    def __str__(self) -> str:
        return self.name

    def to_json(self) -> dict[str, Any]:
        """As cases.json has it."""
        return {
            "name": self.name,
            "inputs": self.inputs,
            "expected": self.expected,
            "tolerance": self.tolerance,
        }


class CaseResult(models.Model):
    """How a case went when a test deployment was last asked it; `key` names the case as `cases.cases_to_run` does.

    `difference` is the largest absolute one over its outputs; empty where values are no numbers or none came.
    """

    class Status(models.TextChoices):
        PASSED = "passed", _("Passed")
        FAILED = "failed", _("Failed")
        ANSWERED = "answered", _("Answered")
        SKIPPED = "skipped", _("Not asked")

    deployment = models.ForeignKey("instances.Deployment", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=32)
    saved = models.ForeignKey(SavedCase, null=True, on_delete=models.CASCADE, related_name="+")
    status = models.CharField(_("status"), max_length=8, choices=Status.choices)
    message = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What `message` is made of.")
    difference = models.FloatField(null=True)
    took_ms = models.FloatField(default=0)
    request_id = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("result of a case")
        verbose_name_plural = _("results of cases")
        constraints = [models.UniqueConstraint(fields=["deployment", "key"], name="case_result_once")]

    @property
    def why(self) -> str:
        """Why it did not pass, in the reader's language."""
        return sentence(self.message, self.told)
