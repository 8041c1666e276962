"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("evaluation", "0001_initial"),
        ("evaluation", "0002_run_ends_its_deployment"),
        ("evaluation", "0003_tasks_groups_scorer"),
        ("evaluation", "0004_claims"),
        ("evaluation", "0005_reasons_in_any_language"),
        ("evaluation", "0006_several_data_sets"),
    ]

    initial = True

    dependencies = [
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("compute", "0001_squashed_0007_told_of_attempts"),
        ("datasets", "0001_squashed_0003_people_who_read_a_data_set"),
        ("instances", "0001_squashed_0010_reasons_in_any_language"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Suite",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField(verbose_name="number")),
                        ("name", models.CharField(max_length=100, verbose_name="name")),
                        (
                            "data_digest",
                            models.CharField(
                                blank=True,
                                help_text="Of all its data set versions, where there are several.",
                                max_length=64,
                            ),
                        ),
                        (
                            "target",
                            models.CharField(max_length=100, verbose_name="column with the right answer"),
                        ),
                        (
                            "slices",
                            models.JSONField(blank=True, default=list, verbose_name="columns to slice by"),
                        ),
                        (
                            "task",
                            models.CharField(
                                blank=True,
                                help_text="Empty: what the version's signature says.",
                                max_length=20,
                                verbose_name="task",
                            ),
                        ),
                        (
                            "groups",
                            models.JSONField(
                                blank=True,
                                default=list,
                                verbose_name="columns whose groups must be served alike",
                            ),
                        ),
                        ("scorer", models.TextField(blank=True, verbose_name="scorer of your own")),
                        ("gates", models.JSONField(default=list, verbose_name="gates")),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
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
                            "dataset_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="datasets.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "evaluation suite",
                        "verbose_name_plural": "evaluation suites",
                    },
                ),
                migrations.CreateModel(
                    name="Run",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("version_digest", models.CharField(max_length=64)),
                        (
                            "made_deployment",
                            models.BooleanField(default=False, help_text="The deployment ends with the run."),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("deploying", "Deploying"),
                                    ("measuring", "Measuring"),
                                    ("reported", "Reported"),
                                    ("failed", "Failed"),
                                    ("cancelled", "Cancelled"),
                                ],
                                default="deploying",
                                max_length=10,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its reason is made of."
                            ),
                        ),
                        (
                            "cpu_s_before",
                            models.FloatField(
                                help_text="Of the deployment, when the calls began.", null=True
                            ),
                        ),
                        ("started_at", models.DateTimeField(auto_now_add=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "deployment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
                            ),
                        ),
                        (
                            "job",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="compute.job",
                            ),
                        ),
                        (
                            "production",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "suite",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="runs",
                                to="evaluation.suite",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "evaluation",
                        "verbose_name_plural": "evaluations",
                    },
                ),
                migrations.CreateModel(
                    name="SuiteData",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "dataset_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="datasets.datasetversion",
                            ),
                        ),
                        (
                            "suite",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="further_data",
                                to="evaluation.suite",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "further data of a suite",
                        "verbose_name_plural": "further data of suites",
                        "ordering": ["pk"],
                    },
                ),
                migrations.CreateModel(
                    name="Claim",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("item", models.CharField(max_length=30)),
                        ("text", models.TextField(max_length=2000, verbose_name="how it is done")),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        ("withdrawn_at", models.DateTimeField(null=True)),
                        (
                            "by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
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
                    ],
                    options={
                        "verbose_name": "claim",
                        "verbose_name_plural": "claims",
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("withdrawn_at", None)),
                                fields=("capability", "item"),
                                name="claim_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Report",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("digest", models.CharField(db_index=True, max_length=64)),
                        (
                            "verdict",
                            models.CharField(
                                choices=[
                                    ("passed", "passed"),
                                    ("failed", "failed"),
                                    ("undecided", "undecided"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("headline", models.JSONField(default=dict)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "run",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="report",
                                to="evaluation.run",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "evaluation report",
                        "verbose_name_plural": "evaluation reports",
                        "indexes": [models.Index(fields=["version", "-id"], name="report_of_version")],
                    },
                ),
                migrations.AddConstraint(
                    model_name="suite",
                    constraint=models.UniqueConstraint(
                        fields=("capability", "number"), name="suite_number_once"
                    ),
                ),
                migrations.AddIndex(
                    model_name="run",
                    index=models.Index(fields=["version", "-id"], name="run_of_version"),
                ),
                migrations.AddConstraint(
                    model_name="run",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status__in", ["deploying", "measuring"])),
                        fields=("suite", "version"),
                        name="run_one_at_a_time",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="suitedata",
                    constraint=models.UniqueConstraint(
                        fields=("suite", "dataset_version"), name="data_of_a_suite_once"
                    ),
                ),
            ]
        )
    ]
