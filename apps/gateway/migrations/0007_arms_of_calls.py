import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0006_fill_rollups")]

    operations = [
        migrations.AddField("call", "unit", models.BigIntegerField(null=True)),
        migrations.AddField(
            "call",
            "arms",
            django.contrib.postgres.fields.ArrayField(models.BigIntegerField(), null=True),
        ),
    ]
