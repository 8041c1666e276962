"""Why a release ended is a code with its numbers; `reason` keeps what a person wrote, and older sentences."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("releases", "0007_stages_at_sites_and_load")]

    operations = [
        migrations.AddField(model_name="release", name="why", field=models.JSONField(blank=True, default=dict)),
    ]
