import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0008_lists_read_short_rows'),
    ]

    operations = [
        migrations.CreateModel(
            name='RuleFailure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('revision', models.PositiveIntegerField(verbose_name='revision')),
                ('rule', models.CharField(max_length=60, verbose_name='rule')),
                ('calls', models.PositiveBigIntegerField(verbose_name='calls')),
                ('first_call', models.UUIDField(verbose_name='first call')),
                ('first_at', models.DateTimeField(verbose_name='first')),
                ('last_at', models.DateTimeField(verbose_name='last')),
                ('error', models.CharField(max_length=300, verbose_name='why')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rule_failures', to='catalog.version')),
            ],
            options={
                'verbose_name': 'failure of a parsing rule',
                'verbose_name_plural': 'failures of parsing rules',
                'constraints': [models.UniqueConstraint(fields=('version', 'revision', 'rule'), name='rule_failure_once')],
            },
        ),
    ]
