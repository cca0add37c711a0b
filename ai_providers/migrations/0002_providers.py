"""The providers that the catalogue names, and the first exchange rate."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import migrations

PROVIDERS = (
    ("openai", "OpenAI", "gpt-4o", {"supports_files": True, "supports_vision": True}),
    ("infomaniak", "Infomaniak", "mistralai/Mistral-Small-4-119B-2603", {"supports_vision": True}),
    ("anthropic", "Anthropic", "claude-sonnet-5-5", {"supports_vision": True}),
    ("google", "Google", "gemini-3.5-flash", {"supports_files": True, "supports_vision": True}),
)
#: 1 / 0.8089 USDCHF. Newer rates: `manage.py set_exchange_rate`, or the admin.
FIRST_RATE = ("CHF", date(2026, 6, 22), Decimal("1.236247"), "Trading Economics, USDCHF 0.8089")


def forwards(apps: Any, schema_editor: Any) -> None:
    for name, display_name, default_model, supports in PROVIDERS:
        apps.get_model("ai_providers", "AIProvider").objects.get_or_create(
            name=name,
            defaults={"display_name": display_name, "default_model": default_model, **supports},
        )
    currency, day, usd, source = FIRST_RATE
    apps.get_model("ai_providers", "ExchangeRate").objects.get_or_create(
        currency=currency, day=day, defaults={"usd": usd, "source": source}
    )


class Migration(migrations.Migration):
    dependencies = [("ai_providers", "0001_initial")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
