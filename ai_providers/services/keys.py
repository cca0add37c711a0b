"""Storing, replacing and removing a company's provider keys."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.db import transaction

from ai_providers import selectors
from ai_providers.models import AICredentials, SealedKey
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
    if text := misfit(provider, key):
        field = f"{provider}_api_key"
        raise ValidationFailed(field_errors={field: [text]}, param=field)


def misfit(provider: str, key: str) -> Text | None:
    """What is wrong with a key's form, without the key; None for one that fits."""
    form = KEY_FORMS.get(provider)
    if form is not None and form.fullmatch(key):
        return None
    return Text("This does not look like a key of {provider}.", provider=provider)


def store_keys(
    company_id: int,
    keys: dict[str, str | None],
    *,
    by: int | None = None,
    **settings_of_company: str | bool,
) -> AICredentials:
    """Set a company's keys: by provider, a new key, None to remove it, "" to leave it unchanged.

    ``by`` is the number of the user who does it. A replaced or removed key stays stored, sealed and
    retired. Raises ValidationFailed, naming every key that does not fit, before anything is changed.
    """
    given = {provider: key for provider, key in keys.items() if key != ""}
    _check_all(given)
    with transaction.atomic():
        row, _ = AICredentials.objects.unscoped().update_or_create(
            company_id=company_id, defaults={**settings_of_company, "deleted_at": None}
        )
        for provider, key in given.items():
            _retire(company_id, by, provider=provider)
            if key is not None:
                base_url = selectors.base_url_of(provider)
                SealedKey.seal(row, provider, key, base_url, by).save(force_insert=True)
    transaction.on_commit(selectors.forget)
    return row


def empty(company_id: int, by: int | None = None) -> None:
    """Take away a company's credentials: every key is retired, its settings are gone; the history stays."""
    with transaction.atomic():
        _retire(company_id, by)
        AICredentials.objects.of(company_id).update(
            use_global_fallback=False,
            openai_organization="",
            infomaniak_product_id="",
            updated_at=clock.now(),
            deleted_at=clock.now(),
        )
    transaction.on_commit(selectors.forget)


def _check_all(given: dict[str, str | None]) -> None:
    wrong = {
        f"{provider}_api_key": [text]
        for provider, key in given.items()
        if key is not None and (text := misfit(provider, key))
    }
    if wrong:
        raise ValidationFailed(field_errors=wrong, param=next(iter(wrong)))


def _retire(company_id: int, by: int | None, **which: Any) -> None:
    live = SealedKey.objects.of(company_id).filter(retired_at=None, **which)
    live.update(retired_at=clock.now(), retired_by=by)


def mark_refused(key_id: int) -> datetime | None:
    """Remember that the provider refused a stored key; when it was last found sound, if ever."""
    rows = SealedKey.objects.unscoped().filter(pk=key_id)
    rows.filter(refused_at=None).update(refused_at=clock.now())
    found: datetime | None = rows.values_list("validated_at", flat=True).first()
    return found


def mark_sound(key_id: int) -> None:
    """Remember that the provider took a stored key."""
    SealedKey.objects.unscoped().filter(pk=key_id).update(refused_at=None, validated_at=clock.now())
