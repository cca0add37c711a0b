"""Entries of the ledger are neither changed nor deleted, whoever asks."""

from typing import Any

from django.db import migrations

POSTGRESQL = (
    """
    CREATE FUNCTION hub_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER hub_ledger_is_append_only BEFORE UPDATE OR DELETE ON ai_usage_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION hub_ledger_is_append_only()
    """,
)
POSTGRESQL_BACK = (
    "DROP TRIGGER hub_ledger_is_append_only ON ai_usage_ledgerentry",
    "DROP FUNCTION hub_ledger_is_append_only()",
)
SQLITE = tuple(
    f"CREATE TRIGGER hub_ledger_no_{event.lower()} BEFORE {event} ON ai_usage_ledgerentry"
    " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for event in ("UPDATE", "DELETE")
)
SQLITE_BACK = ("DROP TRIGGER hub_ledger_no_update", "DROP TRIGGER hub_ledger_no_delete")


def forwards(apps: Any, schema_editor: Any) -> None:
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    back = POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK
    for statement in back:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
