"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("compute", "0001_jobs"),
        ("compute", "0002_egress"),
        ("compute", "0003_measured_needs"),
        ("compute", "0004_what_jobs_report"),
        ("compute", "0005_nodes"),
        ("compute", "0006_labels_of_jobs"),
        ("compute", "0007_told_of_attempts"),
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
                    name="Reservation",
                    fields=[
                        ("workload_id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                        ("purpose", models.CharField(blank=True, max_length=200)),
                        ("cpu", models.FloatField()),
                        ("memory_mb", models.PositiveIntegerField()),
                        ("gpu", models.FloatField(default=0)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                    ],
                    options={
                        "verbose_name": "reservation",
                        "verbose_name_plural": "reservations",
                    },
                ),
                migrations.CreateModel(
                    name="AllowedHost",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "pattern",
                            models.CharField(
                                help_text="host, host:port or *.domain",
                                max_length=262,
                                unique=True,
                                verbose_name="host",
                            ),
                        ),
                        ("enabled", models.BooleanField(default=True)),
                        (
                            "source",
                            models.CharField(
                                choices=[
                                    ("machine", "This machine's package clients"),
                                    ("administrator", "An administrator"),
                                ],
                                default="administrator",
                                max_length=20,
                            ),
                        ),
                        ("note", models.CharField(blank=True, max_length=200, verbose_name="what for")),
                        ("added_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "added_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "allowed host",
                        "verbose_name_plural": "allowed hosts",
                    },
                ),
                migrations.CreateModel(
                    name="EgressRecord",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("workload_id", models.CharField(max_length=40)),
                        ("purpose", models.CharField(blank=True, max_length=200)),
                        ("host", models.CharField(max_length=253)),
                        ("port", models.PositiveIntegerField()),
                        ("allowed", models.BooleanField()),
                        ("connections", models.PositiveIntegerField(default=0)),
                        ("bytes_out", models.BigIntegerField(default=0)),
                        ("bytes_in", models.BigIntegerField(default=0)),
                        ("first_at", models.DateTimeField()),
                        ("last_at", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name": "network use",
                        "verbose_name_plural": "network use",
                        "indexes": [models.Index(fields=["-last_at", "-id"], name="egress_newest")],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("workload_id", "host", "port", "allowed"), name="egress_once_per_host"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Job",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("kind", models.CharField(max_length=40, verbose_name="kind")),
                        ("title", models.CharField(max_length=200, verbose_name="title")),
                        (
                            "subject",
                            models.CharField(
                                blank=True, help_text="The URN of what the job is about.", max_length=200
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("queued", "Queued"),
                                    ("starting", "Starting"),
                                    ("running", "Running"),
                                    ("succeeded", "Succeeded"),
                                    ("failed", "Failed"),
                                    ("cancelled", "Cancelled"),
                                ],
                                default="queued",
                                max_length=10,
                                verbose_name="status",
                            ),
                        ),
                        ("reason", models.TextField(blank=True, verbose_name="reason")),
                        ("argv", models.JSONField(default=list)),
                        (
                            "environment",
                            models.CharField(default="base", max_length=60, verbose_name="environment"),
                        ),
                        (
                            "inputs",
                            models.JSONField(default=dict, help_text="Path below /work/inputs to SHA-256."),
                        ),
                        ("files", models.JSONField(default=dict, help_text="Path below /work to SHA-256.")),
                        ("params", models.JSONField(default=dict, verbose_name="parameters")),
                        (
                            "mounts",
                            models.JSONField(default=list, help_text="[source, target, readonly] each."),
                        ),
                        (
                            "variables",
                            models.TextField(blank=True, help_text="Environment variables, encrypted."),
                        ),
                        ("resources", models.JSONField(default=dict, verbose_name="resources")),
                        (
                            "needs_key",
                            models.CharField(
                                blank=True,
                                help_text="What is run again and again: its runs' measured needs go together.",
                                max_length=200,
                            ),
                        ),
                        (
                            "labels",
                            models.JSONField(
                                default=list, help_text="What its node has to have.", verbose_name="labels"
                            ),
                        ),
                        (
                            "network",
                            models.CharField(
                                choices=[
                                    ("none", "None"),
                                    ("forwarder", "The portal only"),
                                    ("host", "The machine's"),
                                ],
                                default="none",
                                max_length=10,
                            ),
                        ),
                        ("priority", models.PositiveSmallIntegerField(default=5, verbose_name="priority")),
                        ("timeout_s", models.FloatField(default=3600, verbose_name="time limit")),
                        ("max_attempts", models.PositiveSmallIntegerField(default=1)),
                        (
                            "attempt",
                            models.PositiveSmallIntegerField(
                                default=0, help_text="Number of the newest attempt."
                            ),
                        ),
                        (
                            "failures",
                            models.PositiveSmallIntegerField(
                                default=0, help_text="Attempts that the code itself ended."
                            ),
                        ),
                        (
                            "losses",
                            models.PositiveSmallIntegerField(
                                default=0, help_text="Attempts that the machine ended."
                            ),
                        ),
                        ("workload_id", models.CharField(blank=True, max_length=40)),
                        (
                            "checkpoints",
                            models.JSONField(
                                default=dict, help_text="Path below /work/checkpoints to SHA-256."
                            ),
                        ),
                        ("progress", models.FloatField(null=True, verbose_name="progress")),
                        ("progress_message", models.CharField(blank=True, max_length=300)),
                        (
                            "reports",
                            models.JSONField(
                                default=list, help_text="What it reported: {step, metric: value, …} each."
                            ),
                        ),
                        ("result", models.JSONField(null=True, verbose_name="result")),
                        ("outputs", models.JSONField(default=dict, verbose_name="outputs")),
                        ("memory_mb", models.FloatField(default=0)),
                        ("peak_memory_mb", models.FloatField(default=0)),
                        ("cpu_s", models.FloatField(default=0)),
                        ("cancel_requested_at", models.DateTimeField(editable=False, null=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("queued_at", models.DateTimeField(auto_now_add=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("finished_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "job",
                        "verbose_name_plural": "jobs",
                    },
                ),
                migrations.CreateModel(
                    name="Attempt",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveSmallIntegerField()),
                        ("workload_id", models.CharField(max_length=40, unique=True)),
                        ("started_at", models.DateTimeField(auto_now_add=True)),
                        ("finished_at", models.DateTimeField(null=True)),
                        ("reason", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict,
                                help_text="The pattern and the values that the reason is made of.",
                            ),
                        ),
                        ("exit_code", models.IntegerField(null=True)),
                        ("peak_memory_mb", models.FloatField(default=0)),
                        ("cpu_s", models.FloatField(default=0)),
                        (
                            "usage",
                            models.JSONField(
                                default=list,
                                help_text="[seconds since the start, MB, processor seconds] each.",
                            ),
                        ),
                        (
                            "log",
                            models.CharField(
                                blank=True, help_text="SHA-256 of the log, once it ended.", max_length=64
                            ),
                        ),
                        (
                            "job",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="attempts",
                                to="compute.job",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "attempt",
                        "verbose_name_plural": "attempts",
                    },
                ),
                migrations.CreateModel(
                    name="Node",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100, unique=True, verbose_name="name")),
                        (
                            "labels",
                            models.JSONField(
                                default=list, help_text="A list of words.", verbose_name="labels"
                            ),
                        ),
                        (
                            "cpu",
                            models.FloatField(
                                help_text="Processor cores that it gives to workloads; each real one several times."
                            ),
                        ),
                        ("memory_mb", models.FloatField(help_text="Memory that it gives to workloads.")),
                        ("gpu", models.FloatField(default=0)),
                        ("cores", models.PositiveIntegerField(help_text="Real ones.")),
                        ("all_memory_mb", models.FloatField(help_text="The machine's.")),
                        (
                            "load",
                            models.FloatField(
                                help_text="Processes that want a core, on average over one minute."
                            ),
                        ),
                        ("used_memory_mb", models.FloatField(help_text="By everything on the machine.")),
                        ("workloads", models.PositiveIntegerField(help_text="How many run.")),
                        (
                            "seen_at",
                            models.DateTimeField(help_text="The newest heartbeat, by the database's clock."),
                        ),
                        (
                            "drained_at",
                            models.DateTimeField(help_text="Since when it takes nothing new.", null=True),
                        ),
                        (
                            "drained_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "node",
                        "verbose_name_plural": "nodes",
                    },
                ),
                migrations.AddIndex(
                    model_name="job",
                    index=models.Index(
                        condition=models.Q(("status", "queued")),
                        fields=["priority", "queued_at", "id"],
                        name="job_queue",
                    ),
                ),
                migrations.AddIndex(
                    model_name="job",
                    index=models.Index(
                        condition=models.Q(("status__in", ["starting", "running"])),
                        fields=["id"],
                        name="job_active",
                    ),
                ),
                migrations.AddIndex(
                    model_name="job",
                    index=models.Index(fields=["team", "-id"], name="job_by_team"),
                ),
                migrations.AddIndex(
                    model_name="job",
                    index=models.Index(fields=["subject", "-id"], name="job_by_subject"),
                ),
                migrations.AddIndex(
                    model_name="job",
                    index=models.Index(
                        condition=models.Q(("needs_key", ""), _negated=True),
                        fields=["needs_key", "-id"],
                        name="job_by_what_it_needs",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="job",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["queued", "starting", "running", "succeeded", "failed", "cancelled"],
                            )
                        ),
                        name="job_status_known",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="attempt",
                    constraint=models.UniqueConstraint(fields=("job", "number"), name="attempt_once"),
                ),
            ]
        )
    ]
