"""Capabilities and their versions: the static side, which never knows where anything runs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle

SEMVER = (
    r"^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    r"(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?(\+[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?$"
)


class Capability(models.Model):
    """A model that has been described, so that others can find it; what can be called are its versions."""

    class Visibility(models.TextChoices):
        PRIVATE = "private", _("The team's developers")
        TEAM = "team", _("The team")
        ORGANISATION = "organisation", _("The whole organisation")

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        DEPRECATED = "deprecated", _("Deprecated")
        RETIRED = "retired", _("Retired")

    lifecycle = Lifecycle(
        draft={"published", "retired"},
        published={"draft", "deprecated"},
        deprecated={"published", "retired"},
        retired=set(),
    )

    slug = models.SlugField(_("short name"), max_length=63, unique=True)
    name = models.CharField(_("name"), max_length=100)
    summary = models.CharField(_("summary"), max_length=240, blank=True)
    card = models.TextField(_("card"), blank=True)
    domain = models.CharField(_("domain"), max_length=60, blank=True, db_index=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="capabilities", verbose_name=_("team")
    )
    visibility = models.CharField(
        _("visible to"), max_length=12, choices=Visibility.choices, default=Visibility.TEAM
    )
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    published_at = models.DateTimeField(null=True, editable=False)
    deprecated_at = models.DateTimeField(null=True, editable=False)
    deprecation_note = models.TextField(blank=True, editable=False)
    retires_on = models.DateField(_("will be retired on"), null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    text = SearchVectorField(null=True, editable=False)
    # Without the card's words: short enough to lie in the row, so that thousands of matches are ranked in milliseconds.
    headline = models.GeneratedField(
        expression=models.Func(
            "text", function="ts_filter", template="%(function)s(%(expressions)s, '{a,b,c}')"
        ),
        output_field=SearchVectorField(null=True),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("capability")
        verbose_name_plural = _("capabilities")
        indexes = [
            GinIndex(fields=["text"], name="capability_text"),
            GinIndex(fields=["headline"], name="capability_headline"),
            GinIndex(fields=["tags"], name="capability_tags"),
            models.Index(fields=["status", "visibility"], name="capability_listed"),
            models.Index(fields=["-published_at", "-id"], name="capability_newest"),
            models.Index(fields=["name", "id"], name="capability_by_name"),
            models.Index(Lower("name"), "id", name="capability_by_folded_name"),
            models.Index(
                fields=["id"],
                include=["team", "visibility", "status", "domain", "published_at"],
                condition=models.Q(status__in=["published", "deprecated"], published_at__isnull=False),
                name="capability_shown",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Version(models.Model):
    """One immutable build of a capability.

    `source_manifest` is what its author handed in, `manifest` the package, both {path: {"sha256", "size"}};
    `digest` is the one digest of the package. `report` keeps what packaging measured, `failure` why it ended.
    A deprecated version answers as before; its callers are told until when, and by which one it is succeeded.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("Uploaded")
        PACKAGING = "packaging", _("Packaging")
        PACKAGED = "packaged", _("Packaged")
        FAILED = "failed", _("Failed")
        RETIRED = "retired", _("Retired")

    lifecycle = Lifecycle(
        draft={"packaging", "retired"},
        packaging={"packaged", "failed"},
        packaged={"retired"},
        failed={"packaging", "retired"},
        retired=set(),
    )

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="versions")
    number = models.CharField(_("version"), max_length=64)
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    changelog = models.TextField(_("what is new"), blank=True)
    source_manifest = models.JSONField(default=dict)
    source_digest = models.CharField(max_length=64)
    manifest = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True, db_index=True)
    size = models.BigIntegerField(default=0)
    signature = models.JSONField(default=dict)
    cases_count = models.PositiveIntegerField(default=0)
    framework = models.CharField(max_length=40, blank=True)
    runtime = models.CharField(max_length=10, blank=True)
    environment = models.CharField(max_length=40, default="base")
    report = models.JSONField(default=dict)
    failure = models.JSONField(default=dict)
    dataset_version_urn = models.CharField(max_length=200, blank=True)
    code_digest = models.CharField(max_length=64, blank=True)
    training_job_urn = models.CharField(max_length=200, blank=True)
    job_id = models.BigIntegerField(null=True)
    parameters = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    packaged_at = models.DateTimeField(null=True)
    deprecated_at = models.DateTimeField(null=True, editable=False)
    deprecation_note = models.TextField(blank=True, editable=False)
    retires_on = models.DateField(_("will be retired on"), null=True, blank=True)
    successor = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        verbose_name = _("version")
        verbose_name_plural = _("versions")
        constraints = [
            models.UniqueConstraint(fields=["capability", "number"], name="version_number_once"),
            models.CheckConstraint(condition=models.Q(number__regex=SEMVER), name="version_is_semantic"),
            models.CheckConstraint(
                condition=~models.Q(status="packaged") | models.Q(digest__regex="^[0-9a-f]{64}$"),
                name="packaged_version_has_digest",
            ),
            models.CheckConstraint(
                condition=models.Q(deprecated_at__isnull=False)
                | models.Q(retires_on__isnull=True, successor__isnull=True, deprecation_note=""),
                name="version_goes_once_deprecated",
            ),
            models.CheckConstraint(
                condition=models.Q(successor__isnull=True) | ~models.Q(successor=models.F("id")),
                name="version_does_not_succeed_itself",
            ),
        ]
        indexes = [models.Index(fields=["status"], name="version_status")]

    def __str__(self) -> str:
        return f"{self.capability.slug} {self.number}"

    @property
    def heir(self) -> Version | None:
        """The version to call instead of a deprecated one, for as long as callers can be sent to it."""
        named = self.successor
        stands = named is not None and named.status == self.Status.PACKAGED and named.deprecated_at is None
        return named if stands else None


class EnvironmentLock(models.Model):
    """A lock that uv made of a model's packages: kept, so that the same packages are resolved once."""

    requirements_digest = models.CharField(max_length=64, unique=True)
    environment = models.CharField(max_length=40, db_index=True)
    lock_sha256 = models.CharField(max_length=64)
    packages = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.environment


class ParsingRules(models.Model):
    """A revision of a version's parsing rules. The package ships the first ones, under revision 0, and never
    changes; each later set is a row that stays, and counts for the calls that are digested after it.
    """

    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="parsing_rules")
    revision = models.PositiveIntegerField(_("revision"))
    rules = models.JSONField(_("rules"), default=dict)
    note = models.CharField(_("why"), max_length=240, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("parsing rules")
        verbose_name_plural = _("parsing rules")
        constraints = [
            models.UniqueConstraint(fields=["version", "revision"], name="parsing_revision_once"),
            models.CheckConstraint(condition=models.Q(revision__gte=1), name="parsing_revision_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.version} r{self.revision}"


class RuleFailure(models.Model):
    """How many logged calls a parsing rule of a revision could not be applied to; the first one, and why, is named."""

    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="rule_failures")
    revision = models.PositiveIntegerField(_("revision"))
    rule = models.CharField(_("rule"), max_length=60)
    calls = models.PositiveBigIntegerField(_("calls"))
    first_call = models.UUIDField(_("first call"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("last"))
    error = models.CharField(_("why"), max_length=300)

    class Meta:
        verbose_name = _("failure of a parsing rule")
        verbose_name_plural = _("failures of parsing rules")
        constraints = [
            models.UniqueConstraint(fields=["version", "revision", "rule"], name="rule_failure_once"),
        ]

    def __str__(self) -> str:
        return f"{self.version} r{self.revision} {self.rule}"
