"""The migrations before it as one, so that a new database is made in a fraction of the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.squashed import Together


class Migration(migrations.Migration):
    replaces = [
        ("datasets", "0001_data_sets_and_versions"),
        ("datasets", "0002_splits_tags_comparisons"),
        ("datasets", "0003_people_who_read_a_data_set"),
    ]

    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("accounts", "0001_squashed_0004_archived_sites"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Together(
            [
                migrations.CreateModel(
                    name="Dataset",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("slug", models.SlugField(max_length=63, unique=True, verbose_name="short name")),
                        ("name", models.CharField(max_length=100, verbose_name="name")),
                        ("description", models.TextField(blank=True, verbose_name="description")),
                        (
                            "visibility",
                            models.CharField(
                                choices=[("team", "Team"), ("organisation", "Organisation")],
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
                                related_name="datasets",
                                to="accounts.team",
                                verbose_name="team",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "data set",
                        "verbose_name_plural": "data sets",
                    },
                ),
                migrations.CreateModel(
                    name="DatasetVersion",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField(verbose_name="version")),
                        ("manifest", models.JSONField(default=dict)),
                        ("digest", models.CharField(max_length=64)),
                        ("size", models.BigIntegerField(default=0)),
                        ("schema", models.JSONField(default=dict)),
                        ("rows", models.BigIntegerField(null=True, verbose_name="rows")),
                        ("statistics", models.JSONField(default=dict)),
                        ("note", models.TextField(blank=True, verbose_name="note")),
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
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="versions",
                                to="datasets.dataset",
                            ),
                        ),
                        (
                            "parent",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="children",
                                to="datasets.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "data set version",
                        "verbose_name_plural": "data set versions",
                    },
                ),
                migrations.CreateModel(
                    name="Comparison",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(blank=True, max_length=200)),
                        ("result", models.JSONField(null=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "after",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="datasets.datasetversion",
                            ),
                        ),
                        (
                            "before",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="datasets.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "comparison of data set versions",
                        "verbose_name_plural": "comparisons of data set versions",
                    },
                ),
                migrations.CreateModel(
                    name="Split",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "unit",
                            models.CharField(choices=[("rows", "rows"), ("files", "files")], max_length=5),
                        ),
                        (
                            "method",
                            models.CharField(
                                choices=[
                                    ("random", "by chance"),
                                    ("stratified", "in proportion"),
                                    ("grouped", "groups kept together"),
                                    ("folders", "as the data says"),
                                ],
                                max_length=10,
                                verbose_name="how",
                            ),
                        ),
                        ("column", models.CharField(blank=True, max_length=200, verbose_name="column")),
                        ("seed", models.PositiveBigIntegerField(default=0, verbose_name="seed")),
                        ("parts", models.JSONField(default=list)),
                        ("by_value", models.JSONField(default=dict)),
                        ("assignment", models.CharField(max_length=64)),
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
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="split",
                                to="datasets.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "split",
                        "verbose_name_plural": "splits",
                    },
                ),
                migrations.CreateModel(
                    name="Tag",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.SlugField(max_length=40, verbose_name="tag")),
                        ("moved_at", models.DateTimeField(auto_now=True)),
                        (
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tags",
                                to="datasets.dataset",
                            ),
                        ),
                        (
                            "moved_by",
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
                                related_name="tags",
                                to="datasets.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "tag",
                        "verbose_name_plural": "tags",
                    },
                ),
                migrations.CreateModel(
                    name="DatasetReader",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "content_object",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="readers",
                                to="datasets.dataset",
                            ),
                        ),
                        (
                            "permission",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, to="auth.permission"
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "reader of a data set",
                        "verbose_name_plural": "readers of data sets",
                        "abstract": False,
                        "unique_together": {("user", "permission", "content_object")},
                    },
                ),
                migrations.AddConstraint(
                    model_name="datasetversion",
                    constraint=models.UniqueConstraint(
                        fields=("dataset", "number"), name="dataset_version_number_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="datasetversion",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("number__gte", 1)), name="dataset_version_from_one"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="comparison",
                    constraint=models.UniqueConstraint(
                        fields=("before", "after", "key"), name="dataset_comparison_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tag",
                    constraint=models.UniqueConstraint(fields=("dataset", "name"), name="dataset_tag_once"),
                ),
            ]
        )
    ]
