"""Room on each page for the update that every job gets, so that it touches no index (PostgreSQL)."""

from typing import Any

from django.db import migrations

FILL = {"ai_core_aijob": 60, "ai_usage_budgetwindow": 20}


def set_fill(fill: dict[str, int] | None) -> Any:
    def operation(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for table, percent in FILL.items():
                change = f"SET (fillfactor = {percent})" if fill else "RESET (fillfactor)"
                schema_editor.execute(f"ALTER TABLE {table} {change}", params=None)

    return operation


class Migration(migrations.Migration):
    dependencies = [
        ("ai_core", "0003_job_types"),
        ("ai_usage", "0002_append_only_ledger"),
    ]
    operations = [migrations.RunPython(set_fill(FILL), set_fill(None))]
