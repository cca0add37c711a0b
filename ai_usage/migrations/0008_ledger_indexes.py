"""Indexes of the ledger, made while it is written to."""

from typing import Any

from django.db import migrations, models

MAKE = (
    "CREATE INDEX {how} ledger_by_cost ON ai_usage_ledgerentry"
    " (company_id, cost_nano_usd DESC) WHERE cost_nano_usd > 0",
    "CREATE UNIQUE INDEX {how} one_manual_entry_per_reference ON ai_usage_ledgerentry"
    " (company_id, job_ref) WHERE kind = 'manual'",
)
# The view of usage holds manual entries too: an index that it can use must know of them.
MAKE += (
    "CREATE UNIQUE INDEX {how} one_closing_per_job ON ai_usage_ledgerentry (job_id)"
    " WHERE kind IN ('settle', 'void', 'manual')",
    "DROP INDEX {how} one_settlement_per_job",
)
DROP = ("DROP INDEX {how} ledger_by_cost", "DROP INDEX {how} one_manual_entry_per_reference")
DROP += (
    "CREATE UNIQUE INDEX {how} one_settlement_per_job ON ai_usage_ledgerentry (job_id)"
    " WHERE kind IN ('settle', 'void')",
    "DROP INDEX {how} one_closing_per_job",
)


def run(schema_editor: Any, statements: tuple[str, ...]) -> None:
    how = "CONCURRENTLY" if schema_editor.connection.vendor == "postgresql" else ""
    for statement in statements:
        schema_editor.execute(statement.format(how=how), params=None)


def forwards(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, MAKE)


def backwards(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, DROP)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ai_usage", "0007_usage_views")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards, elidable=False)],
            state_operations=[
                migrations.RemoveConstraint(model_name="ledgerentry", name="one_settlement_per_job"),
                migrations.AddConstraint(
                    model_name="ledgerentry",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["settle", "void", "manual"])),
                        fields=("job_id",),
                        name="one_closing_per_job",
                    ),
                ),
                migrations.AddIndex(
                    model_name="ledgerentry",
                    index=models.Index(
                        models.F("company"),
                        models.OrderBy(models.F("cost_nano_usd"), descending=True),
                        condition=models.Q(("cost_nano_usd__gt", 0)),
                        name="ledger_by_cost",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="ledgerentry",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("kind", "manual")),
                        fields=("company", "job_ref"),
                        name="one_manual_entry_per_reference",
                    ),
                ),
            ],
        )
    ]
