"""OpenAIJob with its brand, what the provider returned, and whether tools were given."""

from importlib import import_module
from typing import Any

from django.db import migrations

BEFORE = import_module("ai_openai.migrations.0002_openai_jobs")
STEPS = "choices,0,message,reasoning_steps"
POSTGRESQL = f"""
CREATE VIEW ai_openai_openaijob AS SELECT id, id AS ai_job_id, company_id, brand_id, model, generation,
    (params ->> 'temperature')::double precision AS temperature,
    (params ->> 'max_tokens')::integer AS max_tokens,
    (params ->> 'max_completion_tokens')::integer AS max_completion_tokens,
    params ->> 'reasoning_effort' AS reasoning_effort,
    params ->> 'messages_format' AS messages_format,
    params -> 'tools' AS tools,
    params -> 'response_format' AS response_format,
    params -> 'tool_resources' AS tool_resources,
    CASE jsonb_typeof(params -> 'tools') WHEN 'array' THEN jsonb_array_length(params -> 'tools') > 0
        ELSE false END AS has_tools,
    response ->> 'id' AS openai_id,
    CASE jsonb_typeof(response #> '{{{STEPS}}}') WHEN 'array'
        THEN jsonb_array_length(response #> '{{{STEPS}}}') END AS reasoning_steps,
    NULL::double precision AS quality_score,
    created_at
FROM ai_core_aijob
"""
SQLITE = """
CREATE VIEW ai_openai_openaijob AS SELECT id, id AS ai_job_id, company_id, brand_id, model, generation,
    json_extract(params, '$.temperature') AS temperature,
    json_extract(params, '$.max_tokens') AS max_tokens,
    json_extract(params, '$.max_completion_tokens') AS max_completion_tokens,
    json_extract(params, '$.reasoning_effort') AS reasoning_effort,
    json_extract(params, '$.messages_format') AS messages_format,
    json_extract(params, '$.tools') AS tools,
    json_extract(params, '$.response_format') AS response_format,
    json_extract(params, '$.tool_resources') AS tool_resources,
    COALESCE(json_array_length(params, '$.tools'), 0) > 0 AS has_tools,
    json_extract(response, '$.id') AS openai_id,
    CASE json_type(response, '$.choices[0].message.reasoning_steps') WHEN 'array'
        THEN json_array_length(response, '$.choices[0].message.reasoning_steps') END AS reasoning_steps,
    NULL AS quality_score,
    created_at
FROM ai_core_aijob
"""


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP VIEW ai_openai_openaijob", params=None)
    on_postgres = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute(POSTGRESQL if on_postgres else SQLITE, params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP VIEW ai_openai_openaijob", params=None)
    schema_editor.execute(BEFORE.view(schema_editor.connection.vendor), params=None)


class Migration(migrations.Migration):
    dependencies = [("ai_openai", "0002_openai_jobs")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
