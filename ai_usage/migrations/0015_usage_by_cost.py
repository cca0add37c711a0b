"""The view of usage in two halves, those with a cost of their own and those that were priced later.

A cost that stands in the row itself is a column, which an index can sort and narrow by; a join for
every row's later price was neither.
"""

from importlib import import_module
from typing import Any

from django.db import migrations

BEFORE = import_module("ai_usage.migrations.0007_usage_views").USAGE_NOW
OUTCOME = "COALESCE(e.outcome, CASE WHEN e.is_success THEN 'completed' ELSE 'failed' END)"
HALF = f"""
SELECT e.id, e.company_id, e.brand_id, e.job_id AS ai_job_id,
    e.provider AS provider_name, e.model AS model_name, e.generation, e.reasoning_effort, e.sandbox,
    e.input_tokens + e.cache_read_tokens + e.cache_write_tokens AS input_tokens,
    e.output_tokens + e.reasoning_tokens AS output_tokens,
    e.input_tokens + e.cache_read_tokens + e.cache_write_tokens
        + e.output_tokens + e.reasoning_tokens AS total_tokens,
    e.cache_read_tokens AS cached_tokens, e.reasoning_tokens, e.is_estimated,
    {{input}} AS cost_input_nano_usd, {{whole}} - {{input}} AS cost_output_nano_usd,
    {{whole}} AS total_cost_nano_usd,
    e.execution_time_ms, e.first_byte_ms, e.is_success, e.created_at, e.kind, e.job_ref AS reference,
    {OUTCOME} AS outcome
FROM ai_usage_ledgerentry e
WHERE e.kind IN ('settle', 'void', 'manual') AND (e.kind <> 'void' OR e.attempt_no > 0)
    AND e.cost_nano_usd IS {{known}}
"""
LATER = "(SELECT a.{name} FROM ai_usage_ledgerentry a WHERE a.job_id = e.job_id AND a.kind = 'adjust')"
PRICED = HALF.format(input="e.cost_input_nano_usd", whole="e.cost_nano_usd", known="NOT NULL")
UNPRICED = HALF.format(
    input=LATER.format(name="cost_input_nano_usd"), whole=LATER.format(name="cost_nano_usd"), known="NULL"
)
NOW = f"CREATE VIEW ai_usage_aijobusage AS {PRICED} UNION ALL {UNPRICED}"


def replaced(schema_editor: Any, view: str) -> None:
    for statement in ("DROP VIEW ai_usage_aijobusage", view):
        schema_editor.execute(statement, params=None)


def forwards(apps: Any, schema_editor: Any) -> None:
    replaced(schema_editor, NOW)


def backwards(apps: Any, schema_editor: Any) -> None:
    replaced(schema_editor, BEFORE)


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0014_ledger_by_model_and_cost")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
