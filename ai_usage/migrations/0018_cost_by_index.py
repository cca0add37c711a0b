"""Where a job's cost comes from, and an index for those that were priced later: for lists by cost.

The view joins an adjustment to a settlement of its own company: the planner can then begin with either.
"""

from typing import Any

from django.db import migrations, models

VIEW = """
CREATE VIEW ai_usage_aijobusage {options} AS
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
    e.execution_time_ms, e.first_byte_ms, e.is_success, e.created_at, e.kind, e.job_ref AS reference,
    COALESCE(e.outcome, CASE WHEN e.is_success THEN 'completed' ELSE 'failed' END) AS outcome{more}
FROM ai_usage_ledgerentry e
LEFT JOIN ai_usage_ledgerentry a ON a.job_id = e.job_id AND a.kind = 'adjust'{joined}
WHERE e.kind IN ('settle', 'void', 'manual') AND (e.kind <> 'void' OR e.attempt_no > 0)
"""
MORE = ", e.cost_nano_usd AS own_cost_nano_usd, a.cost_nano_usd AS later_cost_nano_usd"
JOINED = " AND a.company_id = e.company_id"
MAKE = (
    "CREATE INDEX {how} ledger_adjusted ON ai_usage_ledgerentry"
    " (company_id, cost_nano_usd DESC {last}) WHERE kind = 'adjust'"
)
DROP = "DROP INDEX {how} ledger_adjusted"


def view(schema_editor: Any, more: str, joined: str) -> None:
    on_postgres = schema_editor.connection.vendor == "postgresql"
    options = "WITH (security_invoker = true)" if on_postgres else ""
    schema_editor.execute("DROP VIEW ai_usage_aijobusage", params=None)
    schema_editor.execute(VIEW.format(options=options, more=more, joined=joined), params=None)


def index(schema_editor: Any, statement: str) -> None:
    on_postgres = schema_editor.connection.vendor == "postgresql"
    how, last = ("CONCURRENTLY", "NULLS LAST") if on_postgres else ("", "")
    schema_editor.execute(statement.format(how=how, last=last), params=None)


def forwards(apps: Any, schema_editor: Any) -> None:
    index(schema_editor, MAKE)
    view(schema_editor, MORE, JOINED)


def backwards(apps: Any, schema_editor: Any) -> None:
    view(schema_editor, "", "")
    index(schema_editor, DROP)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ai_usage", "0017_earlier_changes")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards, elidable=False)],
            state_operations=[
                migrations.AddField("aijobusage", name, models.BigIntegerField(null=True))
                for name in ("own_cost_nano_usd", "later_cost_nano_usd")
            ],
        )
    ]
