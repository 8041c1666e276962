"""Golden tasks among the others: every so often a claim is a place of its own at one that this person has not seen."""

from importlib import import_module

from django.db import migrations

_BEFORE = import_module("apps.annotation.migrations.0006_claim_and_say").MAKE
_CLAIM = _BEFORE[: _BEFORE.index("CREATE FUNCTION annotation_say")].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
_LAST = "WHERE s.project_id = project AND s.user_id = who ORDER BY s.id DESC LIMIT 1;"
# The search goes on behind the last place taken; a golden one, made this moment, would be behind all of them.
_ORDINARY = _CLAIM.replace(_LAST, _LAST.replace("ORDER BY", "AND s.number < 1000 ORDER BY"))

GOLDEN = """
CREATE FUNCTION annotation_golden(in_project bigint, who bigint, lease interval) RETURNS bigint LANGUAGE plpgsql AS $$
-- By chance, so that nobody can count to the next one. NULL mostly: then the ordinary claim follows.
DECLARE every integer; chosen bigint; made bigint;
BEGIN
    SELECT p.golden_every INTO every FROM annotation_project p WHERE p.id = in_project;
    IF every IS NULL OR random() * every >= 1 THEN RETURN NULL; END IF;
    IF EXISTS (SELECT 1 FROM annotation_slot s WHERE s.project_id = in_project AND s.user_id = who
               AND s.status = 'leased' AND s.leased_until > now()) THEN RETURN NULL; END IF;
    SELECT g.task_id INTO chosen FROM annotation_golden g
    WHERE g.project_id = in_project AND g.retired_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM annotation_annotation a WHERE a.task_id = g.task_id AND a.user_id = who)
      AND NOT EXISTS (SELECT 1 FROM annotation_slot s WHERE s.task_id = g.task_id AND s.user_id = who)
    ORDER BY random() LIMIT 1;
    IF chosen IS NULL THEN RETURN NULL; END IF;
    INSERT INTO annotation_slot (task_id, project_id, number, priority, status, user_id, leased_until, token)
    SELECT chosen, in_project, greatest(999, max(s.number)) + 1, 0, 'leased', who, now() + lease, 1
    FROM annotation_slot s WHERE s.task_id = chosen RETURNING id INTO made;
    RETURN made;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0012_golden_tasks_and_decisions")]
    operations = [
        migrations.RunSQL(_ORDINARY, _CLAIM),
        migrations.RunSQL(GOLDEN, "DROP FUNCTION annotation_golden(bigint, bigint, interval)"),
    ]
