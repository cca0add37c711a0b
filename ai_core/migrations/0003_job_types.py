"""The job types that clients know."""

from typing import Any

from django.db import migrations

from ai_core.domain.kinds import KINDS


def forwards(apps: Any, schema_editor: Any) -> None:
    types = apps.get_model("ai_core", "AIJobType")
    for kind in KINDS.values():
        types.objects.get_or_create(
            name=kind.name,
            defaults={
                "description": kind.description,
                "category": kind.category,
                "estimated_duration_seconds": kind.estimated_duration_seconds,
                "requires_async": kind.requires_async,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("ai_core", "0002_terminal_jobs_never_move")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
