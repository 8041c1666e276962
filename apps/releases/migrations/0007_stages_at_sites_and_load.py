"""A stage may be one site's alone, and may limit how busy a server would be."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("releases", "0006_deputies")]

    operations = [
        migrations.AddField(
            model_name="stage", name="site", field=models.CharField(blank=True, default="", max_length=50),
            preserve_default=False,
        ),
        migrations.AddField(model_name="stage", name="server_cpu", field=models.FloatField(null=True)),
        migrations.AddField(
            model_name="stage",
            name="load",
            field=models.JSONField(default=dict, help_text="What servers were busy with, see `load`."),
        ),
    ]
