"""The views that people's figures are read from, and the rollups' one cursor.

AIJobUsage learns of manual entries; ``countedentry`` and ``ratedentry`` say what a row adds to its
day; ``usageday`` is the rollups with what has not been folded yet.
"""

from typing import Any

from django.db import migrations

SUMS = (
    "jobs succeeded failed timeouts cancelled unpriced input_tokens cache_read_tokens cache_write_tokens"
    " output_tokens reasoning_tokens cost_nano_usd cost_input_nano_usd execution_ms timed_jobs"
    " ratings_tenths ratings"
).split()
DIMENSIONS = "company_id, day, sandbox, brand_id, provider, model, generation, reasoning_effort"
GREATEST = 2**63 - 1
VIEWS = ("ai_usage_usageday", "ai_usage_ratedentry", "ai_usage_countedentry")

USAGE_BEFORE = """
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
OUTCOME = "COALESCE(e.outcome, CASE WHEN e.is_success THEN 'completed' ELSE 'failed' END)"
MORE = f"e.is_success, e.created_at, e.kind, e.job_ref AS reference, {OUTCOME} AS outcome"
# The first condition is that of the index one_closing_per_job, in its words: joins by job can use it.
KINDS = "WHERE e.kind IN ('settle', 'void', 'manual') AND (e.kind <> 'void' OR e.attempt_no > 0)"
USAGE_NOW = USAGE_BEFORE.replace("e.is_success, e.created_at", MORE).replace(
    "WHERE e.kind = 'settle' OR (e.kind = 'void' AND e.attempt_no > 0)", KINDS
)

# A void whose job was never called is no job; an adjustment corrects the day of the settlement that
# it adjusts, not its own.
COUNTED = """
CREATE VIEW ai_usage_countedentry AS
SELECT e.id AS entry_id, e.company_id, {day} AS day, e.sandbox,
    COALESCE(e.brand_id, 0) AS brand_id, e.provider, e.model, e.generation,
    COALESCE(e.reasoning_effort, '') AS reasoning_effort,
    CASE WHEN e.kind = 'adjust' THEN 0 ELSE 1 END AS jobs,
    CASE WHEN e.kind <> 'adjust' AND {outcome} = 'completed' THEN 1 ELSE 0 END AS succeeded,
    CASE WHEN e.kind <> 'adjust' AND {outcome} = 'failed' THEN 1 ELSE 0 END AS failed,
    CASE WHEN e.kind <> 'adjust' AND {outcome} = 'timeout' THEN 1 ELSE 0 END AS timeouts,
    CASE WHEN e.kind <> 'adjust' AND {outcome} = 'cancelled' THEN 1 ELSE 0 END AS cancelled,
    CASE WHEN e.kind = 'adjust' THEN -1 WHEN e.cost_nano_usd IS NULL THEN 1 ELSE 0 END AS unpriced,
    e.input_tokens, e.cache_read_tokens, e.cache_write_tokens, e.output_tokens, e.reasoning_tokens,
    COALESCE(e.cost_nano_usd, 0) AS cost_nano_usd,
    COALESCE(e.cost_input_nano_usd, 0) AS cost_input_nano_usd,
    CASE WHEN e.kind = 'adjust' THEN 0 ELSE COALESCE(e.execution_time_ms, 0) END AS execution_ms,
    CASE WHEN e.kind = 'adjust' OR e.execution_time_ms IS NULL THEN 0 ELSE 1 END AS timed_jobs,
    0 AS ratings_tenths, 0 AS ratings,
    CASE WHEN e.kind = 'adjust' OR e.execution_time_ms IS NULL THEN NULL
        WHEN e.execution_time_ms < 1 THEN 0 ELSE {bucket} END AS bucket
FROM ai_usage_ledgerentry e JOIN tenancy_company c ON c.id = e.company_id
WHERE e.kind <> 'void' OR e.attempt_no > 0
"""
USED_AT = """CASE WHEN e.kind = 'adjust' THEN COALESCE((SELECT s.created_at
        FROM ai_usage_ledgerentry s WHERE s.job_id = e.job_id AND s.kind = 'settle'), e.created_at)
    ELSE e.created_at END"""
RATED = """
CREATE VIEW ai_usage_ratedentry AS
SELECT r.id AS entry_id, e.company_id, {day} AS day, e.sandbox,
    COALESCE(e.brand_id, 0) AS brand_id, e.provider, e.model, e.generation,
    COALESCE(e.reasoning_effort, '') AS reasoning_effort,
    {nothing}, r.tenths AS ratings_tenths, r.ratings, {null} AS bucket
FROM ai_usage_ratingchange r
JOIN ai_usage_ledgerentry e ON e.job_id = r.job_id AND e.kind IN ('settle', 'void')
JOIN tenancy_company c ON c.id = e.company_id
"""
USAGE_DAY = """
CREATE VIEW ai_usage_usageday AS
SELECT 'r' || id AS id, {greatest} AS entry_id, {dimensions}, {sums}, histogram
FROM ai_usage_usagerollup
UNION ALL
SELECT 'e' || entry_id, entry_id, {dimensions}, {sums}, {histogram}
FROM ai_usage_countedentry WHERE entry_id > COALESCE((SELECT max(ledger_id) FROM ai_usage_rollupcursor), 0)
UNION ALL
SELECT 'c' || entry_id, {greatest}, {dimensions}, {sums}, {histogram}
FROM ai_usage_ratedentry WHERE entry_id > COALESCE((SELECT max(rating_id) FROM ai_usage_rollupcursor), 0)
"""
POSTGRESQL = {
    "day": "({at} AT TIME ZONE c.timezone)::date",
    "bucket": "floor(ln(e.execution_time_ms::float8) / ln(1.05::float8))::int + 1",
    "null": "NULL::int",
    "histogram": "CASE WHEN bucket IS NULL THEN '{}'::jsonb ELSE jsonb_build_object(bucket::text, 1) END",
}
SQLITE = {
    "day": "django_datetime_cast_date({at}, c.timezone, 'UTC')",
    "bucket": "CAST(floor(ln(e.execution_time_ms) / ln(1.05)) AS integer) + 1",
    "null": "NULL",
    "histogram": "CASE WHEN bucket IS NULL THEN '{}' ELSE json_object(CAST(bucket AS text), 1) END",
}


def views(words: dict[str, str]) -> tuple[str, str, str]:
    used_at, ended_at = (words["day"].format(at=at) for at in (USED_AT, "e.created_at"))
    nothing = ", ".join(f"0 AS {name}" for name in SUMS[:-2])
    return (
        COUNTED.format(day=used_at, outcome=OUTCOME, bucket=words["bucket"]),
        RATED.format(day=ended_at, nothing=nothing, null=words["null"]),
        USAGE_DAY.format(
            greatest=GREATEST,
            dimensions=DIMENSIONS,
            sums=", ".join(SUMS),
            histogram=words["histogram"],
        ),
    )


def forwards(apps: Any, schema_editor: Any) -> None:
    words = POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE
    for statement in ("DROP VIEW ai_usage_aijobusage", USAGE_NOW, *views(words)):
        schema_editor.execute(statement, params=None)
    apps.get_model("ai_usage", "RollupCursor").objects.create()


def backwards(apps: Any, schema_editor: Any) -> None:
    for view in (*VIEWS, "ai_usage_aijobusage"):
        schema_editor.execute(f"DROP VIEW {view}", params=None)
    schema_editor.execute(USAGE_BEFORE, params=None)
    apps.get_model("ai_usage", "RollupCursor").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0006_rollups"), ("tenancy", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards, elidable=False)]
