"""Who may claim and say is asked by functions of the database too, so that it is planned once per connection."""

from django.db import migrations

from apps.annotation.migrations._sql import BY_NO_MORE, CLAIM_BY, SAY_BY


class Migration(migrations.Migration):
    dependencies = [("annotation", "0030_place_in_a_late_minute")]
    operations = [migrations.RunSQL(CLAIM_BY + SAY_BY, BY_NO_MORE)]
