"""The view of usage as migration 0007 has it, wherever 0015 had made it anew.

In two halves it could be sorted by cost, but a list of jobs read the whole ledger to join it.
"""

from importlib import import_module
from typing import Any

from django.db import migrations

USAGE = import_module("ai_usage.migrations.0007_usage_views").USAGE_NOW


def forwards(apps: Any, schema_editor: Any) -> None:
    for statement in ("DROP VIEW ai_usage_aijobusage", USAGE):
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("ai_usage", "0018_earlier_changes")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop, elidable=False)]
