"""Exchange rates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from ai_providers import selectors
from ai_providers.models import ExchangeRate


def set_rate(currency: str, day: date, usd: Decimal, source: str) -> ExchangeRate:
    """How many USD one unit of ``currency`` is worth from ``day`` on."""
    row, _ = ExchangeRate.objects.update_or_create(
        currency=currency, day=day, defaults={"usd": usd, "source": source}
    )
    selectors.forget()
    return row
