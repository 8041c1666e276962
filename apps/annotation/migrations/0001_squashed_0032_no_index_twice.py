"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.annotation.migrations._sql import (
    AHEAD,
    AHEAD_NO_MORE,
    BY_NO_MORE,
    CLAIM_BY,
    CLAIM_HELD_AHEAD,
    CLAIM_NO_MORE,
    COUNT,
    COUNT_NO_MORE,
    GOLDEN_AHEAD,
    GOLDEN_AHEAD_NO_MORE,
    SAY,
    SAY_BY,
)
from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("annotation", "0001_initial"),
        ("annotation", "0002_initial"),
        ("annotation", "0003_task_knows_its_rule"),
        ("annotation", "0004_tally_and_indexes"),
        ("annotation", "0005_label_types"),
        ("annotation", "0006_claim_and_say"),
        ("annotation", "0007_transfers"),
        ("annotation", "0008_queue"),
        ("annotation", "0009_merged_calls_and_kinds"),
        ("annotation", "0010_draws_and_near_duplicates"),
        ("annotation", "0011_fill_draws"),
        ("annotation", "0012_golden_tasks_and_decisions"),
        ("annotation", "0013_claim_golden"),
        ("annotation", "0014_places_held_ahead"),
        ("annotation", "0015_reasons_in_any_language"),
        ("annotation", "0016_reasons_in_any_language"),
        ("annotation", "0017_rules_that_break"),
        ("annotation", "0018_flagged_ones"),
        ("annotation", "0019_retraining_rules"),
        ("annotation", "0020_inputs_asked_again"),
        ("annotation", "0021_many_tasks_at_once"),
        ("annotation", "0022_rules_for_rare_answers_and_candidates"),
        ("annotation", "0023_turns_of_rules_and_inputs"),
        ("annotation", "0024_newest_label_weighed"),
        ("annotation", "0025_model_answer_to_begin_from"),
        ("annotation", "0026_pseudonyms"),
        ("annotation", "0027_value_to_hold_against"),
        ("annotation", "0028_people_trusted"),
        ("annotation", "0029_what_was_heard_and_which_rule_chose"),
        ("annotation", "0030_place_in_a_late_minute"),
        ("annotation", "0031_who_claims_and_says"),
        ("annotation", "0032_no_index_twice"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0004_archived_sites"),
        ("catalog", "0001_squashed_0010_deprecation_of_versions"),
        ("compute", "0001_squashed_0007_told_of_attempts"),
        ("datasets", "0001_squashed_0003_people_who_read_a_data_set"),
        ("evaluation", "0001_squashed_0006_several_data_sets"),
        ("releases", "0001_squashed_0017_what_an_objection_keeps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Project",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100, verbose_name="name")),
                        ("question", models.CharField(max_length=200, verbose_name="question")),
                        ("guideline", models.TextField(blank=True, verbose_name="guideline")),
                        (
                            "show",
                            models.CharField(
                                choices=[
                                    ("image", "Image"),
                                    ("text", "Text"),
                                    ("row", "Table row"),
                                    ("series", "Series"),
                                    ("table", "Table"),
                                    ("pair", "Two side by side"),
                                ],
                                max_length=8,
                                verbose_name="shown as",
                            ),
                        ),
                        ("kind", models.CharField(default="single", max_length=12, verbose_name="asked for")),
                        ("options", models.JSONField(default=dict)),
                        ("labels", models.JSONField(default=list, verbose_name="labels")),
                        (
                            "overlap",
                            models.PositiveSmallIntegerField(default=2, verbose_name="people per task"),
                        ),
                        ("blind", models.BooleanField(default=False, verbose_name="hide the model's answer")),
                        (
                            "near",
                            models.BooleanField(
                                default=False, verbose_name="put almost equal inputs into one task"
                            ),
                        ),
                        (
                            "pseudonymous",
                            models.BooleanField(
                                db_default=False,
                                default=False,
                                verbose_name="keep people's names out of data sets",
                            ),
                        ),
                        (
                            "order",
                            models.CharField(
                                choices=[
                                    ("priority", "The most urgent first"),
                                    ("sequential", "As they came"),
                                    ("uniform", "Shuffled"),
                                    ("uncertainty", "The least certain first"),
                                ],
                                default="priority",
                                max_length=12,
                                verbose_name="order",
                            ),
                        ),
                        (
                            "per_person",
                            models.PositiveIntegerField(
                                blank=True, null=True, verbose_name="tasks per person at most"
                            ),
                        ),
                        (
                            "golden_every",
                            models.PositiveSmallIntegerField(
                                blank=True, null=True, verbose_name="one task in so many is a golden one"
                            ),
                        ),
                        (
                            "gate",
                            models.FloatField(blank=True, null=True, verbose_name="accuracy to decide on"),
                        ),
                        ("target", models.CharField(max_length=100, verbose_name="column for the label")),
                        (
                            "status",
                            models.CharField(
                                choices=[("open", "Open"), ("paused", "Paused"), ("closed", "Closed")],
                                default="open",
                                max_length=8,
                            ),
                        ),
                        (
                            "weighed",
                            models.BigIntegerField(
                                db_default=0,
                                default=0,
                                editable=False,
                                help_text="The sum of the numbers of the labels in disagreements that proposals rest on (`weighing`).",
                            ),
                        ),
                        (
                            "trusted",
                            models.JSONField(
                                editable=False,
                                help_text="How often each person is right, by name, and of how many answers; null: nothing is learnt yet.",
                                null=True,
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "assignees",
                            models.ManyToManyField(blank=True, related_name="+", to=settings.AUTH_USER_MODEL),
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
                        (
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="datasets.dataset",
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
                        "verbose_name": "annotation project",
                        "verbose_name_plural": "annotation projects",
                    },
                ),
                migrations.CreateModel(
                    name="Bulk",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "what",
                            models.CharField(
                                choices=[("export", "Labels into the data set"), ("accept", "Accepting")],
                                max_length=6,
                            ),
                        ),
                        ("asked", models.JSONField(default=dict)),
                        (
                            "status",
                            models.CharField(
                                choices=[("waiting", "Under way"), ("done", "Done"), ("failed", "Failed")],
                                default="waiting",
                                max_length=7,
                            ),
                        ),
                        ("total", models.PositiveIntegerField()),
                        ("done", models.PositiveIntegerField(default=0)),
                        ("flagged", models.PositiveIntegerField(default=0)),
                        ("reason", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its reason is made of."
                            ),
                        ),
                        ("started_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField(null=True)),
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
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="bulks",
                                to="annotation.project",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "work on many tasks",
                        "verbose_name_plural": "work on many tasks",
                    },
                ),
                migrations.CreateModel(
                    name="PullRule",
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
                                choices=[
                                    ("complained", "Complained about"),
                                    ("uncertain", "Uncertain"),
                                    ("confident", "Sure, but complained about"),
                                    ("disagreeing", "Answered otherwise by the shadow version"),
                                    ("candidate", "Answered otherwise by a candidate that is asked"),
                                    ("rare", "Rare by their answer"),
                                    ("outside", "Out of range"),
                                    ("random", "Random control"),
                                    ("stratified", "Random control, so many of each site"),
                                    ("uploaded", "Uploaded"),
                                ],
                                max_length=12,
                                verbose_name="kind",
                            ),
                        ),
                        (
                            "measure",
                            models.CharField(
                                choices=[
                                    ("confidence", "how sure of its answer"),
                                    ("margin", "how far ahead of the next best answer"),
                                    ("entropy", "how far from even odds (entropy)"),
                                ],
                                default="confidence",
                                max_length=10,
                                verbose_name="measured by",
                            ),
                        ),
                        ("below", models.FloatField(blank=True, null=True, verbose_name="confidence below")),
                        (
                            "quota",
                            models.PositiveIntegerField(
                                blank=True, null=True, verbose_name="calls of each site and hour"
                            ),
                        ),
                        ("share", models.FloatField(default=1.0, verbose_name="share")),
                        (
                            "every_s",
                            models.PositiveIntegerField(default=30, verbose_name="seconds between pulls"),
                        ),
                        (
                            "event",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("complaint", "A caller calls an answer wrong"),
                                    ("release", "A version gets more calls, or all"),
                                ],
                                max_length=9,
                                verbose_name="and at once when",
                            ),
                        ),
                        ("woken_at", models.DateTimeField(help_text="Its event came then.", null=True)),
                        ("active", models.BooleanField(default=True)),
                        ("pulled_at", models.DateTimeField(null=True)),
                        (
                            "heard_at",
                            models.DateTimeField(
                                help_text="Late calls that were noted before this have been looked at (candidates); null: pulled_at.",
                                null=True,
                            ),
                        ),
                        (
                            "heard_to",
                            models.DateTimeField(
                                help_text="It stopped in the minute noted at heard_at: calls of before this have been looked at.",
                                null=True,
                            ),
                        ),
                        (
                            "tried_at",
                            models.DateTimeField(
                                help_text="Its turn came then, whether or not it got further.", null=True
                            ),
                        ),
                        (
                            "error",
                            models.TextField(
                                blank=True,
                                help_text="What it could not read, one call a line; or why it broke.",
                            ),
                        ),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its errors are made of."
                            ),
                        ),
                        (
                            "held_until",
                            models.DateTimeField(help_text="It broke, and is tried again then.", null=True),
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
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="rules",
                                to="annotation.project",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "pull rule",
                        "verbose_name_plural": "pull rules",
                    },
                ),
                migrations.CreateModel(
                    name="Retraining",
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
                                    ("training", "Training"),
                                    ("packaging", "Packaging"),
                                    ("evaluating", "Evaluating"),
                                    ("done", "Done"),
                                    ("failed", "Failed"),
                                ],
                                default="training",
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
                        ("started_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "capability",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.capability",
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
                            "job",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="compute.job",
                            ),
                        ),
                        (
                            "origin",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.version",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="evaluation.run",
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
                                to="catalog.version",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "retraining",
                        "verbose_name_plural": "retrainings",
                    },
                ),
                migrations.CreateModel(
                    name="RetrainingRule",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "least_quality",
                            models.FloatField(default=0.9, verbose_name="least accuracy in production"),
                        ),
                        (
                            "days",
                            models.PositiveSmallIntegerField(default=14, verbose_name="over the last days"),
                        ),
                        (
                            "least_labels",
                            models.PositiveIntegerField(default=50, verbose_name="new labels at least"),
                        ),
                        (
                            "cool_down_h",
                            models.PositiveSmallIntegerField(
                                default=24, verbose_name="hours between two retrainings"
                            ),
                        ),
                        (
                            "opens_release",
                            models.BooleanField(
                                default=True, verbose_name="open the release of a better version"
                            ),
                        ),
                        ("active", models.BooleanField(default=True, verbose_name="active")),
                        (
                            "tried_at",
                            models.DateTimeField(help_text="It was about to retrain then.", null=True),
                        ),
                        ("written_at", models.DateTimeField()),
                        (
                            "capability",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="catalog.capability",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="annotation.project",
                            ),
                        ),
                        (
                            "written_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "retraining rule",
                        "verbose_name_plural": "retraining rules",
                    },
                ),
                migrations.CreateModel(
                    name="RetrainingDecision",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "what",
                            models.CharField(
                                choices=[
                                    ("retrain", "Retrained"),
                                    ("release", "Release opened"),
                                    ("nothing", "Nothing done"),
                                ],
                                max_length=8,
                                verbose_name="decision",
                            ),
                        ),
                        (
                            "code",
                            models.CharField(
                                choices=[
                                    ("poor", "Quality is poor"),
                                    ("holds", "Quality holds"),
                                    ("undecided", "Undecided"),
                                    ("unknown", "Quality is unknown"),
                                    ("under_way", "Under way"),
                                    ("cooling", "Cooling down"),
                                    ("few_labels", "Too few new labels"),
                                    ("refused", "Refused"),
                                    ("better", "Better than production"),
                                    ("not_passed", "Gates not passed"),
                                    ("not_better", "Not better than production"),
                                    ("not_opened", "Release refused"),
                                ],
                                max_length=12,
                            ),
                        ),
                        ("reason", models.TextField()),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its reason is made of."
                            ),
                        ),
                        ("figures", models.JSONField(default=dict)),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "release",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="releases.release",
                            ),
                        ),
                        (
                            "retraining",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="annotation.retraining",
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="decisions",
                                to="annotation.retrainingrule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "retraining decision",
                        "verbose_name_plural": "retraining decisions",
                    },
                ),
                migrations.CreateModel(
                    name="Tally",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("project_id", models.BigIntegerField()),
                        ("status", models.CharField(max_length=8)),
                        ("n", models.BigIntegerField()),
                    ],
                    options={
                        "verbose_name": "tally",
                        "verbose_name_plural": "tallies",
                        "indexes": [models.Index(fields=["project_id", "status"], name="tally_of_project")],
                    },
                ),
                migrations.CreateModel(
                    name="Task",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField()),
                        ("called_at", models.DateTimeField()),
                        ("version", models.CharField(blank=True, max_length=64)),
                        ("inputs", models.JSONField()),
                        ("answer", models.JSONField(default=dict)),
                        ("predicted", models.CharField(blank=True, max_length=200)),
                        ("confidence", models.FloatField(null=True)),
                        (
                            "suggested",
                            models.CharField(
                                blank=True, help_text="What the complaint says is right.", max_length=200
                            ),
                        ),
                        (
                            "proposed",
                            models.JSONField(
                                help_text="The model's answer as a value of the label type, to begin from; null: there is none.",
                                null=True,
                            ),
                        ),
                        ("reason", models.CharField(max_length=200)),
                        (
                            "told",
                            models.JSONField(
                                help_text="What its reason is made of; null: ready-made words.", null=True
                            ),
                        ),
                        (
                            "rule_kind",
                            models.CharField(
                                choices=[
                                    ("complained", "Complained about"),
                                    ("uncertain", "Uncertain"),
                                    ("confident", "Sure, but complained about"),
                                    ("disagreeing", "Answered otherwise by the shadow version"),
                                    ("candidate", "Answered otherwise by a candidate that is asked"),
                                    ("rare", "Rare by their answer"),
                                    ("outside", "Out of range"),
                                    ("random", "Random control"),
                                    ("stratified", "Random control, so many of each site"),
                                    ("uploaded", "Uploaded"),
                                ],
                                default="complained",
                                max_length=12,
                            ),
                        ),
                        ("probability", models.FloatField(default=1.0)),
                        ("priority", models.SmallIntegerField(default=0)),
                        ("fingerprint", models.CharField(max_length=64)),
                        ("near_key", models.CharField(blank=True, db_default="", max_length=64)),
                        (
                            "weight",
                            models.PositiveIntegerField(
                                default=1, help_text="How many equal calls this task stands for."
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("open", "Open"),
                                    ("conflict", "Disagreement"),
                                    ("agreed", "Agreed"),
                                    ("accepted", "Accepted"),
                                    ("rejected", "Left out"),
                                ],
                                default="open",
                                max_length=8,
                            ),
                        ),
                        (
                            "label",
                            models.CharField(
                                blank=True, help_text="What was decided, in words.", max_length=200
                            ),
                        ),
                        (
                            "value",
                            models.JSONField(
                                help_text="What was decided, as the project's label type has it.", null=True
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("closed_at", models.DateTimeField(null=True)),
                        (
                            "audit_of",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="audits",
                                to="annotation.task",
                            ),
                        ),
                        (
                            "dataset_version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="datasets.datasetversion",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tasks",
                                to="annotation.project",
                            ),
                        ),
                        (
                            "reviewed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                db_index=False,
                                help_text="The one that gave its call; null: uploaded, or of before this was kept.",
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="annotation.pullrule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "task",
                        "verbose_name_plural": "tasks",
                    },
                ),
                migrations.CreateModel(
                    name="Slot",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveSmallIntegerField()),
                        ("priority", models.SmallIntegerField(default=0)),
                        (
                            "status",
                            models.CharField(
                                choices=[("open", "Open"), ("leased", "Taken"), ("done", "Done")],
                                default="open",
                                max_length=6,
                            ),
                        ),
                        ("leased_until", models.DateTimeField(null=True)),
                        ("token", models.PositiveIntegerField(default=0)),
                        ("ahead", models.BooleanField(db_default=False, default=False)),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="annotation.project",
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
                        (
                            "task",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="slots",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "slot",
                        "verbose_name_plural": "slots",
                    },
                ),
                migrations.CreateModel(
                    name="Recheck",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField()),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("waiting", "Under way"),
                                    ("right", "Right"),
                                    ("wrong", "Wrong"),
                                    ("failed", "Failed"),
                                ],
                                default="waiting",
                                max_length=7,
                            ),
                        ),
                        ("expected", models.CharField(max_length=200)),
                        (
                            "expected_value",
                            models.JSONField(
                                help_text="The label as a value; null: `expected` is all of it.", null=True
                            ),
                        ),
                        ("answer", models.CharField(blank=True, max_length=200)),
                        ("answer_id", models.UUIDField(null=True)),
                        ("reason", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its reason is made of."
                            ),
                        ),
                        ("asked_at", models.DateTimeField()),
                        (
                            "tried_at",
                            models.DateTimeField(
                                help_text="Its turn came then, with or without an answer.", null=True
                            ),
                        ),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                null=True,
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
                            "task",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="rechecks",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "input asked again",
                        "verbose_name_plural": "inputs asked again",
                    },
                ),
                migrations.CreateModel(
                    name="Merged",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField()),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="annotation.project",
                            ),
                        ),
                        (
                            "task",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="merged",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "merged call",
                        "verbose_name_plural": "merged calls",
                    },
                ),
                migrations.CreateModel(
                    name="Golden",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("made_at", models.DateTimeField(auto_now_add=True)),
                        ("retired_at", models.DateTimeField(null=True)),
                        ("reason", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, editable=False, help_text="What its reason is made of."
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="golden_tasks",
                                to="annotation.project",
                            ),
                        ),
                        (
                            "task",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="golden",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "golden task",
                        "verbose_name_plural": "golden tasks",
                    },
                ),
                migrations.CreateModel(
                    name="Draw",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("request_id", models.UUIDField()),
                        ("called_at", models.DateTimeField()),
                        ("version", models.CharField(blank=True, max_length=64)),
                        ("site", models.CharField(blank=True, max_length=100)),
                        ("predicted", models.CharField(blank=True, max_length=200)),
                        ("slices", models.JSONField(default=dict)),
                        ("probability", models.FloatField()),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="draws",
                                to="annotation.project",
                            ),
                        ),
                        (
                            "task",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="draws",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "draw",
                        "verbose_name_plural": "draws",
                    },
                ),
                migrations.CreateModel(
                    name="Decision",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "what",
                            models.CharField(
                                choices=[
                                    ("accepted", "Accepted"),
                                    ("fixed", "Fixed"),
                                    ("left_out", "Left out"),
                                    ("asked", "One more person asked"),
                                ],
                                max_length=8,
                                verbose_name="decision",
                            ),
                        ),
                        ("label", models.CharField(blank=True, max_length=200)),
                        ("value", models.JSONField(null=True)),
                        ("comment", models.TextField(blank=True, verbose_name="comment")),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "task",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="decisions",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "decision",
                        "verbose_name_plural": "decisions",
                    },
                ),
                migrations.CreateModel(
                    name="Annotation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "label",
                            models.CharField(blank=True, help_text="The value in words.", max_length=200),
                        ),
                        ("value", models.JSONField(null=True)),
                        ("skipped", models.BooleanField(default=False)),
                        (
                            "flagged",
                            models.BooleanField(
                                default=False, help_text="The annotator asks others to look at it."
                            ),
                        ),
                        ("comment", models.TextField(blank=True)),
                        ("seconds", models.FloatField(default=0)),
                        ("extra", models.BooleanField(default=False)),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "task",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="annotations",
                                to="annotation.task",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "annotation",
                        "verbose_name_plural": "annotations",
                    },
                ),
                migrations.CreateModel(
                    name="Transfer",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "direction",
                            models.CharField(
                                choices=[("import", "Import"), ("export", "Export")], max_length=6
                            ),
                        ),
                        ("format", models.CharField(max_length=12, verbose_name="format")),
                        (
                            "keep_good",
                            models.BooleanField(
                                default=False, verbose_name="keep the good rows when some are broken"
                            ),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[("waiting", "Under way"), ("done", "Done"), ("failed", "Failed")],
                                default="waiting",
                                max_length=7,
                            ),
                        ),
                        ("sha256", models.CharField(blank=True, max_length=64)),
                        ("rows", models.PositiveIntegerField(default=0)),
                        ("merged", models.PositiveIntegerField(default=0)),
                        (
                            "broken",
                            models.JSONField(
                                default=list, help_text="[[row number, why], …], at most a thousand"
                            ),
                        ),
                        (
                            "unproposed",
                            models.PositiveIntegerField(
                                db_default=0,
                                default=0,
                                help_text="How many rows came without what was proposed: no value of the label type.",
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        (
                            "told",
                            models.JSONField(
                                default=dict,
                                editable=False,
                                help_text="What its reason, and what is said of broken rows, is made of.",
                            ),
                        ),
                        ("started_at", models.DateTimeField(auto_now_add=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="transfers",
                                to="annotation.project",
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
                    ],
                    options={
                        "verbose_name": "transfer",
                        "verbose_name_plural": "transfers",
                    },
                ),
                migrations.AddConstraint(
                    model_name="project",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("overlap__gte", 1), ("overlap__lte", 9)),
                        name="project_overlap_range",
                    ),
                ),
                migrations.AddIndex(
                    model_name="bulk",
                    index=models.Index(
                        condition=models.Q(("status", "waiting")), fields=["id"], name="bulk_waiting"
                    ),
                ),
                migrations.AddIndex(
                    model_name="bulk",
                    index=models.Index(fields=["project", "-id"], name="bulk_newest"),
                ),
                migrations.AddConstraint(
                    model_name="bulk",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status", "waiting")),
                        fields=("project", "what"),
                        name="bulk_one_at_a_time",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="pullrule",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("share__gt", 0), ("share__lte", 1)),
                        name="pull_share_is_probability",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="retraining",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("status", "failed"), _negated=True),
                        fields=("origin", "dataset_version"),
                        name="retraining_once",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="retrainingrule",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("least_quality__gt", 0), ("least_quality__lt", 1)),
                        name="least_quality_is_a_share",
                    ),
                ),
                migrations.AddIndex(
                    model_name="retrainingdecision",
                    index=models.Index(fields=["rule", "-id"], name="retraining_decisions"),
                ),
                migrations.AddIndex(
                    model_name="task",
                    index=models.Index(fields=["project", "status", "-id"], name="task_list"),
                ),
                migrations.AddIndex(
                    model_name="task",
                    index=models.Index(fields=["project", "-id"], name="task_newest"),
                ),
                migrations.AddIndex(
                    model_name="task",
                    index=models.Index(fields=["request_id"], name="task_of_call"),
                ),
                migrations.AddIndex(
                    model_name="task",
                    index=models.Index(
                        condition=models.Q(("near_key", ""), _negated=True),
                        fields=["project", "near_key"],
                        name="task_near",
                    ),
                ),
                migrations.AddIndex(
                    model_name="task",
                    index=models.Index(
                        condition=models.Q(("audit_of__isnull", False)),
                        fields=["project", "id"],
                        name="task_audit",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="task",
                    constraint=models.UniqueConstraint(
                        fields=("project", "request_id"), name="task_once_per_call"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="task",
                    constraint=models.UniqueConstraint(
                        fields=("project", "fingerprint"), name="task_once_per_input"
                    ),
                ),
                migrations.AddIndex(
                    model_name="slot",
                    index=models.Index(
                        condition=models.Q(("status", "done"), _negated=True),
                        fields=["project", "-priority", "id"],
                        name="slot_free",
                    ),
                ),
                migrations.AddIndex(
                    model_name="slot",
                    index=models.Index(
                        condition=models.Q(("user__isnull", False)),
                        fields=["project", "user", "-id"],
                        name="slot_mine",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="slot",
                    constraint=models.UniqueConstraint(fields=("task", "number"), name="slot_number_once"),
                ),
                migrations.AddConstraint(
                    model_name="slot",
                    constraint=models.UniqueConstraint(fields=("task", "user"), name="slot_person_once"),
                ),
                migrations.AddIndex(
                    model_name="recheck",
                    index=models.Index(
                        condition=models.Q(("status", "waiting")), fields=["id"], name="recheck_waiting"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="recheck",
                    constraint=models.UniqueConstraint(
                        fields=("task", "request_id", "version"), name="asked_again_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="merged",
                    constraint=models.UniqueConstraint(
                        fields=("project", "request_id"), name="call_merged_once"
                    ),
                ),
                migrations.AddIndex(
                    model_name="golden",
                    index=models.Index(
                        condition=models.Q(("retired_at__isnull", True)),
                        fields=["project"],
                        name="golden_alive",
                    ),
                ),
                migrations.AddIndex(
                    model_name="draw",
                    index=models.Index(fields=["project", "-id"], name="draw_newest"),
                ),
                migrations.AddConstraint(
                    model_name="draw",
                    constraint=models.UniqueConstraint(
                        fields=("project", "request_id"), name="call_drawn_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="draw",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("probability__gt", 0), ("probability__lte", 1)),
                        name="draw_has_probability",
                    ),
                ),
                migrations.AddIndex(
                    model_name="annotation",
                    index=models.Index(
                        condition=models.Q(("flagged", True)), fields=["task"], name="annotation_flagged"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="annotation",
                    constraint=models.UniqueConstraint(fields=("task", "user"), name="annotation_once"),
                ),
                migrations.AddIndex(
                    model_name="transfer",
                    index=models.Index(
                        condition=models.Q(("status", "waiting")), fields=["id"], name="transfer_waiting"
                    ),
                ),
                migrations.RunSQL(COUNT, COUNT_NO_MORE),
                migrations.RunSQL(CLAIM_HELD_AHEAD + SAY, CLAIM_NO_MORE),
                migrations.RunSQL(GOLDEN_AHEAD, GOLDEN_AHEAD_NO_MORE),
                migrations.RunSQL(AHEAD, AHEAD_NO_MORE),
                migrations.RunSQL(CLAIM_BY + SAY_BY, BY_NO_MORE),
            ]
        )
    ]
