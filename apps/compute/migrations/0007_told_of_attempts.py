from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("compute", "0006_labels_of_jobs")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="told",
            field=models.JSONField(
                default=dict, help_text="The pattern and the values that the reason is made of."
            ),
        ),
    ]
