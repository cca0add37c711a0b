"""Explaining a charge: what the ledger tells of it beside the price row that it was made with."""

from __future__ import annotations

from typing import Any

from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_providers.domain.pricing import Rate
from ai_providers.domain.spec import Price
from ai_usage.domain import charges
from ai_usage.models import AIJobUsage, LedgerEntry
from ai_usage.services.repricing import usage_of
from megahub.kernel import money
from megahub.kernel.errors import ServerError


def explain(usage: AIJobUsage) -> dict[str, Any]:
    """Token classes, price row and rate, reservation, settlement, adjustments of one usage."""
    entries = LedgerEntry.objects.of(usage.company_id)
    entry = entries.get(pk=usage.pk)
    adjustments = []
    if entry.kind != "manual":
        adjustments = list(entries.filter(job_id=entry.job_id, kind="adjust").order_by("pk"))
    priced = entry if entry.cost_nano_usd is not None else next(iter(adjustments), entry)
    counted, price, rate = usage_of(entry), _price(priced), _rate(priced)
    return {
        "id": usage.pk,
        "reference": entry.job_ref,
        "model": entry.model,
        "provider": entry.provider,
        "sandbox": entry.sandbox,
        "is_estimated": entry.is_estimated,
        "lines": charges.lines(counted, price),
        "price": price,
        "rate": charges.rate_told(rate),
        "amount": money.show(priced.amount_nano),
        "currency": priced.currency,
        "total_cost": money.show(priced.cost_nano_usd),
        "adds_up": charges.adds_up(counted, price, rate, priced.cost_nano_usd),
        "reservation": money.show(entry.reserved_nano_usd),
        "settlement": _told(entry),
        "adjustments": [_told(each) for each in adjustments],
    }


def _price(entry: LedgerEntry) -> Price | None:
    """The price row that an entry was priced with, while it is still known."""
    spec = loading.models().get(entry.model)
    if spec is None or entry.price_since is None:
        return None
    try:
        price, known = providers.price_of(spec, entry.price_since)
    except ServerError:
        return None
    same = known and (price.since, price.currency) == (entry.price_since, entry.currency)
    return price if same else None


def _rate(entry: LedgerEntry) -> Rate | None:
    if entry.currency is None or entry.rate_usd is None or entry.rate_day is None:
        return None
    return Rate(entry.currency, entry.rate_usd, entry.rate_day)


def _told(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "created_at": entry.created_at,
        "cost": money.show(entry.cost_nano_usd),
        "cost_input": money.show(entry.cost_input_nano_usd),
        "charged": money.show(entry.charged_nano_usd),
    }
