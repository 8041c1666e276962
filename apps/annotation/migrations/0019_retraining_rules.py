import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0018_flagged_ones'),
        ('catalog', '0009_failures_of_rules'),
        ('releases', '0011_reasons_in_any_language'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='RetrainingRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('least_quality', models.FloatField(default=0.9, verbose_name='least accuracy in production')),
                ('days', models.PositiveSmallIntegerField(default=14, verbose_name='over the last days')),
                ('least_labels', models.PositiveIntegerField(default=50, verbose_name='new labels at least')),
                ('cool_down_h', models.PositiveSmallIntegerField(default=24, verbose_name='hours between two retrainings')),
                ('opens_release', models.BooleanField(default=True, verbose_name='open the release of a better version')),
                ('active', models.BooleanField(default=True, verbose_name='active')),
                ('tried_at', models.DateTimeField(help_text='It was about to retrain then.', null=True)),
                ('written_at', models.DateTimeField()),
                ('capability', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.capability')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='annotation.project')),
                ('written_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'retraining rule',
                'verbose_name_plural': 'retraining rules',
            },
        ),
        migrations.CreateModel(
            name='RetrainingDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(choices=[('retrain', 'Retrained'), ('release', 'Release opened'), ('nothing', 'Nothing done')], max_length=8, verbose_name='decision')),
                ('code', models.CharField(choices=[('poor', 'Quality is poor'), ('holds', 'Quality holds'), ('undecided', 'Undecided'), ('unknown', 'Quality is unknown'), ('under_way', 'Under way'), ('cooling', 'Cooling down'), ('few_labels', 'Too few new labels'), ('refused', 'Refused'), ('better', 'Better than production'), ('not_passed', 'Gates not passed'), ('not_better', 'Not better than production'), ('not_opened', 'Release refused')], max_length=12)),
                ('reason', models.TextField()),
                ('told', models.JSONField(default=dict, editable=False, help_text='What its reason is made of.')),
                ('figures', models.JSONField(default=dict)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('release', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='releases.release')),
                ('retraining', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='annotation.retraining')),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='annotation.retrainingrule')),
            ],
            options={
                'verbose_name': 'retraining decision',
                'verbose_name_plural': 'retraining decisions',
            },
        ),
        migrations.AddConstraint(
            model_name='retrainingrule',
            constraint=models.CheckConstraint(condition=models.Q(('least_quality__gt', 0), ('least_quality__lt', 1)), name='least_quality_is_a_share'),
        ),
        migrations.AddIndex(
            model_name='retrainingdecision',
            index=models.Index(fields=['rule', '-id'], name='retraining_decisions'),
        ),
    ]
