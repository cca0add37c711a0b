"""AIJobUsage: the settlements of the ledger, job by job, with later adjustments."""

from typing import Any

from django.db import migrations

VIEW = """
CREATE VIEW ai_usage_aijobusage AS
SELECT e.id, e.company_id, e.brand_id, e.job_id AS ai_job_id,
    e.provider AS provider_name, e.model AS model_name, e.generation, e.reasoning_effort, e.sandbox,
    e.input_tokens + e.cache_read_tokens + e.cache_write_tokens AS input_tokens,
    e.output_tokens + e.reasoning_tokens AS output_tokens,
    e.input_tokens + e.cache_read_tokens + e.cache_write_tokens
        + e.output_tokens + e.reasoning_tokens AS total_tokens,
    e.cache_read_tokens AS cached_tokens, e.reasoning_tokens, e.is_estimated,
    COALESCE(e.cost_input_nano_usd, a.cost_input_nano_usd) AS cost_input_nano_usd,
    COALESCE(e.cost_nano_usd, a.cost_nano_usd)
        - COALESCE(e.cost_input_nano_usd, a.cost_input_nano_usd) AS cost_output_nano_usd,
    COALESCE(e.cost_nano_usd, a.cost_nano_usd) AS total_cost_nano_usd,
    e.execution_time_ms, e.first_byte_ms, e.is_success, e.created_at
FROM ai_usage_ledgerentry e
LEFT JOIN ai_usage_ledgerentry a ON a.job_id = e.job_id AND a.kind = 'adjust'
WHERE e.kind = 'settle' OR (e.kind = 'void' AND e.attempt_no > 0)
"""


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(VIEW, params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP VIEW ai_usage_aijobusage", params=None)


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0002_append_only_ledger")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
