"""Jobs counted by day, brand, type and end: their rollups, and the views that these are folded from.

``countedjob`` says what the closing entry of a job adds to its day, ``removedjob`` what its deletion
takes away, ``jobday`` is the rollups with what has not been folded yet and the jobs that wait or run. Beat
folds what is there already.
"""

from importlib import import_module
from typing import Any

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import megahub.kernel.clock

SUMS = ("jobs", "completed", "failed", "cancelled", "timeout")
PLAIN = ", ".join(SUMS)
DIMENSIONS = "company_id, sandbox, brand_id, day, job_type_id"
GREATEST = 2**63 - 1
VIEWS = ("ai_usage_jobday", "ai_usage_removedjob", "ai_usage_countedjob")
OWN = "j.company_id, j.sandbox, j.brand_id, {day} AS day, j.job_type_id"
ENDS = ", ".join(f"CASE WHEN j.status = '{name}' THEN {{by}} ELSE 0 END AS {name}" for name in SUMS[1:])
OF_JOB = "JOIN ai_core_aijob j ON j.id = {told} JOIN tenancy_company c ON c.id = j.company_id"
COUNTED = (
    "CREATE VIEW ai_usage_countedjob AS SELECT e.id AS entry_id, {own}, 1 AS jobs, {ends}, j.deleted_at"
    " FROM ai_usage_ledgerentry e {of_job} WHERE e.kind IN ('settle', 'void')"
)
REMOVED = (
    "CREATE VIEW ai_usage_removedjob AS SELECT r.id AS entry_id, {own}, -1 AS jobs, {ends}"
    " FROM ai_usage_jobremoval r {of_job}"
    # Nobody has counted a job that had no closing entry.
    " WHERE EXISTS (SELECT 1 FROM ai_usage_ledgerentry e WHERE e.job_id = r.job_id"
    " AND e.kind IN ('settle', 'void'))"
)
# The relay finds what waits by ring_at, the reaper what runs by its call: by their indexes.
WAITS = "FROM ai_core_aijob j JOIN tenancy_company c ON c.id = j.company_id WHERE j.ring_at IS NOT NULL"
RUNS = "FROM ai_core_attempt a {of_job} AND j.attempt_no = a.attempt_no WHERE a.phase = 'calling'"
JOB_DAY = """
CREATE VIEW ai_usage_jobday AS
SELECT 'r' || id AS id, {greatest} AS entry_id, {dimensions}, {plain}, 0 AS pending, 0 AS running
FROM ai_usage_jobrollup
UNION ALL
SELECT 'e' || entry_id, entry_id, {dimensions}, {plain}, 0, 0 FROM ai_usage_countedjob
WHERE entry_id > COALESCE((SELECT max(job_entry_id) FROM ai_usage_rollupcursor), 0)
UNION ALL
SELECT 'd' || entry_id, {greatest}, {dimensions}, {plain}, 0, 0 FROM ai_usage_removedjob
WHERE entry_id > COALESCE((SELECT max(removal_id) FROM ai_usage_rollupcursor), 0)
UNION ALL
SELECT 'p' || j.id, {greatest}, {own}, 1, 0, 0, 0, 0, 1, 0
{waits} AND j.status = 'pending' AND j.deleted_at IS NULL
UNION ALL
SELECT 'n' || j.id, {greatest}, {own}, 1, 0, 0, 0, 0, 0, 1
{runs} AND j.status = 'running' AND j.deleted_at IS NULL
"""
POSTGRESQL_DAY = "(j.created_at AT TIME ZONE c.timezone)::date"
SQLITE_DAY = "django_datetime_cast_date(j.created_at, c.timezone, 'UTC')"
REMOVED_BEFORE = (
    "INSERT INTO ai_usage_jobremoval (company_id, job_id, created_at)"
    " SELECT company_id, id, deleted_at FROM ai_core_aijob WHERE deleted_at IS NOT NULL"
)
# SQLite makes a table anew for a column; no view may name it then.
EARLIER = import_module("ai_usage.migrations.0007_usage_views")


def views(day: str) -> tuple[str, str, str]:
    own = OWN.format(day=day)
    return (
        COUNTED.format(own=own, ends=ENDS.format(by=1), of_job=OF_JOB.format(told="e.job_id")),
        REMOVED.format(own=own, ends=ENDS.format(by=-1), of_job=OF_JOB.format(told="r.job_id")),
        JOB_DAY.format(
            greatest=GREATEST, dimensions=DIMENSIONS, plain=PLAIN, own=own, waits=WAITS,
            runs=RUNS.format(of_job=OF_JOB.format(told="a.job_id")),
        ),
    )  # fmt: skip


def make(apps: Any, schema_editor: Any) -> None:
    day = POSTGRESQL_DAY if schema_editor.connection.vendor == "postgresql" else SQLITE_DAY
    for statement in (*views(day), REMOVED_BEFORE):
        schema_editor.execute(statement, params=None)


def unmake(apps: Any, schema_editor: Any) -> None:
    for view in VIEWS:
        schema_editor.execute(f"DROP VIEW {view}", params=None)


def put_away(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP VIEW ai_usage_usageday", params=None)


def put_back(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(EARLIER.views(EARLIER.SQLITE)[2], params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("ai_usage", "0018_cost_by_index"),
        ("ai_core", "0008_guard"),
        ("tenancy", "0006_engine_of_batches"),
    ]

    operations = [
        migrations.RunPython(put_away, put_back),
        migrations.CreateModel(
            name="JobDay",
            fields=[
                ("sandbox", models.BooleanField()),
                ("brand_id", models.BigIntegerField()),
                ("day", models.DateField()),
                ("job_type_id", models.BigIntegerField()),
                ("jobs", models.BigIntegerField(default=0)),
                ("completed", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("cancelled", models.BigIntegerField(default=0)),
                ("timeout", models.BigIntegerField(default=0)),
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("entry_id", models.BigIntegerField()),
                ("pending", models.BigIntegerField()),
                ("running", models.BigIntegerField()),
            ],
            options={
                "db_table": "ai_usage_jobday",
                "abstract": False,
                "managed": False,
                "default_manager_name": "rows",
            },
            managers=[
                ("rows", django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddField(
            model_name="rollupcursor",
            name="job_entry_id",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="rollupcursor",
            name="removal_id",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="rollupcursor",
            name="seen_removal_id",
            field=models.BigIntegerField(default=0),
        ),
        migrations.CreateModel(
            name="JobRemoval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("job_id", models.BigIntegerField(unique=True)),
                ("created_at", models.DateTimeField(default=megahub.kernel.clock.now)),
                (
                    "company",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.company"
                    ),
                ),
            ],
            options={
                "abstract": False,
                "default_manager_name": "rows",
            },
            managers=[
                ("rows", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="JobRollup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sandbox", models.BooleanField()),
                ("brand_id", models.BigIntegerField()),
                ("day", models.DateField()),
                ("job_type_id", models.BigIntegerField()),
                ("jobs", models.BigIntegerField(default=0)),
                ("completed", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("cancelled", models.BigIntegerField(default=0)),
                ("timeout", models.BigIntegerField(default=0)),
                (
                    "company",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.company",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "default_manager_name": "rows",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("company", "sandbox", "brand_id", "day", "job_type_id"),
                        name="one_job_rollup_per_day_and_type",
                    )
                ],
            },
            managers=[
                ("rows", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunPython(put_back, put_away),
        migrations.RunPython(make, unmake),
    ]
