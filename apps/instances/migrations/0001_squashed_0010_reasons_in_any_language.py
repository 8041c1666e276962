"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("instances", "0001_deployments_replicas_traffic"),
        ("instances", "0002_replica_replacement"),
        ("instances", "0003_sign_off_replaced_confirmations"),
        ("instances", "0004_shadow"),
        ("instances", "0005_last_failure"),
        ("instances", "0006_a_copy_has_a_host"),
        ("instances", "0007_pins"),
        ("instances", "0008_shares_at_sites"),
        ("instances", "0009_labels_of_deployments"),
        ("instances", "0010_reasons_in_any_language"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Deployment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "kind",
                            models.CharField(
                                choices=[("test", "Test"), ("production", "Production")],
                                max_length=10,
                                verbose_name="kind",
                            ),
                        ),
                        ("replicas", models.PositiveSmallIntegerField(default=1, verbose_name="replicas")),
                        ("resources", models.JSONField(default=dict)),
                        (
                            "labels",
                            models.JSONField(
                                default=list,
                                help_text="What the nodes of its replicas have to have.",
                                verbose_name="labels",
                            ),
                        ),
                        ("generation", models.PositiveIntegerField(default=1, editable=False)),
                        (
                            "desired",
                            models.CharField(
                                choices=[("running", "Running"), ("stopped", "Stopped")],
                                default="running",
                                editable=False,
                                max_length=10,
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("pending", "Pending"),
                                    ("starting", "Starting"),
                                    ("ready", "Ready"),
                                    ("failed", "Failed"),
                                    ("stopping", "Stopping"),
                                    ("stopped", "Stopped"),
                                ],
                                default="pending",
                                editable=False,
                                max_length=10,
                                verbose_name="status",
                            ),
                        ),
                        ("status_reason", models.TextField(blank=True, editable=False)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its reason is made of."
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("ready_at", models.DateTimeField(editable=False, null=True)),
                        ("stopped_at", models.DateTimeField(editable=False, null=True)),
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "host",
                            models.ForeignKey(
                                blank=True,
                                help_text="A team that runs it at its own site, for itself; empty: the capability's team.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                                verbose_name="run by",
                            ),
                        ),
                        (
                            "site",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.site",
                                verbose_name="site",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "deployment",
                        "verbose_name_plural": "deployments",
                    },
                ),
                migrations.CreateModel(
                    name="Pin",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("caller", models.CharField(max_length=100)),
                        ("until", models.DateTimeField()),
                        ("set_at", models.DateTimeField(auto_now=True)),
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
                                related_name="pins",
                                to="instances.deployment",
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
                        "verbose_name": "pinned caller",
                        "verbose_name_plural": "pinned callers",
                    },
                ),
                migrations.CreateModel(
                    name="Replica",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("generation", models.PositiveIntegerField()),
                        ("workload_id", models.CharField(max_length=40, unique=True)),
                        ("socket", models.CharField(blank=True, max_length=200)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("starting", "Starting"),
                                    ("ready", "Ready"),
                                    ("failed", "Failed"),
                                    ("stopping", "Stopping"),
                                ],
                                default="starting",
                                max_length=10,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        ("failure", models.TextField(blank=True)),
                        ("failure_at", models.DateTimeField(null=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, help_text="What its reason and its failure are made of."
                            ),
                        ),
                        ("restarts", models.PositiveIntegerField(default=0)),
                        ("replaced", models.PositiveIntegerField(default=0)),
                        ("failed_checks", models.PositiveIntegerField(default=0)),
                        ("pid", models.PositiveIntegerField(null=True)),
                        ("memory_mb", models.FloatField(default=0)),
                        ("cpu_s", models.FloatField(default=0)),
                        ("cpu_share", models.FloatField(default=0)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("observed_at", models.DateTimeField(null=True)),
                        ("ready_at", models.DateTimeField(null=True)),
                        ("retry_at", models.DateTimeField(null=True)),
                        ("stopping_at", models.DateTimeField(null=True)),
                        (
                            "deployment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="replica_set",
                                to="instances.deployment",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "replica",
                        "verbose_name_plural": "replicas",
                    },
                ),
                migrations.CreateModel(
                    name="Shadow",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("percent", models.PositiveSmallIntegerField(default=100, verbose_name="share")),
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
                            "deployment",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="shadow",
                                to="instances.deployment",
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
                        "verbose_name": "shadow",
                        "verbose_name_plural": "shadows",
                    },
                ),
                migrations.CreateModel(
                    name="TrafficWeight",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("weight", models.PositiveSmallIntegerField(verbose_name="share")),
                        (
                            "at_sites",
                            models.JSONField(blank=True, default=dict, verbose_name="shares at single sites"),
                        ),
                        ("salt", models.CharField(max_length=32)),
                        ("set_at", models.DateTimeField(auto_now=True)),
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
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="traffic",
                                to="instances.deployment",
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
                        "verbose_name": "traffic share",
                        "verbose_name_plural": "traffic shares",
                    },
                ),
                migrations.AddIndex(
                    model_name="deployment",
                    index=models.Index(fields=["capability", "kind"], name="deployment_of_capability"),
                ),
                migrations.AddIndex(
                    model_name="deployment",
                    index=models.Index(
                        condition=models.Q(("status", "stopped"), _negated=True),
                        fields=["id"],
                        name="deployment_alive",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="deployment",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("replicas__gte", 1)), name="deployment_has_replicas"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="pin",
                    constraint=models.UniqueConstraint(
                        fields=("capability", "caller"), name="pin_once_for_caller"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="shadow",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("percent__gte", 1), ("percent__lte", 100)),
                        name="shadow_share_is_percent",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="trafficweight",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("weight__gte", 0), ("weight__lte", 100)),
                        name="traffic_weight_is_percent",
                    ),
                ),
            ]
        )
    ]
