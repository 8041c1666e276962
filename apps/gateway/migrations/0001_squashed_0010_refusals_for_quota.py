"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together

# Partitioned by day, which Django's models cannot say; the partitions are made by the ingester.
CALLS = """
CREATE SEQUENCE gateway_revision;
CREATE TABLE gateway_call (
    request_id uuid NOT NULL,
    at timestamptz NOT NULL,
    grant_id bigint,
    capability_id bigint,
    deployment_id bigint,
    version text NOT NULL,
    subject text NOT NULL,
    status smallint NOT NULL,
    error_kind text NOT NULL,
    latency_ms double precision NOT NULL,
    stage_weight double precision NOT NULL,
    shadow boolean NOT NULL,
    request bytea,
    response bytea,
    sizes jsonb,
    digested boolean NOT NULL,
    parsed jsonb,
    score double precision,
    logged jsonb,
    unit bigint,
    arms bigint[],
    PRIMARY KEY (request_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX gateway_call_capability ON gateway_call (capability_id, at DESC);
CREATE INDEX gateway_call_deployment ON gateway_call (deployment_id, at DESC);
CREATE INDEX gateway_call_undigested ON gateway_call (at) WHERE NOT digested;
"""


class Migration(migrations.Migration):
    replaces = [
        ("gateway", "0001_grants_calls_usage_outcomes"),
        ("gateway", "0002_kept_bodies_data_keys_retention"),
        ("gateway", "0003_overloads"),
        ("gateway", "0004_exports_of_calls"),
        ("gateway", "0005_rollups_of_capabilities_and_days"),
        ("gateway", "0006_fill_rollups"),
        ("gateway", "0007_arms_of_calls"),
        ("gateway", "0008_feedback_apart"),
        ("gateway", "0009_late_minutes"),
        ("gateway", "0010_refusals_for_quota"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("datasets", "0001_squashed_0003_people_who_read_a_data_set"),
        ("instances", "0001_squashed_0010_reasons_in_any_language"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.SeparateDatabaseAndState(
                    database_operations=[
                        migrations.RunSQL(CALLS, "DROP TABLE gateway_call; DROP SEQUENCE gateway_revision")
                    ],
                    state_operations=[
                        migrations.CreateModel(
                            name="Call",
                            fields=[
                                ("request_id", models.UUIDField(primary_key=True, serialize=False)),
                                ("at", models.DateTimeField()),
                                ("grant_id", models.BigIntegerField(null=True)),
                                ("capability_id", models.BigIntegerField(null=True)),
                                ("deployment_id", models.BigIntegerField(null=True)),
                                ("version", models.CharField(max_length=64)),
                                ("subject", models.CharField(max_length=100)),
                                ("status", models.PositiveSmallIntegerField()),
                                ("error_kind", models.CharField(max_length=40)),
                                ("latency_ms", models.FloatField()),
                                ("stage_weight", models.FloatField()),
                                ("shadow", models.BooleanField()),
                                ("request", models.BinaryField(null=True)),
                                ("response", models.BinaryField(null=True)),
                                ("sizes", models.JSONField(null=True)),
                                ("digested", models.BooleanField()),
                                ("parsed", models.JSONField(null=True)),
                                ("score", models.FloatField(null=True)),
                                ("logged", models.JSONField(null=True)),
                                ("unit", models.BigIntegerField(null=True)),
                                (
                                    "arms",
                                    django.contrib.postgres.fields.ArrayField(
                                        base_field=models.BigIntegerField(), null=True, size=None
                                    ),
                                ),
                            ],
                            options={
                                "verbose_name": "call",
                                "verbose_name_plural": "calls",
                                "db_table": "gateway_call",
                            },
                        )
                    ],
                ),
                migrations.CreateModel(
                    name="Segment",
                    fields=[
                        ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                        ("position", models.BigIntegerField(default=0)),
                        ("rows", models.BigIntegerField(default=0)),
                        ("done_at", models.DateTimeField(null=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="DataKey",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("public", models.CharField(max_length=44)),
                        ("private", models.TextField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "data key",
                        "verbose_name_plural": "data keys",
                    },
                ),
                migrations.CreateModel(
                    name="Grant",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key_hash", models.CharField(editable=False, max_length=64, unique=True)),
                        ("prefix", models.CharField(editable=False, max_length=16)),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("subscription", "Subscription"),
                                    ("trial", "Trial"),
                                    ("test", "Test"),
                                    ("evaluation", "Evaluation"),
                                ],
                                max_length=12,
                                verbose_name="kind",
                            ),
                        ),
                        ("pool", models.CharField(max_length=100)),
                        ("limits", models.JSONField(default=dict)),
                        ("scope", models.CharField(default="production", max_length=40)),
                        ("addresses", models.JSONField(blank=True, default=list, verbose_name="addresses")),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("active", "Active"),
                                    ("suspended", "Suspended"),
                                    ("revoked", "Revoked"),
                                ],
                                default="active",
                                editable=False,
                                max_length=10,
                                verbose_name="status",
                            ),
                        ),
                        ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires")),
                        ("label", models.CharField(blank=True, max_length=100, verbose_name="label")),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("last_used_at", models.DateTimeField(editable=False, null=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "key",
                        "verbose_name_plural": "keys",
                    },
                ),
                migrations.CreateModel(
                    name="LateMinute",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("capability_id", models.BigIntegerField()),
                        ("minute", models.DateTimeField()),
                        ("noted_at", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name": "minute with late calls",
                        "verbose_name_plural": "minutes with late calls",
                        "indexes": [
                            models.Index(fields=["capability_id", "noted_at"], name="late_minute_noted")
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("capability_id", "minute"), name="late_minute_once"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Outcome",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField(db_index=True)),
                        (
                            "kind",
                            models.CharField(
                                choices=[("feedback", "Feedback"), ("label", "Label")],
                                max_length=10,
                                verbose_name="kind",
                            ),
                        ),
                        ("correct", models.BooleanField(null=True, verbose_name="correct")),
                        ("expected", models.JSONField(null=True, verbose_name="expected")),
                        ("comment", models.TextField(blank=True, verbose_name="comment")),
                        ("at", models.DateTimeField(db_index=True)),
                        (
                            "arrived_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now(),
                                db_index=True,
                                editable=False,
                            ),
                        ),
                        (
                            "by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "grant",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="gateway.grant",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "outcome",
                        "verbose_name_plural": "outcomes",
                    },
                ),
                migrations.CreateModel(
                    name="Overload",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("started_at", models.DateTimeField()),
                        ("last_at", models.DateTimeField()),
                        ("refused", models.PositiveBigIntegerField(verbose_name="calls refused")),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "deployment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="instances.deployment",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "overload",
                        "verbose_name_plural": "overloads",
                    },
                ),
                migrations.CreateModel(
                    name="Retention",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("days", models.PositiveIntegerField(verbose_name="days")),
                        ("set_at", models.DateTimeField(auto_now=True)),
                        (
                            "capability",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "set_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "retention",
                        "verbose_name_plural": "retentions",
                    },
                ),
                migrations.CreateModel(
                    name="UncountedFeedback",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField(db_index=True)),
                        ("correct", models.BooleanField(null=True, verbose_name="correct")),
                        ("expected", models.JSONField(null=True, verbose_name="expected")),
                        ("comment", models.TextField(blank=True, verbose_name="comment")),
                        ("at", models.DateTimeField()),
                        (
                            "why",
                            models.CharField(
                                choices=[
                                    ("waiting", "Its call is not in the log yet"),
                                    ("foreign", "The call is another caller's"),
                                    ("replaced", "The caller said something else later"),
                                    ("unknown", "There is no such call"),
                                ],
                                max_length=8,
                                verbose_name="why",
                            ),
                        ),
                        ("received_at", models.DateTimeField(auto_now_add=True, db_index=True)),
                        ("next_at", models.DateTimeField(null=True)),
                        (
                            "grant",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="gateway.grant",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "feedback that does not count",
                        "verbose_name_plural": "feedback that does not count",
                    },
                ),
                migrations.CreateModel(
                    name="Usage",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("grant_id", models.BigIntegerField()),
                        ("capability_id", models.BigIntegerField()),
                        ("deployment_id", models.BigIntegerField()),
                        ("version", models.CharField(max_length=64)),
                        ("hour", models.DateTimeField()),
                        ("outcome", models.CharField(max_length=40)),
                        ("count", models.BigIntegerField()),
                        ("ms", models.FloatField()),
                        (
                            "histogram",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.BigIntegerField(), size=None
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "usage",
                        "verbose_name_plural": "usage",
                        "indexes": [
                            models.Index(fields=["capability_id", "hour"], name="usage_of_capability"),
                            models.Index(
                                condition=models.Q(("outcome", "quota-exceeded")),
                                fields=["hour"],
                                name="usage_over_quota",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("grant_id", "hour", "capability_id", "deployment_id", "outcome"),
                                name="usage_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="UsageOfCapability",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("capability_id", models.BigIntegerField()),
                        ("deployment_id", models.BigIntegerField()),
                        ("version", models.CharField(max_length=64)),
                        ("hour", models.DateTimeField()),
                        ("outcome", models.CharField(max_length=40)),
                        ("count", models.BigIntegerField()),
                        (
                            "histogram",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.BigIntegerField(), size=None
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "usage of a capability",
                        "verbose_name_plural": "usage of capabilities",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("capability_id", "hour", "deployment_id", "outcome"),
                                name="capability_usage_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="UsageOfKey",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("capability_id", models.BigIntegerField()),
                        ("day", models.DateTimeField()),
                        ("grant_id", models.BigIntegerField()),
                        ("version", models.CharField(max_length=64)),
                        ("count", models.BigIntegerField()),
                        ("failed", models.BigIntegerField()),
                        ("last", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name": "usage of a key",
                        "verbose_name_plural": "usage of keys",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("capability_id", "day", "grant_id", "version"), name="key_usage_once"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="CallExport",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("asked", models.JSONField(default=dict)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("waiting", "Under way"),
                                    ("done", "Done"),
                                    ("failed", "Failed"),
                                    ("cancelled", "Cancelled"),
                                ],
                                default="waiting",
                                editable=False,
                                max_length=10,
                                verbose_name="status",
                            ),
                        ),
                        ("looked_at", models.PositiveIntegerField(default=0, verbose_name="calls looked at")),
                        ("found", models.PositiveIntegerField(default=0, verbose_name="calls found")),
                        ("reason", models.TextField(blank=True)),
                        ("started_at", models.DateTimeField(auto_now_add=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="datasets.dataset",
                            ),
                        ),
                        (
                            "started_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="datasets.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "export of calls",
                        "verbose_name_plural": "exports of calls",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("status", "waiting")),
                                fields=["id"],
                                name="call_export_waiting",
                            ),
                            models.Index(fields=["capability", "-id"], name="call_export_newest"),
                        ],
                    },
                ),
                migrations.AddIndex(
                    model_name="grant",
                    index=models.Index(fields=["pool"], name="grant_pool"),
                ),
                migrations.AddIndex(
                    model_name="grant",
                    index=models.Index(
                        condition=models.Q(("status", "revoked"), _negated=True),
                        fields=["id"],
                        name="grant_alive",
                    ),
                ),
                migrations.AddIndex(
                    model_name="overload",
                    index=models.Index(fields=["capability", "-last_at"], name="overload_of_capability"),
                ),
                migrations.AddConstraint(
                    model_name="retention",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("days__gte", 1), ("days__lte", 3650)), name="retention_in_days"
                    ),
                ),
                migrations.AddIndex(
                    model_name="uncountedfeedback",
                    index=models.Index(
                        condition=models.Q(("next_at__isnull", False)),
                        fields=["next_at"],
                        name="feedback_waiting",
                    ),
                ),
            ]
        )
    ]
