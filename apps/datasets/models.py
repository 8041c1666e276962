"""Data sets and their immutable versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from guardian.models import UserObjectPermissionBase

VIEW_DATASET = "datasets.view_dataset"
"""The permission that a person outside the team is given for one data set."""


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


class DatasetReader(UserObjectPermissionBase):
    """A person outside the team who may read one data set: django-guardian's table for `VIEW_DATASET`."""

    content_object = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="readers")

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = _("reader of a data set")
        verbose_name_plural = _("readers of data sets")


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


class Tag(models.Model):
    """A name of a data set's own for one of its versions, such as "golden"; it can be moved to another one."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="tags")
    name = models.SlugField(_("tag"), max_length=40)
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="tags")
    moved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="dataset_tag_once")]

    def __str__(self) -> str:
        return self.name


class Split(models.Model):
    """Which part of a version is for training, which for validation, which for the test. It never changes.

    `parts` is [[name, number of items], …] in order; `by_value` is {value: {name: number}} for the most common values
    of the column that it goes by. `assignment` is the digest of the stored file that says it item by item
    (splitting.document).
    """

    class Unit(models.TextChoices):
        ROWS = "rows", _("rows")
        FILES = "files", _("files")

    class Method(models.TextChoices):
        RANDOM = "random", _("by chance")
        STRATIFIED = "stratified", _("in proportion")
        GROUPED = "grouped", _("groups kept together")
        FOLDERS = "folders", _("as the data says")

    version = models.OneToOneField(DatasetVersion, on_delete=models.CASCADE, related_name="split")
    unit = models.CharField(max_length=5, choices=Unit.choices)
    method = models.CharField(_("how"), max_length=10, choices=Method.choices)
    column = models.CharField(_("column"), max_length=200, blank=True)
    seed = models.PositiveBigIntegerField(_("seed"), default=0)
    parts = models.JSONField(default=list)
    by_value = models.JSONField(default=dict)
    assignment = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("split")
        verbose_name_plural = _("splits")

    def __str__(self) -> str:
        return " / ".join(f"{name} {count}" for name, count in self.parts)

    @property
    def counts(self) -> dict[str, int]:
        """{part: number of items} in order."""
        return dict(self.parts)


class Comparison(models.Model):
    """What changed from one version to another, worked out once, since neither ever changes; see `comparing`.

    `key` is the column by which rows are recognised, as it was asked for. Until `result` is there, a task works on it.
    """

    before = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="+")
    after = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200, blank=True)
    result = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("comparison of data set versions")
        verbose_name_plural = _("comparisons of data set versions")
        constraints = [
            models.UniqueConstraint(fields=["before", "after", "key"], name="dataset_comparison_once")
        ]
