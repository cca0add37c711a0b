"""A company may have the provider's moderation look at its texts; nobody has to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ai_guard", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="guardpolicy",
            name="moderation",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
