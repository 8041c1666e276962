import django.contrib.postgres.fields
from django.db import migrations, models


def id_field():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("gateway", "0004_exports_of_calls")]

    operations = [
        migrations.CreateModel(
            name="UsageOfCapability",
            fields=[
                ("id", id_field()),
                ("capability_id", models.BigIntegerField()),
                ("deployment_id", models.BigIntegerField()),
                ("version", models.CharField(max_length=64)),
                ("hour", models.DateTimeField()),
                ("outcome", models.CharField(max_length=40)),
                ("count", models.BigIntegerField()),
                (
                    "histogram",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
            ],
            options={
                "verbose_name": "usage of a capability",
                "verbose_name_plural": "usage of capabilities",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("capability_id", "hour", "deployment_id", "outcome"), name="capability_usage_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageOfKey",
            fields=[
                ("id", id_field()),
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
    ]
