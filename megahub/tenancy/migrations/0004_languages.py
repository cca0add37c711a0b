"""In which language mails are written: a company's, and a person's own."""

from django.db import migrations, models

LANGUAGES = [("en", "English"), ("fr", "Français")]


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0003_throttle")]
    operations = [
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
    ]
