from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_invitations_owners_archives")]

    operations = [
        migrations.AddField("site", "archived_at", models.DateTimeField(editable=False, null=True)),
    ]
