"""A company's budgets, remembered for seconds; their windows are never remembered."""

from __future__ import annotations

from ai_usage.domain.budgets import Limit
from ai_usage.models import Budget
from ai_usage.services import defaults
from megahub.kernel.cache import ShortLived

TTL_SECONDS = 5.0


async def of(company_id: int) -> tuple[Limit, ...]:
    """The active budgets of a company."""
    return await _limits.aget(company_id)


def fresh(company_id: int) -> tuple[Limit, ...]:
    """The same as they are now; reads rows."""
    return _load(company_id)


def forget() -> None:
    """Forget all budgets of this process (after one was changed)."""
    _limits.forget()


def provide_defaults(company_id: int) -> None:
    """The budgets that every company has, for one that has none yet."""
    defaults.provide_reasoning(company_id)
    defaults.provide_quotas(company_id)


def _load(company_id: int) -> tuple[Limit, ...]:
    rows = _rows(company_id)
    if not any(row.scope == Budget.Scope.REASONING for row in rows):
        defaults.provide_reasoning(company_id)
        rows = _rows(company_id)
    if defaults.lacks_quotas(rows):
        defaults.provide_quotas(company_id)
        rows = _rows(company_id)
    return tuple(
        Limit(b.pk, b.scope, b.scope_value, b.period, b.unit, b.limit, b.is_hard)
        for b in rows
        if b.is_active
    )


def _rows(company_id: int) -> list[Budget]:
    return list(Budget.objects.of(company_id).order_by("id"))


_limits: ShortLived[int, tuple[Limit, ...]] = ShortLived(_load, TTL_SECONDS)
