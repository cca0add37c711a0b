"""Requirement 11: rotating the master key rewraps data keys only; the old one is not needed afterwards."""

from __future__ import annotations

import base64
from typing import Any

from ai_providers import services
from ai_providers.models import SealedKey
from megahub.tenancy import services as tenancy
from megahub.tenancy.models import CompanyKey
from tests.world import Cast

KEY = "sk-proj-canary-rotation-0123456789"
URL = "https://api.openai.com/v1"


def test_it_works(cast: Cast, settings: Any) -> None:
    old = settings.AI_ENCRYPTION_KEY
    new = "next:" + base64.b64encode(b"\x07" * 32).decode()
    services.store_keys(cast.company.pk, {"openai": KEY})
    row = SealedKey.objects.of(cast.company.pk).get()
    ciphertext = bytes(row.sealed)

    settings.AI_ENCRYPTION_KEY = f"{new},{old}"
    assert row.open(URL) == KEY  # both open while they stand together
    assert tenancy.rewrap_data_keys() >= 1
    settings.AI_ENCRYPTION_KEY = new
    row.refresh_from_db()

    assert row.open(URL) == KEY
    assert bytes(row.sealed) == ciphertext
    wrapped = CompanyKey.objects.of(cast.company.pk).get()
    assert wrapped.master_key_id == "next"

    settings.AI_ENCRYPTION_KEY = f"{old},{new}"
    tenancy.rewrap_data_keys()  # for the tests that follow
