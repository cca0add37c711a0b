"""Indexes for lists of one model and by cost, made while the ledger is written to.

``ledger_by_amount`` is none of the model's: lists have null last, and no index of SQLite's can say so.
"""

from typing import Any

from django.db import migrations, models

MAKE = (
    "CREATE INDEX {how} ledger_by_model ON ai_usage_ledgerentry"
    " (company_id, model, created_at DESC, id DESC)",
    "CREATE INDEX {how} ledger_by_amount ON ai_usage_ledgerentry"
    " (company_id, cost_nano_usd DESC {last}, id DESC) WHERE cost_nano_usd IS NOT NULL",
    "DROP INDEX {how} ledger_by_cost",
)
DROP = (
    "CREATE INDEX {how} ledger_by_cost ON ai_usage_ledgerentry"
    " (company_id, cost_nano_usd DESC) WHERE cost_nano_usd > 0",
    "DROP INDEX {how} ledger_by_model",
    "DROP INDEX {how} ledger_by_amount",
)


def run(schema_editor: Any, statements: tuple[str, ...]) -> None:
    on_postgres = schema_editor.connection.vendor == "postgresql"
    how, last = ("CONCURRENTLY", "NULLS LAST") if on_postgres else ("", "")
    for statement in statements:
        schema_editor.execute(statement.format(how=how, last=last), params=None)


def forwards(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, MAKE)


def backwards(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, DROP)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ai_usage", "0013_rollup_alert")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards, elidable=False)],
            state_operations=[
                migrations.RemoveIndex(model_name="ledgerentry", name="ledger_by_cost"),
                migrations.AddIndex(
                    model_name="ledgerentry",
                    index=models.Index(
                        fields=["company", "model", "-created_at", "-id"], name="ledger_by_model"
                    ),
                ),
            ],
        )
    ]
