from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("store", "0006_copies_at_other_sites")]

    operations = [
        migrations.AddField(
            model_name="plan",
            name="device",
            field=models.BooleanField(
                default=False,
                help_text="A subscriber may download the model with a page that runs it, where there is no portal.",
                verbose_name="may run on a device",
            ),
        ),
    ]
