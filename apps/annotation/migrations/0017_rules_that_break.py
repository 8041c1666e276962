from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0016_reasons_in_any_language'),
    ]

    operations = [
        migrations.AddField(
            model_name='pullrule',
            name='held_until',
            field=models.DateTimeField(help_text='It broke, and is tried again then.', null=True),
        ),
        migrations.AddField(
            model_name='pullrule',
            name='told',
            field=models.JSONField(default=dict, editable=False, help_text='What its errors are made of.'),
        ),
        migrations.AlterField(
            model_name='pullrule',
            name='error',
            field=models.TextField(blank=True, help_text='What it could not read, one call a line; or why it broke.'),
        ),
    ]
