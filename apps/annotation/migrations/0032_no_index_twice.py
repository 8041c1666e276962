"""Two indexes that were the beginning of others go. AlterField would build both foreign keys anew: each row is read under
strong locks of both tables. So the database is told of the indexes alone."""

import django.db.models.deletion
from django.db import migrations, models


def _drop(table: str, name: str, column: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f'DROP INDEX IF EXISTS "{name}"', f'CREATE INDEX IF NOT EXISTS "{name}" ON "{table}" ("{column}")'
    )


class Migration(migrations.Migration):
    dependencies = [("annotation", "0031_who_claims_and_says")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                _drop("annotation_slot", "annotation_slot_task_id_b7a00584", "task_id"),
                _drop("annotation_task", "annotation_task_project_id_988e15bb", "project_id"),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="slot",
                    name="task",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="slots",
                        to="annotation.task",
                    ),
                ),
                migrations.AlterField(
                    model_name="task",
                    name="project",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tasks",
                        to="annotation.project",
                    ),
                ),
            ],
        ),
    ]
