"""Storing, replacing and removing a company's provider keys; exchange rates."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from django.db import transaction

from ai_providers import selectors
from ai_providers.models import AICredentials, ExchangeRate, SealedKey
from megahub.kernel import clock
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import Text

#: Today's forms of keys; ``sk-proj-…`` holds ``-`` and ``_``. Never echoed when it does not fit.
KEY_FORMS = {
    "openai": re.compile(r"sk-[A-Za-z0-9_-]{12,300}"),
    "anthropic": re.compile(r"sk-ant-[A-Za-z0-9_-]{12,300}"),
    "google": re.compile(r"AIza[A-Za-z0-9_-]{20,100}"),
    "infomaniak": re.compile(r"[A-Za-z0-9_-]{20,300}"),
}


def check_key(provider: str, key: str) -> None:
    """Raise ValidationFailed for a key that cannot be one of this provider's."""
    form = KEY_FORMS.get(provider)
    if form is None or not form.fullmatch(key):
        field = f"{provider}_api_key"
        text = Text("This does not look like a key of {provider}.", provider=provider)
        raise ValidationFailed(field_errors={field: [text]}, param=field)


def store_keys(
    company_id: int, keys: dict[str, str | None], **settings_of_company: str | bool
) -> AICredentials:
    """Set a company's keys: by provider, a new key, None to remove it, "" to leave it unchanged.

    A replaced or removed key stays stored, sealed and retired. Raises ValidationFailed before
    anything is changed.
    """
    given = {provider: key for provider, key in keys.items() if key != ""}
    for provider, key in given.items():
        if key is not None:
            check_key(provider, key)
    with transaction.atomic():
        row, _ = AICredentials.objects.unscoped().update_or_create(
            company_id=company_id, defaults=settings_of_company
        )
        for provider, key in given.items():
            _retire(row, provider)
            if key is not None:
                base_url = selectors.base_url_of(provider)
                SealedKey.seal(row, provider, key, base_url).save(force_insert=True)
    selectors.forget()
    return row


def _retire(row: AICredentials, provider: str) -> None:
    live = SealedKey.objects.of(row.company_id).filter(provider=provider, retired_at=None)
    live.update(retired_at=clock.now())


def mark_refused(key_id: int) -> None:
    """Remember that the provider refused a stored key, for the people who look after it."""
    SealedKey.objects.unscoped().filter(pk=key_id).update(refused_at=clock.now())


def set_rate(currency: str, day: date, usd: Decimal, source: str) -> ExchangeRate:
    """How many USD one unit of ``currency`` is worth from ``day`` on."""
    row, _ = ExchangeRate.objects.update_or_create(
        currency=currency, day=day, defaults={"usd": usd, "source": source}
    )
    selectors.forget()
    return row
