"""OpenAIJob tells what people said of it: the mean of their ratings, as usage does."""

from importlib import import_module
from typing import Any

from django.db import migrations

BEFORE = import_module("ai_openai.migrations.0003_more_columns")
MEAN = "(SELECT round(avg(r.score_tenths) / 10.0, 2){cast} FROM ai_usage_jobrating r WHERE r.job_id = j.id)"
POSTGRESQL = BEFORE.POSTGRESQL.replace("NULL::double precision", MEAN.format(cast="::double precision"))
SQLITE = BEFORE.SQLITE.replace("NULL AS", f"{MEAN.format(cast='')} AS")


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP VIEW ai_openai_openaijob", params=None)
    view = POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE
    schema_editor.execute(view.replace("FROM ai_core_aijob", "FROM ai_core_aijob j"), params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP VIEW ai_openai_openaijob", params=None)
    on_postgres = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute(BEFORE.POSTGRESQL if on_postgres else BEFORE.SQLITE, params=None)


class Migration(migrations.Migration):
    dependencies = [("ai_openai", "0003_more_columns"), ("ai_usage", "0006_rollups")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
