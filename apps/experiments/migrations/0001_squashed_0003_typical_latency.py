"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("experiments", "0001_experiments_arms_hours_of_callers"),
        ("experiments", "0002_pace_of_counting"),
        ("experiments", "0003_typical_latency"),
    ]

    initial = True

    dependencies = [
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("instances", "0001_squashed_0010_reasons_in_any_language"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Experiment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100, verbose_name="name")),
                        ("hypothesis", models.TextField(verbose_name="hypothesis")),
                        ("layer", models.CharField(default="model", max_length=40, verbose_name="layer")),
                        ("begins", models.PositiveSmallIntegerField(default=0, verbose_name="from")),
                        ("size", models.PositiveSmallIntegerField(verbose_name="share of the layer")),
                        (
                            "measure",
                            models.CharField(
                                choices=[
                                    ("errors", "Errors"),
                                    ("typical", "Typical latency"),
                                    ("latency", "Mean latency"),
                                    ("quality", "Quality by feedback"),
                                    ("business", "Business metric"),
                                ],
                                max_length=8,
                                verbose_name="measure",
                            ),
                        ),
                        ("metric", models.JSONField(null=True)),
                        ("effect", models.FloatField(verbose_name="smallest difference worth knowing")),
                        ("salt", models.CharField(max_length=32)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("draft", "Draft"),
                                    ("running", "Running"),
                                    ("paused", "Paused"),
                                    ("ended", "Ended"),
                                ],
                                default="draft",
                                editable=False,
                                max_length=8,
                                verbose_name="status",
                            ),
                        ),
                        (
                            "why",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("unsigned", "a version may not take production traffic any more"),
                                    (
                                        "limited",
                                        "a finding leaves a version less of the traffic than its arm has",
                                    ),
                                    ("stopped", "the deployment of a version was stopped or failed"),
                                    (
                                        "changed",
                                        "production is divided otherwise than when it began, so the control is another one",
                                    ),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("production", models.JSONField(null=True)),
                        ("evidence", models.JSONField(default=dict)),
                        ("looks", models.JSONField(default=list)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("counted_at", models.DateTimeField(null=True)),
                        ("recounted_at", models.DateTimeField(null=True)),
                        ("measured_until", models.DateTimeField(null=True)),
                        (
                            "pace",
                            models.JSONField(
                                default=dict, help_text="How many seconds counting took, see `counting`."
                            ),
                        ),
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
                    ],
                    options={
                        "verbose_name": "experiment",
                        "verbose_name_plural": "experiments",
                    },
                ),
                migrations.CreateModel(
                    name="Arm",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("position", models.PositiveSmallIntegerField()),
                        ("name", models.CharField(max_length=60, verbose_name="name")),
                        ("share", models.PositiveSmallIntegerField(verbose_name="share")),
                        ("parameters", models.JSONField(blank=True, default=dict, verbose_name="parameters")),
                        ("own_deployment", models.BooleanField(default=False)),
                        (
                            "deployment",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "experiment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="arms",
                                to="experiments.experiment",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "arm",
                        "verbose_name_plural": "arms",
                        "ordering": ["position"],
                    },
                ),
                migrations.CreateModel(
                    name="UnitHour",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("unit", models.BigIntegerField()),
                        ("hour", models.DateTimeField()),
                        ("calls", models.PositiveIntegerField(default=0)),
                        ("errors", models.PositiveIntegerField(default=0)),
                        ("answered", models.PositiveIntegerField(default=0)),
                        ("ms", models.FloatField(default=0)),
                        (
                            "log_ms",
                            models.FloatField(
                                default=0, help_text="The sum of the natural logarithms of milliseconds."
                            ),
                        ),
                        ("rated", models.PositiveIntegerField(default=0)),
                        ("correct", models.PositiveIntegerField(default=0)),
                        ("metric_n", models.PositiveIntegerField(default=0)),
                        ("metric_sum", models.FloatField(default=0)),
                        (
                            "arm",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.arm",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "hour of a caller",
                        "verbose_name_plural": "hours of callers",
                    },
                ),
                migrations.AddIndex(
                    model_name="experiment",
                    index=models.Index(fields=["capability", "-id"], name="experiment_of_capability"),
                ),
                migrations.AddIndex(
                    model_name="experiment",
                    index=models.Index(
                        condition=models.Q(("status__in", ["running", "paused"])),
                        fields=["capability"],
                        name="experiment_holding",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="experiment",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("begins__gte", 0),
                            (
                                "begins__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.Value(100), "-", models.F("size")
                                ),
                            ),
                            ("size__gte", 1),
                        ),
                        name="experiment_within_its_layer",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="experiment",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("effect__gt", 0)), name="experiment_effect_above_zero"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="arm",
                    constraint=models.UniqueConstraint(
                        fields=("experiment", "position"), name="arm_position_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="arm",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("share__gte", 1), ("share__lte", 99)), name="arm_share_is_percent"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="unithour",
                    constraint=models.UniqueConstraint(fields=("arm", "unit", "hour"), name="unit_hour_once"),
                ),
            ]
        )
    ]
