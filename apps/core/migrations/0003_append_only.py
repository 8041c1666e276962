"""The audit log is append-only in the database, too, and its end is anchored."""

from typing import Any

from django.core.signing import Signer
from django.db import migrations, models

GUARD = """
CREATE FUNCTION core_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL
    AND to_jsonb(NEW) - 'position' - 'digest' = to_jsonb(OLD) - 'position' - 'digest' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER core_audit_append_only BEFORE UPDATE OR DELETE ON core_auditentry
  FOR EACH ROW EXECUTE FUNCTION core_audit_append_only();
CREATE TRIGGER core_audit_never_emptied BEFORE TRUNCATE ON core_auditentry
  FOR EACH STATEMENT EXECUTE FUNCTION core_audit_append_only();
"""
GUARD_NO_MORE = """
DROP TRIGGER core_audit_never_emptied ON core_auditentry;
DROP TRIGGER core_audit_append_only ON core_auditentry;
DROP FUNCTION core_audit_append_only();
"""


def anchor_what_is_sealed(apps: Any, schema_editor: Any) -> None:
    """A chain that was sealed before has an end, too."""
    last = apps.get_model("core", "AuditEntry").objects.exclude(position=None).order_by("-position").first()
    if last is not None:
        mark = Signer(salt="core.audit").signature(f"{last.position}:{last.digest}")
        apps.get_model("core", "AuditAnchor").objects.create(
            pk=1, position=last.position, digest=last.digest, mark=mark
        )


class Migration(migrations.Migration):
    dependencies = [("core", "0002_letters")]

    operations = [
        migrations.CreateModel(
            name="AuditAnchor",
            fields=[
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField()),
                ("digest", models.CharField(max_length=64)),
                ("mark", models.CharField(max_length=100)),
            ],
            options={"verbose_name": "audit anchor", "verbose_name_plural": "audit anchors"},
        ),
        migrations.RunPython(anchor_what_is_sealed, migrations.RunPython.noop),
        migrations.RunSQL(GUARD, GUARD_NO_MORE),
    ]
