"""Callers of a site may have other shares than the rest, so a deployment may have none but there."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0007_pins")]

    operations = [
        migrations.AddField(
            model_name="trafficweight",
            name="at_sites",
            field=models.JSONField(blank=True, default=dict, verbose_name="shares at single sites"),
        ),
        migrations.RemoveConstraint(model_name="trafficweight", name="traffic_weight_is_percent"),
        migrations.AddConstraint(
            model_name="trafficweight",
            constraint=models.CheckConstraint(
                condition=models.Q(weight__gte=0, weight__lte=100), name="traffic_weight_is_percent"
            ),
        ),
    ]
