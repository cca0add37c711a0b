"""Usage of work that was done outside the hub: in the ledger, in the figures, in no budget.

Budgets limit what the hub may still spend, and hold room before a job is sent; what was paid elsewhere
could neither be held nor refused. It is charged with 0, so that what windows have spent stays the sum of
what the ledger charged.
"""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_providers.domain import pricing
from ai_providers.domain.pricing import Cost
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Usage
from ai_usage.models import LedgerEntry
from megahub.kernel import money
from megahub.kernel.errors import Conflict, ServerError, ValidationFailed
from megahub.kernel.text import Text


def record(company_id: int, brand_id: int, sandbox: bool, told: dict[str, Any]) -> LedgerEntry:
    """Append a manual entry (``told`` is a checked ManualUsage).

    Raises ValidationFailed without a cost for a model that has no price, Conflict for a reference that
    was taken already.
    """
    spec = loading.models().get(told["model_name"])
    if spec is not None and spec.provider != told["provider_name"]:
        spec = None
    usage = Usage(
        input=told["input_tokens"] - told["cached_tokens"],
        cache_read=told["cached_tokens"],
        output=told["output_tokens"] - told["reasoning_tokens"],
        reasoning=told["reasoning_tokens"],
    )
    reference = told.get("reference") or f"manual_{secrets.token_hex(12)}"
    seconds = told.get("execution_time_seconds")
    try:
        with transaction.atomic():
            entry: LedgerEntry = LedgerEntry.objects.unscoped().create(
                company_id=company_id,
                brand_id=brand_id,
                job_id=-1 - secrets.randbits(62),  # no job's
                job_ref=reference,
                kind="manual",
                provider=told["provider_name"],
                model=told["model_name"],
                generation=spec.generation if spec else "new",
                reasoning_effort=told.get("reasoning_effort"),
                sandbox=sandbox,
                outcome="completed" if told["is_success"] else "failed",
                is_success=told["is_success"],
                execution_time_ms=None if seconds is None else round(seconds * 1000),
                input_tokens=usage.input,
                cache_read_tokens=usage.cache_read,
                output_tokens=usage.output,
                reasoning_tokens=usage.reasoning,
                created_at=told["created_at"],
                **_cost(told, spec, usage),
            )
            return entry
    except IntegrityError as error:
        taken = LedgerEntry.objects.of(company_id).filter(kind="manual", job_ref=reference)
        if not taken.exists():
            raise
        raise Conflict("There is an entry {reference} already.", reference=reference) from error


def _cost(told: dict[str, Any], spec: ModelSpec | None, usage: Usage) -> dict[str, Any]:
    """The columns of money: as told, or by the price that was in force."""
    amount: Decimal | None = told.get("total_cost")
    if amount is not None:
        part = told.get("cost_input")
        return {
            "cost_nano_usd": money.to_nano(amount),
            "cost_input_nano_usd": None if part is None else money.to_nano(part),
        }
    cost = None if spec is None else _priced(spec, usage, told)
    if cost is None:
        message = Text("No price is known for this model; say what it cost.")
        raise ValidationFailed(field_errors={"total_cost": [message]}, param="total_cost")
    return {
        "currency": cost.currency,
        "amount_nano": cost.nano,
        "rate_usd": cost.rate.usd,
        "rate_day": cost.rate.day,
        "price_since": cost.price_since,
        "cost_nano_usd": cost.usd_nano,
        "cost_input_nano_usd": cost.input_usd_nano,
    }


def _priced(spec: ModelSpec, usage: Usage, told: dict[str, Any]) -> Cost | None:
    day = told["created_at"].date()
    try:
        price, known = providers.price_of(spec, day)
        return pricing.cost(price, usage, providers.rate_of(price.currency, day)) if known else None
    except (ServerError, ValueError):
        return None
