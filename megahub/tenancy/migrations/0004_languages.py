"""In which language mails are written: a company's, and a person's own.

Columns are added as they are: Django would make the tables anew on SQLite, under the views that read them.
"""

from typing import Any

from django.db import migrations, models

LANGUAGES = [("en", "English"), ("fr", "Français")]


ADD = "ALTER TABLE {table} ADD COLUMN language varchar(8) NOT NULL DEFAULT {default}"
TABLES = {"tenancy_company": "'en'", "tenancy_user": "''"}


def forwards(apps: Any, schema_editor: Any) -> None:
    for table, default in TABLES.items():
        schema_editor.execute(ADD.format(table=table, default=default), params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    for table in TABLES:
        schema_editor.execute(f"ALTER TABLE {table} DROP COLUMN language", params=None)


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0003_throttle")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards, elidable=False)],
            state_operations=[
                migrations.AddField(
                    model_name="company",
                    name="language",
                    field=models.CharField(
                        choices=LANGUAGES,
                        default="en",
                        db_default="en",
                        help_text="In which mails are written.",
                        max_length=8,
                    ),
                ),
                migrations.AddField(
                    model_name="user",
                    name="language",
                    field=models.CharField(
                        blank=True,
                        choices=LANGUAGES,
                        default="",
                        db_default="",
                        help_text="Without one: the company's.",
                        max_length=8,
                    ),
                ),
            ],
        )
    ]
