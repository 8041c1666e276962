"""The random controls that were drawn so far, each as a draw of its own."""

from django.db import migrations

FILL = """
INSERT INTO annotation_draw (project_id, task_id, request_id, called_at, version, site, predicted, slices, probability)
SELECT project_id, id, request_id, called_at, version, '', predicted, '{}', probability
FROM annotation_task WHERE rule_kind = 'random' ORDER BY id
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0010_draws_and_near_duplicates")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
