"""Suites say what is asked of a version, runs ask it, reports keep the answer for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence

if TYPE_CHECKING:
    from apps.datasets.models import DatasetVersion


class Suite(models.Model):
    """What a version of a capability is asked: on which rows, for which slices, with which gates.

    Immutable once a run has used it: a change is the next number. `gates` is a list as `gates.read_gates` takes.
    The rows of several data set versions are told apart by the slice `dataset`; `SuiteData` holds those after the
    first.
    """

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField(_("number"))
    name = models.CharField(_("name"), max_length=100)
    dataset_version = models.ForeignKey("datasets.DatasetVersion", on_delete=models.PROTECT, related_name="+")
    data_digest = models.CharField(
        max_length=64, blank=True, help_text="Of all its data set versions, where there are several."
    )
    target = models.CharField(_("column with the right answer"), max_length=100)
    slices = models.JSONField(_("columns to slice by"), default=list, blank=True)
    task = models.CharField(
        _("task"), max_length=20, blank=True, help_text="Empty: what the version's signature says."
    )
    groups = models.JSONField(_("columns whose groups must be served alike"), default=list, blank=True)
    scorer = models.TextField(_("scorer of your own"), blank=True)
    gates = models.JSONField(_("gates"), default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("evaluation suite")
        verbose_name_plural = _("evaluation suites")
        constraints = [models.UniqueConstraint(fields=["capability", "number"], name="suite_number_once")]

    def __str__(self) -> str:
        return f"{self.name} #{self.number}"

    @property
    def data(self) -> list[DatasetVersion]:
        """All data set versions whose rows it asks, in its order."""
        return [self.dataset_version, *(each.dataset_version for each in self.further_data.all())]


class SuiteData(models.Model):
    """One more data set version of a suite: its rows are asked beside those of the first, and told apart."""

    suite = models.ForeignKey(Suite, on_delete=models.PROTECT, related_name="further_data")
    dataset_version = models.ForeignKey("datasets.DatasetVersion", on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("further data of a suite")
        verbose_name_plural = _("further data of suites")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["suite", "dataset_version"], name="data_of_a_suite_once")
        ]

    def __str__(self) -> str:
        return str(self.dataset_version)


class Run(models.Model):
    """One evaluation of one version by one suite: test deployment, job, report."""

    class Status(models.TextChoices):
        DEPLOYING = "deploying", _("Deploying")
        MEASURING = "measuring", _("Measuring")
        REPORTED = "reported", _("Reported")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    suite = models.ForeignKey(Suite, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    version_digest = models.CharField(max_length=64)
    deployment = models.ForeignKey("instances.Deployment", on_delete=models.PROTECT, related_name="+")
    made_deployment = models.BooleanField(default=False, help_text="The deployment ends with the run.")
    production = models.ForeignKey(
        "instances.Deployment", null=True, on_delete=models.PROTECT, related_name="+"
    )
    job = models.ForeignKey("compute.Job", null=True, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DEPLOYING)
    reason = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")
    cpu_s_before = models.FloatField(null=True, help_text="Of the deployment, when the calls began.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    lifecycle = Lifecycle(
        deploying={"measuring", "failed", "cancelled"},
        measuring={"reported", "failed", "cancelled"},
        reported=set(),
        failed=set(),
        cancelled=set(),
    )

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        indexes = [models.Index(fields=["version", "-id"], name="run_of_version")]
        constraints = [
            models.UniqueConstraint(
                fields=["suite", "version"],
                condition=models.Q(status__in=["deploying", "measuring"]),
                name="run_one_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.version} · {self.suite}"

    @property
    def why(self) -> str:
        """Why it failed, in the reader's language."""
        return sentence(self.reason, self.told)


class Report(models.Model):
    """What a run found, for ever: `content` is a JSON object in the object store, named by its digest."""

    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="report")
    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64, db_index=True)
    verdict = models.CharField(max_length=10, choices=[(v, v) for v in ("passed", "failed", "undecided")])
    headline = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("evaluation report")
        verbose_name_plural = _("evaluation reports")
        indexes = [models.Index(fields=["version", "-id"], name="report_of_version")]


class Claim(models.Model):
    """A person says that an item of the ML Test Score holds for a capability, where the platform cannot prove it."""

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    item = models.CharField(max_length=30)
    text = models.TextField(_("how it is done"), max_length=2000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("claim")
        verbose_name_plural = _("claims")
        constraints = [
            models.UniqueConstraint(
                fields=["capability", "item"], condition=models.Q(withdrawn_at=None), name="claim_once"
            )
        ]
