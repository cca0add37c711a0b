"""OpenAIJob: the parameters that the jobs keep, as columns."""

from typing import Any

from django.db import migrations

COLUMNS = {
    "temperature": "double precision",
    "max_tokens": "integer",
    "max_completion_tokens": "integer",
    "reasoning_effort": "text",
    "messages_format": "text",
}


def view(vendor: str) -> str:
    if vendor == "postgresql":
        typed = [f"(params ->> '{name}')::{kind} AS {name}" for name, kind in COLUMNS.items()]
        typed += [f"params -> '{name}' AS {name}" for name in ("tools", "response_format")]
    else:
        names = [*COLUMNS, "tools", "response_format"]
        typed = [f"json_extract(params, '$.{name}') AS {name}" for name in names]
    return (
        "CREATE VIEW ai_openai_openaijob AS SELECT id, id AS ai_job_id, company_id, model, generation,"
        f" {', '.join(typed)}, created_at FROM ai_core_aijob"
    )


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(view(schema_editor.connection.vendor), params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP VIEW ai_openai_openaijob", params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("ai_openai", "0001_initial"),
        ("ai_core", "0004_room_for_updates"),
    ]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
