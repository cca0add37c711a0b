"""Entries are neither changed nor deleted, whoever asks; a head only moves on by one."""

from typing import Any

from django.db import migrations

POSTGRESQL = (
    """
    CREATE FUNCTION hub_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE FUNCTION hub_audit_head_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' OR NEW.chain <> OLD.chain OR NEW.seq <> OLD.seq + 1 THEN
            RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER hub_audit_is_append_only BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION hub_audit_is_append_only()
    """,
    """
    CREATE TRIGGER hub_audit_is_not_truncated BEFORE TRUNCATE ON audit_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION hub_audit_is_append_only()
    """,
    """
    CREATE TRIGGER hub_audit_head_moves_on BEFORE UPDATE OR DELETE ON audit_audithead
    FOR EACH ROW EXECUTE FUNCTION hub_audit_head_moves_on()
    """,
)
POSTGRESQL_BACK = (
    "DROP TRIGGER hub_audit_head_moves_on ON audit_audithead",
    "DROP TRIGGER hub_audit_is_not_truncated ON audit_auditentry",
    "DROP TRIGGER hub_audit_is_append_only ON audit_auditentry",
    "DROP FUNCTION hub_audit_head_moves_on()",
    "DROP FUNCTION hub_audit_is_append_only()",
)
REFUSE = "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
SQLITE = (
    f"CREATE TRIGGER hub_audit_no_update BEFORE UPDATE ON audit_auditentry {REFUSE}",
    f"CREATE TRIGGER hub_audit_no_delete BEFORE DELETE ON audit_auditentry {REFUSE}",
    f"CREATE TRIGGER hub_audit_head_no_delete BEFORE DELETE ON audit_audithead {REFUSE}",
    "CREATE TRIGGER hub_audit_head_moves_on BEFORE UPDATE ON audit_audithead"
    f" WHEN NEW.chain <> OLD.chain OR NEW.seq <> OLD.seq + 1 {REFUSE}",
)
SQLITE_BACK = (
    "DROP TRIGGER hub_audit_head_moves_on",
    "DROP TRIGGER hub_audit_head_no_delete",
    "DROP TRIGGER hub_audit_no_delete",
    "DROP TRIGGER hub_audit_no_update",
)


def forwards(apps: Any, schema_editor: Any) -> None:
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    back = POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK
    for statement in back:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
