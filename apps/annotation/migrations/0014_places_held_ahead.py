"""A page fetches the next task while the present one is looked at: its place is held ahead."""

from django.db import migrations, models

from apps.annotation.migrations._sql import (
    AHEAD,
    AHEAD_NO_MORE,
    CLAIM_BESIDE_GOLDEN,
    CLAIM_HELD_AHEAD,
    GOLDEN,
    GOLDEN_AHEAD,
    GOLDEN_AHEAD_NO_MORE,
    GOLDEN_NO_MORE,
    again,
)


class Migration(migrations.Migration):
    dependencies = [("annotation", "0013_claim_golden")]
    operations = [
        migrations.AddField("slot", "ahead", models.BooleanField(default=False, db_default=False)),
        migrations.RunSQL(again(CLAIM_HELD_AHEAD), again(CLAIM_BESIDE_GOLDEN)),
        migrations.RunSQL(GOLDEN_NO_MORE + GOLDEN_AHEAD, GOLDEN_AHEAD_NO_MORE + GOLDEN),
        migrations.RunSQL(AHEAD, AHEAD_NO_MORE),
    ]
