"""How many rows of usage a company has is read from an index of its rollups alone.

It is none of the model's: no index of SQLite's has columns beside its key.
"""

from typing import Any

from django.db import migrations

KEY, BESIDE = "company_id, sandbox, day", "brand_id, provider, model, generation, reasoning_effort, jobs"
MAKE = {
    "postgresql": "CREATE INDEX CONCURRENTLY rollup_jobs ON ai_usage_usagerollup"
    f" ({KEY}) INCLUDE ({BESIDE})",
    "sqlite": f"CREATE INDEX rollup_jobs ON ai_usage_usagerollup ({KEY}, {BESIDE})",
}
DROP = {
    "postgresql": "DROP INDEX CONCURRENTLY rollup_jobs",
    "sqlite": "DROP INDEX rollup_jobs",
}


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(MAKE[schema_editor.connection.vendor], params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(DROP[schema_editor.connection.vendor], params=None)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ai_usage", "0019_job_rollups")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
