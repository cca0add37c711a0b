"""Nothing any more: a view of usage in two halves is not joined by index (see usage_in_one)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0014_ledger_by_model_and_cost")]
    operations: list[migrations.RunPython] = []
