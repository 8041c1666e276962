"""Rows that every app shares: the audit chain, the event outbox, lineage, idempotency."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """One thing that somebody did. Appended in the transaction that did it, sealed into the chain soon after.

    `position` and `digest` are empty until sealed; the digest covers the previous digest and this row's facts.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    action = models.CharField(max_length=100, db_index=True)
    urn = models.CharField(max_length=200, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor_name = models.CharField(max_length=150, blank=True)
    facts = models.JSONField(default=dict)
    position = models.BigIntegerField(null=True, unique=True, editable=False)
    digest = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [models.Index(fields=["id"], condition=models.Q(position=None), name="audit_unsealed")]


class AuditAnchor(models.Model):
    """The end of the sealed chain (one row, id 1), marked with the instance's secret key: it shows an end cut off."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    position = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    mark = models.CharField(max_length=100)

    class Meta:
        verbose_name = _("audit anchor")
        verbose_name_plural = _("audit anchors")


class Event(models.Model):
    """The outbox: an event stands here from the transaction that caused it until its handlers have run."""

    name = models.CharField(max_length=100)
    key = models.CharField(max_length=64)
    facts = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(auto_now_add=True, db_index=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")


class LineageEdge(models.Model):
    """`source` went into `target`: a data set version into a training job, the job into a version, and so on."""

    source = models.CharField(max_length=200)
    target = models.CharField(max_length=200, db_index=True)
    kind = models.CharField(max_length=40)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("lineage edge")
        verbose_name_plural = _("lineage edges")
        constraints = [models.UniqueConstraint(fields=["source", "target", "kind"], name="lineage_edge_once")]


class IdempotentRequest(models.Model):
    """The answer that was given to a POST with an `Idempotency-Key`, to be given again to its repetition."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("idempotent request")
        verbose_name_plural = _("idempotent requests")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]


class Heartbeat(models.Model):
    """When a part of the portal was last alive, by its own word."""

    part = models.CharField(max_length=60, primary_key=True)
    at = models.DateTimeField()
    facts = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")


class Mail(models.Model):
    """A letter to one address, until it is sent or given up; its text is encrypted, and empty after that."""

    key = models.CharField(max_length=120, blank=True)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField(editable=False)
    html = models.TextField(editable=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        constraints = [models.UniqueConstraint(fields=["key"], condition=~models.Q(key=""), name="mail_once")]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(next_attempt_at__isnull=False),
                name="mail_due",
            )
        ]
