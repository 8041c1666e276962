"""Requests: what somebody asks for, who has to agree, and what they said. Every request is a ticket."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Role, Team
from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence


class Request(models.Model):
    """Somebody asks for something that others must agree to. The steps say who; the kind says what then happens."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        GRANTED = "granted", _("Granted")
        REJECTED = "rejected", _("Rejected")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        EXPIRED = "expired", _("Expired")

    kind = models.CharField(max_length=60, db_index=True)
    subject_urn = models.CharField(max_length=200, db_index=True)
    title = models.CharField(_("title"), max_length=200)
    told = models.JSONField(default=dict, editable=False, help_text="What its title is made of.")
    searched = models.TextField(
        default="",
        db_default="",
        editable=False,
        help_text="Its title in each language, a line each; empty where only `title` is known.",
    )
    body = models.TextField(_("reason"), blank=True)
    url = models.CharField(max_length=500, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="requests")
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="requests")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    four_eyes = models.BooleanField(default=False)
    deputies = models.BooleanField(default=True, help_text="Whether who is away can be stood in for.")
    excluded_ids = ArrayField(models.BigIntegerField(), default=list)
    deadline = models.DateTimeField(_("deadline"), null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)

    lifecycle = Lifecycle(
        open={"granted", "rejected", "withdrawn", "expired"},
        granted=set(),
        rejected=set(),
        withdrawn=set(),
        expired=set(),
    )

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        indexes = [models.Index(fields=["status", "deadline"], name="request_open_deadline")]

    def __str__(self) -> str:
        return self.title_words

    @property
    def title_words(self) -> str:
        """What is asked for, in the reader's language."""
        return sentence(self.title, self.told)


class Step(models.Model):
    """So many people with this role (in this team, or in any) have to agree. Steps may be filled in any order."""

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    role = models.CharField(max_length=10, choices=Role.choices)
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    count = models.PositiveSmallIntegerField(default=1)
    filled = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["request", "position"], name="request_step_once")]
        indexes = [
            models.Index(fields=["role", "team"], condition=models.Q(filled=False), name="request_step_open"),
        ]


class Decision(models.Model):
    """One person's yes or no at one step."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="decisions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    instead_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    approve = models.BooleanField()
    comment = models.TextField(_("comment"), blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["step", "user"], name="request_decision_once")]


class Deputy(models.Model):
    """While a person is away somebody else decides in their place, at whatever the person could decide."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="deputies")
    deputy = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("deputy")
        verbose_name_plural = _("deputies")
        constraints = [
            models.CheckConstraint(condition=~models.Q(person=models.F("deputy")), name="deputy_is_another"),
            models.CheckConstraint(
                condition=models.Q(until__gte=models.F("since")), name="deputy_for_a_time"
            ),
        ]
        indexes = [models.Index(fields=["deputy", "until"], name="deputy_now")]


class Comment(models.Model):
    """What somebody said about a request."""

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="comments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(_("comment"))
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
        ordering = ["at"]


class Notification(models.Model):
    """A line in somebody's bell."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    url = models.CharField(max_length=500, blank=True)
    request = models.ForeignKey(Request, null=True, on_delete=models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=20, blank=True)
    at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [
            models.Index(fields=["user", "-id"], name="notification_list"),
            models.Index(fields=["user"], condition=models.Q(read_at=None), name="notification_unread"),
        ]


class MailChoice(models.Model):
    """When a person wants a letter for a kind of notification."""

    class When(models.TextChoices):
        NOW = "now", _("At once")
        DAILY = "daily", _("Once a day")
        NEVER = "never", _("Not by e-mail")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20)
    when = models.CharField(max_length=5, choices=When.choices)

    class Meta:
        verbose_name = _("choice of e-mail")
        verbose_name_plural = _("choices of e-mail")
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="mail_choice_once")]


class Webhook(models.Model):
    """An address that a team wants to be told at. The secret is kept encrypted: each message is signed with it."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="+", verbose_name=_("team"))
    url = models.URLField(_("address"), max_length=500)
    events = ArrayField(models.CharField(max_length=60), verbose_name=_("events"))
    secret = models.TextField(editable=False)
    active = models.BooleanField(default=True)
    why_off = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")


class Delivery(models.Model):
    """One message to one webhook, until it is taken or given up. `key` says what it is about, so it is made once."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Given up")

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=120)
    message_id = models.CharField(max_length=40, unique=True)
    event = models.CharField(max_length=60)
    payload = models.JSONField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    answer_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    told = models.JSONField(
        default=dict, db_default={}, editable=False, help_text="What its error is made of."
    )
    took_ms = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [models.UniqueConstraint(fields=["webhook", "key"], name="delivery_once")]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(status="pending"), name="delivery_due"
            ),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        ]

    @property
    def why(self) -> str:
        """Why nothing came back, in the reader's language."""
        return sentence(self.error, self.told)
