"""Golden tasks among the others: every so often a claim is a place of its own at one that this person has not seen."""

from django.db import migrations

from apps.annotation.migrations._sql import CLAIM, CLAIM_BESIDE_GOLDEN, GOLDEN, again


class Migration(migrations.Migration):
    dependencies = [("annotation", "0012_golden_tasks_and_decisions")]
    operations = [
        migrations.RunSQL(again(CLAIM_BESIDE_GOLDEN), again(CLAIM)),
        migrations.RunSQL(GOLDEN, "DROP FUNCTION annotation_golden(bigint, bigint, interval)"),
    ]
