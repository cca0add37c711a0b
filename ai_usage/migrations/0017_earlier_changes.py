"""Budgets that were changed before their windows remembered it: those windows are not judged."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0016_was_limit")]

    operations = [
        migrations.RunSQL(
            "UPDATE ai_usage_budgetwindow SET was_limit = 9223372036854775807 WHERE budget_id IN"
            " (SELECT id FROM ai_usage_budget WHERE changed_at > created_at)",
            migrations.RunSQL.noop,
        )
    ]
