"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together

KEPT = ("name", "slug", "domain", "summary", "tags", "headline")
"""Never moved out of the row as long as it fits a page; the card and its words lie beside the table."""


class Migration(migrations.Migration):
    replaces = [
        ("catalog", "0001_capabilities_and_versions"),
        ("catalog", "0002_own_environments"),
        ("catalog", "0003_newest_first"),
        ("catalog", "0004_signatures_are_searched"),
        ("catalog", "0005_parsing_rules"),
        ("catalog", "0006_found_by_name_and_what_is_shown"),
        ("catalog", "0007_words_of_the_headline"),
        ("catalog", "0008_lists_read_short_rows"),
        ("catalog", "0009_failures_of_rules"),
        ("catalog", "0010_deprecation_of_versions"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="EnvironmentLock",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("requirements_digest", models.CharField(max_length=64, unique=True)),
                        ("environment", models.CharField(db_index=True, max_length=40)),
                        ("lock_sha256", models.CharField(max_length=64)),
                        ("packages", models.PositiveIntegerField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="Capability",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("slug", models.SlugField(max_length=63, unique=True, verbose_name="short name")),
                        ("name", models.CharField(max_length=100, verbose_name="name")),
                        ("summary", models.CharField(blank=True, max_length=240, verbose_name="summary")),
                        ("card", models.TextField(blank=True, verbose_name="card")),
                        (
                            "domain",
                            models.CharField(blank=True, db_index=True, max_length=60, verbose_name="domain"),
                        ),
                        ("tags", models.JSONField(blank=True, default=list, verbose_name="tags")),
                        (
                            "visibility",
                            models.CharField(
                                choices=[
                                    ("private", "The team's developers"),
                                    ("team", "The team"),
                                    ("organisation", "The whole organisation"),
                                ],
                                default="team",
                                max_length=12,
                                verbose_name="visible to",
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("draft", "Draft"),
                                    ("published", "Published"),
                                    ("deprecated", "Deprecated"),
                                    ("retired", "Retired"),
                                ],
                                default="draft",
                                editable=False,
                                max_length=12,
                                verbose_name="status",
                            ),
                        ),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("deprecated_at", models.DateTimeField(editable=False, null=True)),
                        ("deprecation_note", models.TextField(blank=True, editable=False)),
                        (
                            "retires_on",
                            models.DateField(blank=True, null=True, verbose_name="will be retired on"),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("changed_at", models.DateTimeField(auto_now=True)),
                        ("text", django.contrib.postgres.search.SearchVectorField(editable=False, null=True)),
                        (
                            "headline",
                            models.GeneratedField(
                                db_persist=True,
                                expression=models.Func(
                                    "text",
                                    function="ts_filter",
                                    template="%(function)s(%(expressions)s, '{a,b,c}')",
                                ),
                                output_field=django.contrib.postgres.search.SearchVectorField(null=True),
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="capabilities",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "capability",
                        "verbose_name_plural": "capabilities",
                    },
                ),
                migrations.CreateModel(
                    name="Version",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.CharField(max_length=64, verbose_name="version")),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("draft", "Uploaded"),
                                    ("packaging", "Packaging"),
                                    ("packaged", "Packaged"),
                                    ("failed", "Failed"),
                                    ("retired", "Retired"),
                                ],
                                default="draft",
                                editable=False,
                                max_length=12,
                                verbose_name="status",
                            ),
                        ),
                        ("changelog", models.TextField(blank=True, verbose_name="what is new")),
                        ("source_manifest", models.JSONField(default=dict)),
                        ("source_digest", models.CharField(max_length=64)),
                        ("manifest", models.JSONField(default=dict)),
                        ("digest", models.CharField(blank=True, db_index=True, max_length=64)),
                        ("size", models.BigIntegerField(default=0)),
                        ("signature", models.JSONField(default=dict)),
                        ("cases_count", models.PositiveIntegerField(default=0)),
                        ("framework", models.CharField(blank=True, max_length=40)),
                        ("runtime", models.CharField(blank=True, max_length=10)),
                        ("environment", models.CharField(default="base", max_length=40)),
                        ("report", models.JSONField(default=dict)),
                        ("failure", models.JSONField(default=dict)),
                        ("dataset_version_urn", models.CharField(blank=True, max_length=200)),
                        ("code_digest", models.CharField(blank=True, max_length=64)),
                        ("training_job_urn", models.CharField(blank=True, max_length=200)),
                        ("job_id", models.BigIntegerField(null=True)),
                        ("parameters", models.JSONField(blank=True, default=dict)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("packaged_at", models.DateTimeField(null=True)),
                        ("deprecated_at", models.DateTimeField(editable=False, null=True)),
                        ("deprecation_note", models.TextField(blank=True, editable=False)),
                        (
                            "retires_on",
                            models.DateField(blank=True, null=True, verbose_name="will be retired on"),
                        ),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="versions",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "successor",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "version",
                        "verbose_name_plural": "versions",
                    },
                ),
                migrations.CreateModel(
                    name="RuleFailure",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("revision", models.PositiveIntegerField(verbose_name="revision")),
                        ("rule", models.CharField(max_length=60, verbose_name="rule")),
                        ("calls", models.PositiveBigIntegerField(verbose_name="calls")),
                        ("first_call", models.UUIDField(verbose_name="first call")),
                        ("first_at", models.DateTimeField(verbose_name="first")),
                        ("last_at", models.DateTimeField(verbose_name="last")),
                        ("error", models.CharField(max_length=300, verbose_name="why")),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="rule_failures",
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "failure of a parsing rule",
                        "verbose_name_plural": "failures of parsing rules",
                    },
                ),
                migrations.CreateModel(
                    name="ParsingRules",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("revision", models.PositiveIntegerField(verbose_name="revision")),
                        ("rules", models.JSONField(default=dict, verbose_name="rules")),
                        ("note", models.CharField(blank=True, max_length=240, verbose_name="why")),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="parsing_rules",
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "parsing rules",
                        "verbose_name_plural": "parsing rules",
                    },
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=django.contrib.postgres.indexes.GinIndex(fields=["text"], name="capability_text"),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=django.contrib.postgres.indexes.GinIndex(
                        fields=["headline"], name="capability_headline"
                    ),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=django.contrib.postgres.indexes.GinIndex(fields=["tags"], name="capability_tags"),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=models.Index(fields=["status", "visibility"], name="capability_listed"),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=models.Index(fields=["-published_at", "-id"], name="capability_newest"),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=models.Index(fields=["name", "id"], name="capability_by_name"),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=models.Index(
                        django.db.models.functions.text.Lower("name"),
                        models.F("id"),
                        name="capability_by_folded_name",
                    ),
                ),
                migrations.AddIndex(
                    model_name="capability",
                    index=models.Index(
                        condition=models.Q(
                            ("published_at__isnull", False), ("status__in", ["published", "deprecated"])
                        ),
                        fields=["id"],
                        include=("team", "visibility", "status", "domain", "published_at"),
                        name="capability_shown",
                    ),
                ),
                migrations.AddIndex(
                    model_name="version",
                    index=models.Index(fields=["status"], name="version_status"),
                ),
                migrations.AddConstraint(
                    model_name="version",
                    constraint=models.UniqueConstraint(
                        fields=("capability", "number"), name="version_number_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="version",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            (
                                "number__regex",
                                "^(0|[1-9]\\d{0,8})\\.(0|[1-9]\\d{0,8})\\.(0|[1-9]\\d{0,8})(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?(\\+[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?$",
                            )
                        ),
                        name="version_is_semantic",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="version",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "packaged"), _negated=True),
                            ("digest__regex", "^[0-9a-f]{64}$"),
                            _connector="OR",
                        ),
                        name="packaged_version_has_digest",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="version",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("deprecated_at__isnull", False),
                            models.Q(
                                ("deprecation_note", ""),
                                ("retires_on__isnull", True),
                                ("successor__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="version_goes_once_deprecated",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="version",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("successor__isnull", True),
                            models.Q(("successor", models.F("id")), _negated=True),
                            _connector="OR",
                        ),
                        name="version_does_not_succeed_itself",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="rulefailure",
                    constraint=models.UniqueConstraint(
                        fields=("version", "revision", "rule"), name="rule_failure_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="parsingrules",
                    constraint=models.UniqueConstraint(
                        fields=("version", "revision"), name="parsing_revision_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="parsingrules",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("revision__gte", 1)), name="parsing_revision_from_one"
                    ),
                ),
                migrations.RunSQL(
                    [
                        "ALTER TABLE catalog_capability SET (toast_tuple_target = 640)",
                        *(
                            f"ALTER TABLE catalog_capability ALTER COLUMN {name} SET STORAGE MAIN"
                            for name in KEPT
                        ),
                    ],
                    migrations.RunSQL.noop,
                ),
            ]
        )
    ]
