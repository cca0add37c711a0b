"""A company's budgets, remembered for seconds; their windows are never remembered."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings

from ai_usage.domain.budgets import Limit
from ai_usage.models import Budget
from megahub.kernel import money
from megahub.kernel.cache import ShortLived

TTL_SECONDS = 5.0


async def of(company_id: int) -> tuple[Limit, ...]:
    """The active budgets of a company."""
    return await _limits.aget(company_id)


def fresh(company_id: int) -> tuple[Limit, ...]:
    """The same as they are now; reads rows."""
    return _load(company_id)


def provide_defaults(company_id: int) -> None:
    """The reasoning models' daily budget and number of jobs, for a company that has none yet.

    AI_O3_DAILY_BUDGET (USD) and AI_O3_SPECIAL_QUOTA (jobs); an administrator changes them per company.
    """
    defaults = {
        Budget.Unit.NANO_USD: money.to_nano(Decimal(settings.AI_O3_DAILY_BUDGET)),
        Budget.Unit.JOBS: settings.AI_O3_SPECIAL_QUOTA,
    }
    for unit, limit in defaults.items():
        Budget.objects.unscoped().get_or_create(
            company_id=company_id,
            scope=Budget.Scope.REASONING,
            scope_value="",
            period=Budget.Period.DAY,
            unit=unit,
            defaults={"limit": limit},
        )


def _load(company_id: int) -> tuple[Limit, ...]:
    rows = list(Budget.objects.of(company_id).order_by("id"))
    if not any(row.scope == Budget.Scope.REASONING for row in rows):
        provide_defaults(company_id)
        rows = list(Budget.objects.of(company_id).order_by("id"))
    return tuple(
        Limit(b.pk, b.scope, b.scope_value, b.period, b.unit, b.limit, b.is_hard)
        for b in rows
        if b.is_active
    )


_limits: ShortLived[int, tuple[Limit, ...]] = ShortLived(_load, TTL_SECONDS)
