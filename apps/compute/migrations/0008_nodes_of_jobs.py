import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("compute", "0007_told_of_attempts")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="node",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The name of the node that runs the newest attempt.",
                max_length=100,
                verbose_name="node",
            ),
        ),
        migrations.CreateModel(
            name="LogPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("start", models.BigIntegerField(help_text="The offset of its first byte.")),
                ("end", models.BigIntegerField(help_text="The offset to go on from.")),
                ("data", models.BinaryField()),
                (
                    "attempt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="log_parts",
                        to="compute.attempt",
                    ),
                ),
            ],
            options={"verbose_name": "part of a log", "verbose_name_plural": "parts of logs"},
        ),
        migrations.AddConstraint(
            model_name="logpart",
            constraint=models.UniqueConstraint(fields=("attempt", "end"), name="log_part_once"),
        ),
    ]
