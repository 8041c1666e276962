"""Data sets and their immutable versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Dataset(models.Model):
    """A named collection of data that a team owns. Its content stands in versions."""

    class Visibility(models.TextChoices):
        TEAM = "team", _("Team")
        ORGANISATION = "organisation", _("Organisation")

    slug = models.SlugField(_("short name"), max_length=63, unique=True)
    name = models.CharField(_("name"), max_length=100)
    description = models.TextField(_("description"), blank=True)
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="datasets", verbose_name=_("team")
    )
    visibility = models.CharField(
        _("visible to"), max_length=12, choices=Visibility.choices, default=Visibility.TEAM
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("data set")
        verbose_name_plural = _("data sets")

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """One immutable state of a data set: its files by digest, and what was read from them.

    `manifest` is {path: {"sha256", "size"}}; `digest` covers it; `schema` is
    {"columns": [{"name", "type", "file"}]} of the tabular files; `statistics` is keyed like the columns.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    manifest = models.JSONField(default=dict)
    digest = models.CharField(max_length=64)
    size = models.BigIntegerField(default=0)
    schema = models.JSONField(default=dict)
    rows = models.BigIntegerField(_("rows"), null=True)
    statistics = models.JSONField(default=dict)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    note = models.TextField(_("note"), blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("data set version")
        verbose_name_plural = _("data set versions")
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number_once"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="dataset_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.slug} v{self.number}"
