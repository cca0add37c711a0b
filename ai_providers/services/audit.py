"""Looking over the stored keys: what is wrong with each, and what the hub can do about it by itself.

Only a provider can make a new key of its own, and only people can store it. What the hub rotates are
its own keys: data keys under a master key that is no longer the sealing one are wrapped again. A key
that its provider refuses is retired, unless that would let its company's jobs fall to the sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ai_providers import selectors
from ai_providers.models import SealedKey
from megahub.kernel import clock, vault
from megahub.kernel.errors import NoApiKey
from megahub.tenancy import services as tenancy
from megahub.tenancy.models import CompanyKey


@dataclass(frozen=True, slots=True)
class Audited:
    """A key in use and what is wrong with it, in words."""

    key: SealedKey
    age_days: int
    findings: tuple[str, ...]


def look_over(max_age_days: int) -> list[Audited]:
    """Every key in use, the oldest first."""
    rows = SealedKey.objects.unscoped().filter(retired_at=None).order_by("created_at", "pk")
    masters = dict(CompanyKey.objects.unscoped().values_list("company_id", "master_key_id"))
    current = vault.master_keys()[0].id
    found = []
    for key in rows.select_related("company", "credentials"):
        age = clock.now() - key.created_at
        findings = []
        if key.refused_at is not None:
            findings.append(f"refused by its provider since {key.refused_at:%Y-%m-%d}")
        if age > timedelta(days=max_age_days):
            findings.append(f"older than {max_age_days} days: a new one must be made at the provider")
        if not _opens(key):
            findings.append("does not open for the provider's address: it must be stored again")
        if (master := masters.get(key.company_id)) != current:
            findings.append(f"its data key is wrapped by the master key {master}, not {current}")
        found.append(Audited(key, age.days, tuple(findings)))
    return found


def rotate(max_age_days: int) -> tuple[int, list[SealedKey], list[SealedKey]]:
    """(data keys wrapped again, keys that were retired, refused keys that were left)."""
    wrapped = tenancy.rewrap_data_keys()
    refused = [audited.key for audited in look_over(max_age_days) if audited.key.refused_at is not None]
    retired, left = [], []
    for key in refused:
        last = len(selectors.live_keys(key.company_id)) == 1
        if last and key.company.use_sandbox:
            left.append(key)
        else:
            SealedKey.objects.of(key.company_id).filter(pk=key.pk).update(retired_at=clock.now())
            retired.append(key)
    selectors.forget()
    return wrapped, retired, left


def _opens(key: SealedKey) -> bool:
    try:
        selectors.access_of(key)
    except NoApiKey:
        return False
    return True
