"""A job in one of its four ends keeps its status, whoever asks."""

from typing import Any

from django.db import migrations

POSTGRESQL = (
    """
    CREATE FUNCTION hub_job_has_ended() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a job that is % never moves', OLD.status USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER hub_job_has_ended BEFORE UPDATE OF status ON ai_core_aijob FOR EACH ROW
    WHEN (OLD.status IN ('completed', 'failed', 'cancelled', 'timeout')
          AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION hub_job_has_ended()
    """,
)
POSTGRESQL_BACK = (
    "DROP TRIGGER hub_job_has_ended ON ai_core_aijob",
    "DROP FUNCTION hub_job_has_ended()",
)
SQLITE = (
    """
    CREATE TRIGGER hub_job_has_ended BEFORE UPDATE OF status ON ai_core_aijob
    WHEN OLD.status IN ('completed', 'failed', 'cancelled', 'timeout') AND NEW.status IS NOT OLD.status
    BEGIN SELECT RAISE(ABORT, 'a job that has ended never moves'); END
    """,
)
SQLITE_BACK = ("DROP TRIGGER hub_job_has_ended",)


def forwards(apps: Any, schema_editor: Any) -> None:
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    back = POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK
    for statement in back:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("ai_core", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
