"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("workbench", "0001_workspaces"),
        ("workbench", "0002_lease_idle_clone"),
        ("workbench", "0003_environments"),
        ("workbench", "0004_mounted_datasets"),
        ("workbench", "0005_spare_servers"),
        ("workbench", "0006_shared_terminals"),
        ("workbench", "0007_registrations"),
        ("workbench", "0008_recipes"),
        ("workbench", "0009_sweeps"),
        ("workbench", "0010_trials_ended_early"),
        ("workbench", "0011_notebook_snapshots"),
        ("workbench", "0012_install_log"),
        ("workbench", "0013_recordings"),
        ("workbench", "0014_labels_of_workspaces"),
        ("workbench", "0015_sizes_with_graphics_cards"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("compute", "0001_squashed_0007_told_of_attempts"),
        ("datasets", "0001_squashed_0003_people_who_read_a_data_set"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Recipe",
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
                        (
                            "visibility",
                            models.CharField(
                                choices=[("team", "The team"), ("organisation", "The whole organisation")],
                                default="team",
                                max_length=12,
                                verbose_name="visible to",
                            ),
                        ),
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
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "recipe",
                        "verbose_name_plural": "recipes",
                    },
                ),
                migrations.CreateModel(
                    name="RecipeVersion",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField(verbose_name="version")),
                        ("blueprint", models.JSONField(default=dict)),
                        ("parameters", models.JSONField(default=list)),
                        ("slots", models.JSONField(default=list)),
                        ("refines", models.BooleanField(default=False)),
                        ("note", models.TextField(blank=True)),
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
                            "recipe",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="versions",
                                to="workbench.recipe",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "version of a recipe",
                        "verbose_name_plural": "versions of recipes",
                    },
                ),
                migrations.CreateModel(
                    name="RecipeRun",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("capability", models.SlugField(blank=True, max_length=63)),
                        ("number", models.CharField(blank=True, max_length=64)),
                        ("settled", models.BooleanField(default=False)),
                        ("reason", models.TextField(blank=True)),
                        (
                            "base",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "job",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="compute.job",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "recipe_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="runs",
                                to="workbench.recipeversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "run of a recipe",
                        "verbose_name_plural": "runs of recipes",
                    },
                ),
                migrations.CreateModel(
                    name="RecordingRule",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "scope",
                            models.CharField(
                                choices=[
                                    ("all", "All teams"),
                                    ("site", "The teams of a site"),
                                    ("team", "One team"),
                                ],
                                max_length=4,
                            ),
                        ),
                        (
                            "keep_days",
                            models.PositiveSmallIntegerField(default=90, verbose_name="days to keep"),
                        ),
                        ("made_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "made_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "site",
                            models.OneToOneField(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="accounts.site",
                            ),
                        ),
                        (
                            "team",
                            models.OneToOneField(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="accounts.team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "recording rule",
                        "verbose_name_plural": "recording rules",
                    },
                ),
                migrations.CreateModel(
                    name="Sweep",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("title", models.CharField(max_length=200, verbose_name="title")),
                        ("blueprint", models.JSONField(default=dict)),
                        (
                            "fixed",
                            models.JSONField(
                                default=dict, help_text="Parameters that are the same in all trials."
                            ),
                        ),
                        (
                            "method",
                            models.CharField(
                                choices=[
                                    ("grid", "Grid: every combination"),
                                    ("random", "Random: as many as you say"),
                                ],
                                default="grid",
                                max_length=10,
                            ),
                        ),
                        ("space", models.JSONField(default=dict)),
                        ("points", models.JSONField(default=list)),
                        ("metric", models.CharField(blank=True, max_length=100)),
                        (
                            "goal",
                            models.CharField(
                                choices=[
                                    ("maximise", "the higher the better"),
                                    ("minimise", "the lower the better"),
                                ],
                                default="maximise",
                                max_length=10,
                            ),
                        ),
                        ("at_once", models.PositiveSmallIntegerField(default=2)),
                        (
                            "early_stop",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("halving", "Successive halving: at each rung the best share goes on")
                                ],
                                max_length=10,
                            ),
                        ),
                        (
                            "first_step",
                            models.PositiveIntegerField(
                                default=1, help_text="The first rung of the halving."
                            ),
                        ),
                        (
                            "factor",
                            models.PositiveSmallIntegerField(
                                default=3, help_text="One of so many goes on from each rung."
                            ),
                        ),
                        (
                            "rungs",
                            models.JSONField(
                                default=dict, help_text="What each rung has seen; see halving.Rungs."
                            ),
                        ),
                        (
                            "started",
                            models.PositiveIntegerField(default=0, help_text="How many trials have a job."),
                        ),
                        ("cancelled_at", models.DateTimeField(null=True)),
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
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "sweep",
                        "verbose_name_plural": "sweeps",
                    },
                ),
                migrations.CreateModel(
                    name="Trial",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        (
                            "stopped_at",
                            models.PositiveIntegerField(
                                help_text="The step at which it was ended early.", null=True
                            ),
                        ),
                        (
                            "job",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="compute.job",
                            ),
                        ),
                        (
                            "sweep",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="trials",
                                to="workbench.sweep",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "trial",
                        "verbose_name_plural": "trials",
                    },
                ),
                migrations.CreateModel(
                    name="Workspace",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=80, verbose_name="name")),
                        (
                            "environment",
                            models.CharField(default="base", max_length=60, verbose_name="environment"),
                        ),
                        (
                            "flavour",
                            models.CharField(
                                choices=[
                                    ("small", "Small: 1 core, 2 GB, 5 GB of files"),
                                    ("medium", "Medium: 2 cores, 4 GB, 10 GB of files"),
                                    ("large", "Large: 4 cores, 8 GB, 20 GB of files"),
                                    ("half-gpu", "Half a graphics card: 4 cores, 16 GB, 40 GB of files"),
                                    ("gpu", "Graphics card: 8 cores, 32 GB, 80 GB of files"),
                                ],
                                default="small",
                                max_length=10,
                                verbose_name="size",
                            ),
                        ),
                        (
                            "labels",
                            models.JSONField(
                                default=list, help_text="What its node has to have.", verbose_name="labels"
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("stopped", "Stopped"),
                                    ("starting", "Starting"),
                                    ("running", "Running"),
                                    ("stopping", "Stopping"),
                                    ("failed", "Failed"),
                                    ("archived", "Archived"),
                                ],
                                default="stopped",
                                max_length=10,
                            ),
                        ),
                        ("status_reason", models.CharField(blank=True, max_length=500)),
                        ("status_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "lease_until",
                            models.DateTimeField(
                                help_text="When it is stopped unless somebody renews.", null=True
                            ),
                        ),
                        ("lease_warned", models.BooleanField(default=False)),
                        (
                            "idle_minutes",
                            models.PositiveSmallIntegerField(
                                choices=[
                                    (30, "after 30 minutes"),
                                    (60, "after 1 hour"),
                                    (240, "after 4 hours"),
                                    (720, "after 12 hours"),
                                ],
                                default=60,
                                verbose_name="stop when idle",
                            ),
                        ),
                        (
                            "active_at",
                            models.DateTimeField(
                                help_text="When something in it was last at work.", null=True
                            ),
                        ),
                        (
                            "activity",
                            models.JSONField(
                                default=dict, help_text="What was last seen in it; see tending.Activity."
                            ),
                        ),
                        (
                            "share_terminals",
                            models.BooleanField(
                                default=False,
                                help_text="They see them and cannot type.",
                                verbose_name="team mates watch the terminals",
                            ),
                        ),
                        (
                            "server",
                            models.CharField(
                                blank=True,
                                help_text="The engine's name for its server when that was a spare one.",
                                max_length=40,
                            ),
                        ),
                        (
                            "last_log",
                            models.TextField(
                                blank=True, help_text="The last lines of the server that ended."
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "cloned_from",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="workbench.workspace",
                            ),
                        ),
                        (
                            "datasets",
                            models.ManyToManyField(
                                blank=True,
                                related_name="+",
                                to="datasets.datasetversion",
                                verbose_name="data sets",
                            ),
                        ),
                        (
                            "owner",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="workspaces",
                                to=settings.AUTH_USER_MODEL,
                                verbose_name="owner",
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="workspaces",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                        (
                            "token",
                            models.ForeignKey(
                                editable=False,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="accounts.personaltoken",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "workspace",
                        "verbose_name_plural": "workspaces",
                    },
                ),
                migrations.CreateModel(
                    name="SpareServer",
                    fields=[
                        ("workload_id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                        (
                            "environment",
                            models.CharField(
                                help_text="The folder's name, which carries the lock's digest.", max_length=80
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "workspace",
                            models.OneToOneField(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="workbench.workspace",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "spare server",
                        "verbose_name_plural": "spare servers",
                    },
                ),
                migrations.CreateModel(
                    name="Registration",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("model", models.CharField(blank=True, max_length=256)),
                        ("model_version", models.CharField(blank=True, max_length=20)),
                        ("source", models.CharField(max_length=500)),
                        ("run_id", models.CharField(blank=True, max_length=64)),
                        ("capability", models.SlugField(max_length=63, verbose_name="capability")),
                        ("number", models.CharField(blank=True, max_length=64, verbose_name="version")),
                        ("job_id", models.BigIntegerField(null=True)),
                        ("code", models.JSONField(default=dict)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("waiting", "Being taken over"),
                                    ("done", "Registered"),
                                    ("failed", "Failed"),
                                ],
                                default="waiting",
                                max_length=10,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
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
                                related_name="+",
                                to="accounts.team",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "workspace",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="workbench.workspace",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "registration",
                        "verbose_name_plural": "registrations",
                    },
                ),
                migrations.CreateModel(
                    name="Recording",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("terminal", models.CharField(max_length=60, verbose_name="terminal")),
                        ("started_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("seconds", models.FloatField(default=0)),
                        ("size", models.PositiveBigIntegerField(default=0, help_text="Bytes.")),
                        (
                            "full",
                            models.BooleanField(
                                default=False, help_text="Whether it ended at its size limit."
                            ),
                        ),
                        ("expires_at", models.DateTimeField(help_text="When it is deleted.")),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "workspace",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="workbench.workspace",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "recording",
                        "verbose_name_plural": "recordings",
                    },
                ),
                migrations.CreateModel(
                    name="NotebookSnapshot",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("path", models.CharField(max_length=1000)),
                        ("sha256", models.CharField(max_length=64)),
                        ("size", models.BigIntegerField()),
                        ("cells", models.PositiveIntegerField()),
                        ("saved_at", models.DateTimeField()),
                        ("taken_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "workspace",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="snapshots",
                                to="workbench.workspace",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "snapshot of a notebook",
                        "verbose_name_plural": "snapshots of notebooks",
                    },
                ),
                migrations.CreateModel(
                    name="Environment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.SlugField(max_length=40, unique=True, verbose_name="name")),
                        (
                            "requirements",
                            models.TextField(help_text="One package per line.", verbose_name="packages"),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("locking", "Choosing versions"),
                                    ("building", "Installing"),
                                    ("ready", "Ready"),
                                    ("failed", "Failed"),
                                ],
                                default="locking",
                                max_length=10,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        (
                            "job_id",
                            models.BigIntegerField(help_text="The job that locked it last.", null=True),
                        ),
                        (
                            "steps",
                            models.JSONField(
                                default=dict, help_text="Name of each step that began, to the moment."
                            ),
                        ),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("lock_name", models.CharField(blank=True, max_length=60)),
                        ("lock_sha256", models.CharField(blank=True, max_length=64)),
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
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                        (
                            "workspace",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="workbench.workspace",
                                verbose_name="workspace",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "environment",
                        "verbose_name_plural": "environments",
                    },
                ),
                migrations.CreateModel(
                    name="Entry",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("origin", models.CharField(help_text="w<workspace> or mlflow.", max_length=40)),
                        ("session_key", models.CharField(max_length=40)),
                        ("ticket_digest", models.CharField(max_length=64, unique=True)),
                        ("ticket_expires_at", models.DateTimeField()),
                        ("cookie_digest", models.CharField(blank=True, max_length=64)),
                        ("redeemed_at", models.DateTimeField(null=True)),
                        ("expires_at", models.DateTimeField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "entry",
                        "verbose_name_plural": "entries",
                        "indexes": [
                            models.Index(fields=["expires_at"], name="workbench_e_expires_68f4af_idx")
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("cookie_digest", ""), _negated=True),
                                fields=("cookie_digest",),
                                name="entry_cookie_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="InstallOutput",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("text", models.TextField()),
                        (
                            "environment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="workbench.environment",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "installer's output",
                        "verbose_name_plural": "installer's output",
                        "indexes": [
                            models.Index(fields=["environment", "id"], name="install_output_in_order")
                        ],
                    },
                ),
                migrations.AddConstraint(
                    model_name="recipeversion",
                    constraint=models.UniqueConstraint(
                        fields=("recipe", "number"), name="recipe_version_once"
                    ),
                ),
                migrations.AddIndex(
                    model_name="reciperun",
                    index=models.Index(
                        condition=models.Q(("settled", False)), fields=["id"], name="recipe_run_unsettled"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="recordingrule",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("scope", "all")),
                        fields=("scope",),
                        name="recording_rule_for_all_once",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="recordingrule",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("scope", "all"), ("site", None), ("team", None)),
                            models.Q(("scope", "site"), ("site__isnull", False), ("team", None)),
                            models.Q(("scope", "team"), ("site", None), ("team__isnull", False)),
                            _connector="OR",
                        ),
                        name="recording_rule_names_its_scope",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="trial",
                    constraint=models.UniqueConstraint(fields=("sweep", "number"), name="trial_once"),
                ),
                migrations.AddConstraint(
                    model_name="workspace",
                    constraint=models.UniqueConstraint(
                        fields=("owner", "name"), name="workspace_name_once_per_owner"
                    ),
                ),
                migrations.AddIndex(
                    model_name="registration",
                    index=models.Index(
                        condition=models.Q(("status", "waiting")),
                        fields=["status"],
                        name="registration_waiting",
                    ),
                ),
                migrations.AddIndex(
                    model_name="registration",
                    index=models.Index(fields=["team", "run_id"], name="registration_of_run"),
                ),
                migrations.AddConstraint(
                    model_name="registration",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("model", ""), _negated=True),
                        fields=("team", "model", "model_version"),
                        name="registration_once_per_model_version",
                    ),
                ),
                migrations.AddIndex(
                    model_name="recording",
                    index=models.Index(fields=["user", "-started_at", "-id"], name="recording_of_person"),
                ),
                migrations.AddIndex(
                    model_name="recording",
                    index=models.Index(
                        fields=["workspace", "-started_at", "-id"], name="recording_of_workspace"
                    ),
                ),
                migrations.AddIndex(
                    model_name="recording",
                    index=models.Index(fields=["expires_at"], name="recording_to_delete"),
                ),
                migrations.AddIndex(
                    model_name="notebooksnapshot",
                    index=models.Index(fields=["workspace", "path", "-id"], name="snapshot_by_notebook"),
                ),
            ]
        )
    ]
