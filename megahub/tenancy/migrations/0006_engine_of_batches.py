"""Which engine a company's batches run on when they ask for none.

The column is added as it is: Django would make the table anew on SQLite, under the views that read it.
"""

from typing import Any

from django.db import migrations, models

ADD = "ALTER TABLE tenancy_company ADD COLUMN batch_engine varchar(8) NOT NULL DEFAULT 'auto'"


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(ADD, params=None)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("ALTER TABLE tenancy_company DROP COLUMN batch_engine", params=None)


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0005_members")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards, elidable=False)],
            state_operations=[
                migrations.AddField(
                    model_name="company",
                    name="batch_engine",
                    field=models.CharField(
                        choices=[
                            ("auto", "Automatic"),
                            ("provider", "The provider's batch API"),
                            ("hub", "The hub's workers"),
                        ],
                        default="auto",
                        help_text=(
                            "For batches that ask for none: the provider's batch API, or the hub's own"
                            " workers."
                        ),
                        max_length=8,
                    ),
                ),
            ],
        )
    ]
