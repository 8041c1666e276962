import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateway', '0008_feedback_apart'),
    ]

    operations = [
        migrations.AddField(
            model_name='outcome',
            name='arrived_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True, editable=False),
        ),
        migrations.CreateModel(
            name='LateMinute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('capability_id', models.BigIntegerField()),
                ('minute', models.DateTimeField()),
                ('noted_at', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'minute with late calls',
                'verbose_name_plural': 'minutes with late calls',
                'indexes': [models.Index(fields=['capability_id', 'noted_at'], name='late_minute_noted')],
                'constraints': [models.UniqueConstraint(fields=('capability_id', 'minute'), name='late_minute_once')],
            },
        ),
    ]
