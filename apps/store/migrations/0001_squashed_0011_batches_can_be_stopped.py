"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("store", "0001_initial"),
        ("store", "0002_standing_reviews_follows"),
        ("store", "0003_batches"),
        ("store", "0004_plans_over_time"),
        ("store", "0005_demands"),
        ("store", "0006_copies_at_other_sites"),
        ("store", "0007_plans_for_devices"),
        ("store", "0008_saved_cases"),
        ("store", "0009_results_of_cases"),
        ("store", "0010_successors_of_plans"),
        ("store", "0011_batches_can_be_stopped"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("compute", "0001_squashed_0007_told_of_attempts"),
        ("gateway", "0001_squashed_0010_refusals_for_quota"),
        ("instances", "0001_squashed_0010_reasons_in_any_language"),
        ("requests", "0001_squashed_0007_titles_searched_in_each_language"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Notice",
                    fields=[
                        ("key", models.CharField(max_length=100, primary_key=True, serialize=False)),
                        ("at", models.DateTimeField(auto_now_add=True)),
                    ],
                    options={
                        "verbose_name": "notice",
                        "verbose_name_plural": "notices",
                    },
                ),
                migrations.CreateModel(
                    name="Standing",
                    fields=[
                        (
                            "capability",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="standing",
                                serialize=False,
                                to="catalog.capability",
                            ),
                        ),
                        ("rating", models.FloatField(default=0)),
                        ("reviews", models.PositiveIntegerField(default=0)),
                        ("subscribers", models.PositiveIntegerField(default=0)),
                        ("calls", models.BigIntegerField(default=0)),
                        ("availability", models.FloatField(null=True)),
                        ("framework", models.CharField(blank=True, max_length=40)),
                        ("licence", models.CharField(blank=True, max_length=60)),
                        (
                            "data_types",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.CharField(max_length=20), default=list, size=None
                            ),
                        ),
                        (
                            "badges",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.CharField(max_length=20), default=list, size=None
                            ),
                        ),
                        ("made_at", models.DateTimeField(null=True)),
                        ("computed_at", models.DateTimeField(db_index=True)),
                    ],
                    options={
                        "verbose_name": "standing",
                        "verbose_name_plural": "standings",
                    },
                ),
                migrations.CreateModel(
                    name="Demand",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("title", models.CharField(max_length=120, verbose_name="what is wanted")),
                        (
                            "need",
                            models.TextField(
                                max_length=4000, verbose_name="what for, on which data, how good"
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("open", "Open"),
                                    ("taken", "Taken"),
                                    ("answered", "Answered"),
                                    ("withdrawn", "Withdrawn"),
                                ],
                                default="open",
                                editable=False,
                                max_length=10,
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "posted_by",
                            models.ForeignKey(
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
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "demand",
                        "verbose_name_plural": "demands",
                    },
                ),
                migrations.CreateModel(
                    name="DemandNeed",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("text", models.TextField(blank=True, max_length=2000, verbose_name="your need")),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "demand",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="needs",
                                to="store.demand",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "need",
                        "verbose_name_plural": "needs",
                    },
                ),
                migrations.CreateModel(
                    name="Follow",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="follows",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="accounts.team",
                            ),
                        ),
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
                        "verbose_name": "follow",
                        "verbose_name_plural": "follows",
                    },
                ),
                migrations.CreateModel(
                    name="Plan",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.SlugField(max_length=40, verbose_name="name")),
                        (
                            "description",
                            models.CharField(blank=True, max_length=300, verbose_name="description"),
                        ),
                        ("limits", models.JSONField(default=dict, verbose_name="limits")),
                        (
                            "approval",
                            models.CharField(
                                choices=[
                                    ("auto", "At once"),
                                    ("one", "One approval"),
                                    ("four_eyes", "Four eyes"),
                                ],
                                default="auto",
                                max_length=10,
                                verbose_name="approval",
                            ),
                        ),
                        (
                            "trial",
                            models.BooleanField(
                                default=False,
                                help_text="The limits of “Try it”, for each person; nobody subscribes to it.",
                                verbose_name="trial",
                            ),
                        ),
                        (
                            "valid_days",
                            models.PositiveIntegerField(
                                blank=True,
                                help_text="Empty: a subscription has no end.",
                                null=True,
                                validators=[
                                    django.core.validators.MinValueValidator(1),
                                    django.core.validators.MaxValueValidator(3660),
                                ],
                                verbose_name="days until it has to be renewed",
                            ),
                        ),
                        (
                            "reuse",
                            models.BooleanField(
                                default=False,
                                help_text="A subscriber of another site may run the same bytes there; its keys are answered there.",
                                verbose_name="may run at the subscriber's site",
                            ),
                        ),
                        (
                            "device",
                            models.BooleanField(
                                default=False,
                                help_text="A subscriber may download the model with a page that runs it, where there is no portal.",
                                verbose_name="may run on a device",
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("draft", "Draft"),
                                    ("published", "Published"),
                                    ("withdrawn", "Withdrawn"),
                                ],
                                default="draft",
                                editable=False,
                                max_length=10,
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="plans",
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
                        "verbose_name": "plan",
                        "verbose_name_plural": "plans",
                        "ordering": ["pk"],
                    },
                ),
                migrations.CreateModel(
                    name="Review",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "rating",
                            models.PositiveSmallIntegerField(
                                validators=[
                                    django.core.validators.MinValueValidator(1),
                                    django.core.validators.MaxValueValidator(5),
                                ],
                                verbose_name="rating",
                            ),
                        ),
                        (
                            "text",
                            models.TextField(
                                blank=True, max_length=4000, verbose_name="what you want to tell others"
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("edited_at", models.DateTimeField(null=True)),
                        ("answer", models.TextField(blank=True, max_length=4000, verbose_name="answer")),
                        ("answered_at", models.DateTimeField(null=True)),
                        (
                            "answered_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="reviews",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "review",
                        "verbose_name_plural": "reviews",
                    },
                ),
                migrations.CreateModel(
                    name="SavedCase",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100, verbose_name="name")),
                        (
                            "inputs",
                            models.JSONField(
                                help_text="The tensors of the question, as the protocol has them."
                            ),
                        ),
                        (
                            "expected",
                            models.JSONField(
                                default=list,
                                help_text="The tensors that are checked; none is only a question.",
                            ),
                        ),
                        ("tolerance", models.FloatField(default=1e-05, verbose_name="tolerance")),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="saved_cases",
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
                        "verbose_name": "saved case",
                        "verbose_name_plural": "saved cases",
                    },
                ),
                migrations.CreateModel(
                    name="CaseResult",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(max_length=32)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("passed", "Passed"),
                                    ("failed", "Failed"),
                                    ("answered", "Answered"),
                                    ("skipped", "Not asked"),
                                ],
                                max_length=8,
                                verbose_name="status",
                            ),
                        ),
                        ("message", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What `message` is made of."
                            ),
                        ),
                        ("difference", models.FloatField(null=True)),
                        ("took_ms", models.FloatField(default=0)),
                        ("request_id", models.CharField(blank=True, max_length=64)),
                        ("at", models.DateTimeField()),
                        (
                            "by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
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
                        (
                            "saved",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="store.savedcase",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "result of a case",
                        "verbose_name_plural": "results of cases",
                    },
                ),
                migrations.CreateModel(
                    name="Subscription",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("use_case", models.TextField(blank=True, max_length=2000, verbose_name="use case")),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("pending", "Waiting for approval"),
                                    ("granted", "Granted"),
                                    ("rejected", "Rejected"),
                                    ("suspended", "Suspended"),
                                    ("expired", "Expired"),
                                    ("cancelled", "Cancelled"),
                                ],
                                default="pending",
                                editable=False,
                                max_length=10,
                            ),
                        ),
                        ("status_reason", models.CharField(blank=True, max_length=500)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("granted_at", models.DateTimeField(blank=True, null=True)),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        ("ended_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "plan",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="subscriptions",
                                to="store.plan",
                            ),
                        ),
                        (
                            "requested_by",
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
                            "ticket",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="requests.request",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "subscription",
                        "verbose_name_plural": "subscriptions",
                    },
                ),
                migrations.CreateModel(
                    name="SiteCopy",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("waiting", "Waiting for approval"),
                                    ("starting", "Starting"),
                                    ("running", "Running"),
                                    ("ended", "Ended"),
                                ],
                                default="waiting",
                                editable=False,
                                max_length=10,
                            ),
                        ),
                        ("reason", models.CharField(blank=True, max_length=500)),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
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
                            "site",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.site",
                            ),
                        ),
                        (
                            "successor",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
                            ),
                        ),
                        (
                            "subscription",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="copies",
                                to="store.subscription",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "copy at a site",
                        "verbose_name_plural": "copies at sites",
                    },
                ),
                migrations.CreateModel(
                    name="Change",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("done", models.BooleanField(default=False)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "ticket",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="requests.request",
                            ),
                        ),
                        (
                            "plan",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="store.plan"
                            ),
                        ),
                        (
                            "subscription",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="changes",
                                to="store.subscription",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "change of a subscription",
                        "verbose_name_plural": "changes of subscriptions",
                    },
                ),
                migrations.CreateModel(
                    name="SubscriptionKey",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("once", models.CharField(editable=False, max_length=64, null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "grant",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="gateway.grant",
                            ),
                        ),
                        (
                            "replaced_by",
                            models.OneToOneField(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="replaces",
                                to="store.subscriptionkey",
                            ),
                        ),
                        (
                            "subscription",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="keys",
                                to="store.subscription",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "key",
                        "verbose_name_plural": "keys",
                        "ordering": ["-pk"],
                    },
                ),
                migrations.CreateModel(
                    name="Succession",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("moves_on", models.DateField(null=True)),
                        ("named_at", models.DateTimeField()),
                        (
                            "named_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "plan",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="succession",
                                to="store.plan",
                            ),
                        ),
                        (
                            "successor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="store.plan"
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "succession of a plan",
                        "verbose_name_plural": "successions of plans",
                    },
                ),
                migrations.CreateModel(
                    name="TrustedTeam",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("added_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "added_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="accounts.team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "trusted team",
                        "verbose_name_plural": "trusted teams",
                    },
                ),
                migrations.CreateModel(
                    name="Batch",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("version", models.CharField(max_length=64)),
                        ("file_name", models.CharField(max_length=200)),
                        ("size", models.BigIntegerField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
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
                            "grant",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="gateway.grant",
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
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "batch",
                        "verbose_name_plural": "batches",
                        "indexes": [models.Index(fields=["user", "-id"], name="batch_of_person")],
                    },
                ),
                migrations.AddIndex(
                    model_name="demand",
                    index=models.Index(fields=["status", "-id"], name="demand_by_status"),
                ),
                migrations.AddConstraint(
                    model_name="demandneed",
                    constraint=models.UniqueConstraint(fields=("demand", "user"), name="need_once"),
                ),
                migrations.AddConstraint(
                    model_name="follow",
                    constraint=models.UniqueConstraint(
                        fields=("user", "capability", "team"), name="follow_once", nulls_distinct=False
                    ),
                ),
                migrations.AddConstraint(
                    model_name="follow",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("capability", None), ("team__isnull", False)),
                            models.Q(("capability__isnull", False), ("team", None)),
                            _connector="OR",
                        ),
                        name="follow_one_thing",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="plan",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status", "withdrawn"), _negated=True),
                        fields=("capability", "name"),
                        name="plan_name_once",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="plan",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status", "published"), ("trial", True)),
                        fields=("capability",),
                        name="plan_one_trial",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="review",
                    constraint=models.UniqueConstraint(fields=("capability", "user"), name="review_once"),
                ),
                migrations.AddConstraint(
                    model_name="review",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("rating__gte", 1), ("rating__lte", 5)),
                        name="review_rating_1_to_5",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="savedcase",
                    constraint=models.UniqueConstraint(
                        fields=("capability", "name"), name="saved_case_named_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="caseresult",
                    constraint=models.UniqueConstraint(fields=("deployment", "key"), name="case_result_once"),
                ),
                migrations.AddIndex(
                    model_name="subscription",
                    index=models.Index(fields=["team", "-id"], name="subscription_of_team"),
                ),
                migrations.AddConstraint(
                    model_name="subscription",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status__in", ["pending", "granted", "suspended"])),
                        fields=("plan", "team"),
                        name="subscription_open_once",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="sitecopy",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status__in", ["waiting", "starting", "running"])),
                        fields=("subscription",),
                        name="copy_open_once",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="change",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("subscription",),
                        name="change_one_at_a_time",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="subscriptionkey",
                    constraint=models.UniqueConstraint(fields=("subscription", "once"), name="key_once"),
                ),
                migrations.AddConstraint(
                    model_name="trustedteam",
                    constraint=models.UniqueConstraint(fields=("capability", "team"), name="trusted_once"),
                ),
            ]
        )
    ]
