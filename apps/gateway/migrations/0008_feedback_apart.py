import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateway', '0007_arms_of_calls'),
    ]

    operations = [
        migrations.CreateModel(
            name='UncountedFeedback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.UUIDField(db_index=True)),
                ('correct', models.BooleanField(null=True, verbose_name='correct')),
                ('expected', models.JSONField(null=True, verbose_name='expected')),
                ('comment', models.TextField(blank=True, verbose_name='comment')),
                ('at', models.DateTimeField()),
                ('why', models.CharField(choices=[('waiting', 'Its call is not in the log yet'), ('foreign', "The call is another caller's"), ('replaced', 'The caller said something else later'), ('unknown', 'There is no such call')], max_length=8, verbose_name='why')),
                ('received_at', models.DateTimeField(auto_now_add=True, db_index=True)),
                ('next_at', models.DateTimeField(null=True)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='gateway.grant')),
            ],
            options={
                'verbose_name': 'feedback that does not count',
                'verbose_name_plural': 'feedback that does not count',
                'indexes': [models.Index(condition=models.Q(('next_at__isnull', False)), fields=['next_at'], name='feedback_waiting')],
            },
        ),
    ]
