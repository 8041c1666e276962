"""Claim and submit as functions of the database, planned once per connection."""

from django.db import migrations

from apps.annotation.migrations._sql import CLAIM, CLAIM_NO_MORE, SAY


class Migration(migrations.Migration):
    dependencies = [("annotation", "0005_label_types")]
    operations = [migrations.RunSQL(CLAIM + SAY, CLAIM_NO_MORE)]
