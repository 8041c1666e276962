"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("releases", "0001_initial"),
        ("releases", "0002_findings_bypass_shadow"),
        ("releases", "0003_replays_and_consent"),
        ("releases", "0004_reruns"),
        ("releases", "0005_minutes_and_business_metric"),
        ("releases", "0006_deputies"),
        ("releases", "0007_stages_at_sites_and_load"),
        ("releases", "0008_reasons_as_codes"),
        ("releases", "0009_waits_in_any_language"),
        ("releases", "0010_who_alone_objects"),
        ("releases", "0011_reasons_in_any_language"),
        ("releases", "0012_gates_of_policies"),
        ("releases", "0013_pauses_by_itself"),
        ("releases", "0014_held_by_cause_and_withdrawn_policies"),
        ("releases", "0015_processor_time_of_a_row"),
        ("releases", "0016_rerun_on_another_version"),
        ("releases", "0017_what_an_objection_keeps"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("evaluation", "0001_squashed_0006_several_data_sets"),
        ("instances", "0001_squashed_0010_reasons_in_any_language"),
        ("requests", "0001_squashed_0007_titles_searched_in_each_language"),
        ("store", "0001_squashed_0011_batches_can_be_stopped"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Policy",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField(verbose_name="number")),
                        ("signers", models.JSONField(default=list)),
                        ("gates", models.JSONField(default=list, verbose_name="gates")),
                        (
                            "four_eyes",
                            models.BooleanField(
                                default=True, verbose_name="each signature by another person"
                            ),
                        ),
                        ("stages", models.JSONField(default=list)),
                        (
                            "shadow_calls",
                            models.PositiveIntegerField(
                                default=0,
                                help_text="0: no shadow stage.",
                                verbose_name="mirrored calls before the first stage",
                            ),
                        ),
                        (
                            "deputies",
                            models.BooleanField(default=True, verbose_name="who is away can be stood in for"),
                        ),
                        (
                            "deadline_days",
                            models.PositiveSmallIntegerField(default=14, verbose_name="days to sign"),
                        ),
                        (
                            "stage_days",
                            models.PositiveSmallIntegerField(
                                default=14,
                                verbose_name="days after which an undecided stage pauses the release",
                            ),
                        ),
                        (
                            "replay_calls",
                            models.PositiveIntegerField(
                                default=0,
                                help_text="0: subscribers are not asked.",
                                verbose_name="logged calls of each subscriber that the candidate answers before 100 %",
                            ),
                        ),
                        (
                            "metric",
                            models.JSONField(
                                help_text="A business metric over calls and feedback, see `business.Metric`.",
                                null=True,
                            ),
                        ),
                        (
                            "consent_hours",
                            models.PositiveSmallIntegerField(
                                default=72, verbose_name="hours for subscribers to object"
                            ),
                        ),
                        (
                            "pin_days",
                            models.PositiveSmallIntegerField(
                                default=30, verbose_name="days that who objects keeps the old version"
                            ),
                        ),
                        (
                            "replays_stand_in",
                            models.BooleanField(
                                default=False,
                                verbose_name="replayed calls may stand in for calls that stay away because subscribers object",
                            ),
                        ),
                        (
                            "promote_by_gate",
                            models.BooleanField(
                                default=False,
                                verbose_name="go to the next stage without a person when the evidence is a success",
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "withdrawn_at",
                            models.DateTimeField(
                                help_text="From then on the capability follows its team's.", null=True
                            ),
                        ),
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                        (
                            "withdrawn_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "release policy",
                        "verbose_name_plural": "release policies",
                    },
                ),
                migrations.CreateModel(
                    name="Release",
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
                                    ("signing", "Waiting for signatures"),
                                    ("signed", "Signed"),
                                    ("rolling", "In gray release"),
                                    ("paused", "Paused"),
                                    ("released", "Released"),
                                    ("rejected", "Rejected"),
                                    ("voided", "Signature void"),
                                    ("rolled_back", "Rolled back"),
                                    ("superseded", "Superseded"),
                                ],
                                default="signing",
                                max_length=12,
                            ),
                        ),
                        ("content_digest", models.CharField(max_length=64)),
                        (
                            "cases",
                            models.JSONField(
                                help_text="What the shipped cases said on the served endpoint.", null=True
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        ("why", models.JSONField(blank=True, default=dict)),
                        (
                            "held",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text="{cause: since when}: what keeps it from going on, by its code.",
                            ),
                        ),
                        ("opened_at", models.DateTimeField(auto_now_add=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "baseline",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
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
                            "deployment",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
                            ),
                        ),
                        (
                            "opened_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "policy",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="releases",
                                to="releases.policy",
                            ),
                        ),
                        (
                            "report",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="evaluation.report",
                            ),
                        ),
                        (
                            "request",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="requests.request",
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
                        "verbose_name": "release",
                        "verbose_name_plural": "releases",
                    },
                ),
                migrations.CreateModel(
                    name="Finding",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("text", models.TextField()),
                        (
                            "most_percent",
                            models.PositiveSmallIntegerField(
                                default=0, verbose_name="most of the traffic, %"
                            ),
                        ),
                        ("raised_at", models.DateTimeField(auto_now_add=True)),
                        ("closed_at", models.DateTimeField(null=True)),
                        ("resolution", models.TextField(blank=True)),
                        (
                            "closed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "raised_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "release",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="findings",
                                to="releases.release",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "finding",
                        "verbose_name_plural": "findings",
                    },
                ),
                migrations.CreateModel(
                    name="Replay",
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
                                    ("running", "Being replayed"),
                                    ("asked", "Waiting for the subscriber"),
                                    ("consented", "Consents"),
                                    ("objected", "Objects"),
                                    ("lapsed", "Said nothing in time"),
                                    ("skipped", "No calls to replay"),
                                    ("ended", "The release ended"),
                                ],
                                default="running",
                                max_length=10,
                            ),
                        ),
                        ("collected", models.BooleanField(default=False)),
                        ("waits_for", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What `waits_for` is made of."
                            ),
                        ),
                        ("claimed_until", models.DateTimeField(null=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("deadline", models.DateTimeField(null=True)),
                        ("answered_at", models.DateTimeField(null=True)),
                        ("comment", models.TextField(blank=True, verbose_name="comment")),
                        ("asked_anew_at", models.DateTimeField(null=True)),
                        (
                            "asked_anew_for",
                            models.TextField(blank=True, help_text="What the provider says to an objection."),
                        ),
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
                            "asked_anew_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "kept",
                            models.ForeignKey(
                                help_text="What an objection keeps, or kept.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
                            ),
                        ),
                        (
                            "release",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="replays",
                                to="releases.release",
                            ),
                        ),
                        (
                            "subscription",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="store.subscription",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "replay",
                        "verbose_name_plural": "replays",
                    },
                ),
                migrations.CreateModel(
                    name="ReplayedCall",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField()),
                        ("at", models.DateTimeField()),
                        ("version", models.CharField(max_length=64)),
                        (
                            "outcome",
                            models.CharField(
                                choices=[
                                    ("pending", "Pending"),
                                    ("same", "Same answer"),
                                    ("moved", "Numbers moved"),
                                    ("different", "Another answer"),
                                    ("failed", "No answer"),
                                    ("skipped", "Not replayed"),
                                ],
                                default="pending",
                                max_length=10,
                            ),
                        ),
                        ("largest", models.FloatField(null=True)),
                        ("answer_id", models.UUIDField(null=True)),
                        ("message", models.CharField(blank=True, max_length=300)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What `message` is made of."
                            ),
                        ),
                        (
                            "replay",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="calls",
                                to="releases.replay",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "replayed call",
                        "verbose_name_plural": "replayed calls",
                    },
                ),
                migrations.CreateModel(
                    name="Rerun",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField()),
                        ("at", models.DateTimeField()),
                        (
                            "own_deployment",
                            models.BooleanField(help_text="Brought up for this, and ended with it."),
                        ),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("waiting", "Under way"),
                                    ("answered", "Answered"),
                                    ("failed", "Failed"),
                                ],
                                default="waiting",
                                max_length=10,
                            ),
                        ),
                        ("claimed_until", models.DateTimeField(null=True)),
                        ("outcome", models.CharField(blank=True, max_length=10)),
                        ("largest", models.FloatField(null=True)),
                        ("answer_id", models.UUIDField(null=True)),
                        ("message", models.CharField(blank=True, max_length=300)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What `message` is made of."
                            ),
                        ),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "answered_by",
                            models.ForeignKey(
                                help_text="The version that answered then, where another one is asked; null: `version` itself.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
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
                        "verbose_name": "call run again",
                        "verbose_name_plural": "calls run again",
                    },
                ),
                migrations.CreateModel(
                    name="Signature",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("role", models.CharField(max_length=10)),
                        ("content_digest", models.CharField(max_length=64)),
                        ("comment", models.TextField(blank=True)),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "instead_of",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "release",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="signatures",
                                to="releases.release",
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
                        "verbose_name": "signature",
                        "verbose_name_plural": "signatures",
                    },
                ),
                migrations.CreateModel(
                    name="Stage",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("position", models.PositiveSmallIntegerField()),
                        ("weight", models.PositiveSmallIntegerField(verbose_name="share")),
                        ("worse_by", models.FloatField()),
                        ("slow_ms", models.FloatField(null=True)),
                        ("memory_mb", models.FloatField(null=True)),
                        ("server_cpu", models.FloatField(null=True)),
                        ("costlier_by", models.FloatField(null=True)),
                        ("site", models.CharField(blank=True, max_length=50)),
                        (
                            "load",
                            models.JSONField(
                                default=dict, help_text="What servers were busy with, see `load`."
                            ),
                        ),
                        ("metric", models.JSONField(null=True)),
                        ("counted_at", models.DateTimeField(null=True)),
                        ("recounted_at", models.DateTimeField(null=True)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("pending", "Pending"),
                                    ("active", "Active"),
                                    ("passed", "Passed"),
                                    ("failed", "Failed"),
                                    ("skipped", "Not reached"),
                                ],
                                default="pending",
                                max_length=8,
                            ),
                        ),
                        ("outcome", models.CharField(blank=True, max_length=10)),
                        ("evidence", models.JSONField(default=dict)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("resumed_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "release",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="stages",
                                to="releases.release",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "stage",
                        "verbose_name_plural": "stages",
                        "ordering": ["position"],
                    },
                ),
                migrations.CreateModel(
                    name="Conclusion",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("reason", models.TextField()),
                        ("evidence", models.JSONField(default=dict)),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("asked", "Waiting for a second person"),
                                    ("agreed", "Agreed"),
                                    ("withdrawn", "Withdrawn"),
                                ],
                                default="asked",
                                max_length=10,
                            ),
                        ),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        ("settled_at", models.DateTimeField(null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "settled_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "stage",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="conclusions",
                                to="releases.stage",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "conclusion of a stage",
                        "verbose_name_plural": "conclusions of stages",
                    },
                ),
                migrations.CreateModel(
                    name="StageMinute",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("deployment_id", models.BigIntegerField()),
                        ("minute", models.DateTimeField()),
                        ("calls", models.PositiveIntegerField()),
                        ("errors", models.PositiveIntegerField()),
                        ("slow", models.PositiveIntegerField()),
                        ("bad", models.PositiveIntegerField()),
                        (
                            "histogram",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.PositiveIntegerField(), size=None
                            ),
                        ),
                        ("metric_n", models.PositiveIntegerField(null=True)),
                        ("metric_sum", models.FloatField(default=0)),
                        ("metric_squares", models.FloatField(default=0)),
                        ("cpu_s", models.FloatField(default=0)),
                        ("rows", models.FloatField(null=True)),
                        (
                            "stage",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="minutes",
                                to="releases.stage",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "minute of a stage",
                        "verbose_name_plural": "minutes of a stage",
                    },
                ),
                migrations.CreateModel(
                    name="Bypass",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("version_digest", models.CharField(max_length=64)),
                        ("reason", models.TextField()),
                        ("hours", models.PositiveSmallIntegerField()),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("asked", "Waiting for a second person"),
                                    ("active", "In force"),
                                    ("ended", "Rolled back"),
                                    ("signed", "Signed afterwards"),
                                    ("withdrawn", "Withdrawn"),
                                ],
                                default="asked",
                                max_length=10,
                            ),
                        ),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        ("expires_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "agreed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "asked_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "baseline",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="instances.deployment",
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "emergency bypass",
                        "verbose_name_plural": "emergency bypasses",
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("status__in", ["asked", "active"])),
                                fields=("capability",),
                                name="bypass_one_at_a_time",
                            )
                        ],
                    },
                ),
                migrations.AddConstraint(
                    model_name="policy",
                    constraint=models.UniqueConstraint(
                        fields=("team", "capability", "number"),
                        name="policy_number_once",
                        nulls_distinct=False,
                    ),
                ),
                migrations.AddIndex(
                    model_name="release",
                    index=models.Index(fields=["capability", "-id"], name="release_of_capability"),
                ),
                migrations.AddConstraint(
                    model_name="release",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status__in", ["rolling", "paused"])),
                        fields=("capability",),
                        name="release_one_in_gray",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="release",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(
                            ("status__in", ["signing", "signed", "rolling", "paused", "released"])
                        ),
                        fields=("version", "content_digest"),
                        name="release_once_for_content",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="finding",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("most_percent__lte", 99)), name="finding_limits_the_share"
                    ),
                ),
                migrations.AddIndex(
                    model_name="replay",
                    index=models.Index(
                        condition=models.Q(("status", "running")), fields=["release"], name="replay_running"
                    ),
                ),
                migrations.AddIndex(
                    model_name="replay",
                    index=models.Index(
                        condition=models.Q(("status", "asked")), fields=["deadline"], name="replay_due"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="replay",
                    constraint=models.UniqueConstraint(
                        fields=("release", "subscription"), name="replay_once_for_subscriber"
                    ),
                ),
                migrations.AddIndex(
                    model_name="replayedcall",
                    index=models.Index(fields=["replay", "outcome", "id"], name="replayed_by_outcome"),
                ),
                migrations.AddConstraint(
                    model_name="replayedcall",
                    constraint=models.UniqueConstraint(fields=("replay", "request_id"), name="replayed_once"),
                ),
                migrations.AddIndex(
                    model_name="rerun",
                    index=models.Index(
                        condition=models.Q(("status", "waiting")), fields=["id"], name="rerun_waiting"
                    ),
                ),
                migrations.AddIndex(
                    model_name="rerun",
                    index=models.Index(fields=["request_id"], name="rerun_of_call"),
                ),
                migrations.AddConstraint(
                    model_name="signature",
                    constraint=models.UniqueConstraint(fields=("release", "user"), name="signature_once"),
                ),
                migrations.AddConstraint(
                    model_name="stage",
                    constraint=models.UniqueConstraint(
                        fields=("release", "position"), name="stage_position_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="conclusion",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status", "asked")),
                        fields=("stage",),
                        name="conclusion_one_asked",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="stageminute",
                    constraint=models.UniqueConstraint(
                        fields=("stage", "deployment_id", "minute"), name="stage_minute_once"
                    ),
                ),
            ]
        )
    ]
