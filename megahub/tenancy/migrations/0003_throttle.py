from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0002_kept_answers"),
    ]

    operations = [
        migrations.CreateModel(
            name="Throttle",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("empty_at_ms", models.BigIntegerField(db_index=True)),
            ],
        ),
    ]
