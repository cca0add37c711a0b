"""Which runs of characters jobs' texts hold, in blocks; a text that changes empties its block.

The trigger asks for nothing of a job that has not ended: on its road none is looked at.
"""

from typing import Any

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import megahub.kernel.clock

ENDED = "OLD.status IN ('completed', 'failed', 'cancelled', 'timeout')"
CHANGED = (
    "(OLD.description <> NEW.description OR OLD.job_id <> NEW.job_id OR OLD.input_data <> NEW.input_data)"
)
EMPTY = """
    UPDATE ai_core_searchblock SET words = 0, signature = {empty}, changes = changes + 1, fill_at = {now}
    WHERE last_id >= OLD.id AND id = (
        SELECT b.id FROM ai_core_searchblock b WHERE b.company_id = OLD.company_id AND b.first_id <= OLD.id
        ORDER BY b.first_id DESC LIMIT 1)
"""
ON_UPDATE = f"""
    CREATE TRIGGER hub_search_changed AFTER UPDATE OF description, job_id, input_data ON ai_core_aijob
    FOR EACH ROW WHEN ({ENDED} AND {CHANGED})
"""
ON_DELETE = "CREATE TRIGGER hub_search_deleted AFTER DELETE ON ai_core_aijob FOR EACH ROW"
POSTGRESQL = (
    f"""
    CREATE FUNCTION hub_search_forget() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {EMPTY.format(empty="''", now="now()")}; RETURN NULL; END $$
    """,
    f"{ON_UPDATE} EXECUTE FUNCTION hub_search_forget()",
    f"{ON_DELETE} EXECUTE FUNCTION hub_search_forget()",
    # Signatures do not shrink, and a question asks for a few bytes of each.
    "ALTER TABLE ai_core_searchblock ALTER COLUMN signature SET STORAGE EXTERNAL",
)
POSTGRESQL_BACK = (
    "DROP TRIGGER hub_search_changed ON ai_core_aijob",
    "DROP TRIGGER hub_search_deleted ON ai_core_aijob",
    "DROP FUNCTION hub_search_forget()",
)
NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
EMPTY_ON_SQLITE = EMPTY.format(empty="x''", now=NOW)
SQLITE = tuple(f"{on} BEGIN {EMPTY_ON_SQLITE}; END" for on in (ON_UPDATE, ON_DELETE))
SQLITE_BACK = ("DROP TRIGGER hub_search_changed", "DROP TRIGGER hub_search_deleted")


def forwards(apps: Any, schema_editor: Any) -> None:
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)
    apps.get_model("ai_core", "SearchCursor").objects.create()


def backwards(apps: Any, schema_editor: Any) -> None:
    back = POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK
    for statement in back:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("ai_core", "0008_guard"),
        ("tenancy", "0006_engine_of_batches"),
    ]

    operations = [
        migrations.CreateModel(
            name="SearchCursor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("tiled_job_id", models.BigIntegerField(default=0)),
                ("safe_job_id", models.BigIntegerField(default=0)),
                ("safe_block_id", models.BigIntegerField(default=0)),
                ("seen_job_id", models.BigIntegerField(default=0)),
                ("seen_block_id", models.BigIntegerField(default=0)),
                ("seen_xid", models.BigIntegerField(default=0)),
                ("seen_at", models.DateTimeField(default=megahub.kernel.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="SearchBlock",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField()),
                ("jobs", models.PositiveIntegerField()),
                ("words", models.PositiveIntegerField(default=0)),
                ("signature", models.BinaryField(default=b"")),
                ("changes", models.PositiveIntegerField(default=0)),
                ("fill_at", models.DateTimeField(default=megahub.kernel.clock.now, null=True)),
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
                "indexes": [
                    models.Index(
                        condition=models.Q(("fill_at__isnull", False)),
                        fields=["fill_at"],
                        name="block_to_fill",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("company", "first_id"), name="one_block_per_number")
                ],
            },
            managers=[
                ("rows", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunPython(forwards, backwards),
    ]
