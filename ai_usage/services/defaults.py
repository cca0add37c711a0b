"""Budgets that every company has: the reasoning models' by day, a quota per provider by month.

They are made when a company's budgets are first read, and changed by its administrators. A quota that
begins within a month begins with what the ledger says the month has used.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum

from ai_providers.catalogue import loading
from ai_usage.domain.quotas import default_limits
from ai_usage.models import Budget, BudgetWindow, LedgerEntry
from megahub.kernel import clock, money
from megahub.tenancy.models import Company

TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def provide_reasoning(company_id: int) -> None:
    """The reasoning models' daily budget and number of jobs.

    AI_O3_DAILY_BUDGET (USD) and AI_O3_SPECIAL_QUOTA (jobs); an administrator changes them per company.
    """
    limits = {
        Budget.Unit.NANO_USD: money.to_nano(Decimal(settings.AI_O3_DAILY_BUDGET)),
        Budget.Unit.JOBS: settings.AI_O3_SPECIAL_QUOTA,
    }
    _make(
        Budget(
            company_id=company_id,
            scope=Budget.Scope.REASONING,
            period=Budget.Period.DAY,
            unit=unit,
            limit=limit,
        )
        for unit, limit in limits.items()
    )


def quota_limits() -> dict[tuple[str, str], int]:
    """What a company starts with, by provider and unit."""
    return {
        (provider, unit): limit
        for provider in loading.PROVIDERS
        for unit, limit in default_limits(provider, settings.AI_DEFAULT_MONTHLY_QUOTA).items()
    }


def lacks_quotas(rows: Iterable[Budget]) -> bool:
    """Whether one of the quotas is not among a company's budgets."""
    known = {(row.scope_value, row.unit) for row in rows if is_of_quota(row)}
    return any(key not in known for key in quota_limits())


def is_of_quota(row: Budget) -> bool:
    """Whether a budget is half of a quota."""
    return row.scope == Budget.Scope.PROVIDER and row.period == Budget.Period.MONTH


def provide_quotas(company_id: int, tokens: int | None = None) -> None:
    """The quotas that a company lacks; ``tokens`` (a month) instead of the usual number."""
    quotas = Budget.objects.of(company_id).filter(scope=Budget.Scope.PROVIDER, period=Budget.Period.MONTH)
    known = set(quotas.values_list("scope_value", "unit"))
    missing = {key: limit for key, limit in quota_limits().items() if key not in known}
    if not missing:
        return
    with transaction.atomic():
        _make(
            Budget(
                company_id=company_id,
                scope=Budget.Scope.PROVIDER,
                scope_value=provider,
                period=Budget.Period.MONTH,
                unit=unit,
                limit=tokens if tokens is not None and unit == Budget.Unit.TOKENS else usual,
            )
            for (provider, unit), usual in missing.items()
        )
        start = clock.window_start("month", clock.now(), _zone(company_id))
        if used := _used(company_id, start):
            made = {(row.scope_value, row.unit): row for row in quotas.all()}
            BudgetWindow.objects.bulk_create(
                (
                    BudgetWindow(
                        budget=made[key], starts_on=start, sandbox=sandbox, spent=spent, opening=spent
                    )
                    for key in missing
                    for sandbox, spent in used.get(key, {}).items()
                ),
                ignore_conflicts=True,
            )


def _make(budgets: Iterable[Budget]) -> None:
    """In one statement: a company's first request waits for it. Where somebody else makes one at the same
    moment, theirs stands, and so do its windows."""
    rows = list(budgets)
    for row in rows:
        row.changed_at = row.created_at
    Budget.objects.unscoped().bulk_create(rows, ignore_conflicts=True)


def _zone(company_id: int) -> str:
    return str(Company.objects.values_list("timezone", flat=True).get(pk=company_id))


def _used(company_id: int, start: Any) -> dict[tuple[str, str], dict[bool, int]]:
    """What the ledger says of a month, by provider and unit, real and played."""
    begins = datetime.combine(start, time(), clock.zone(_zone(company_id)))
    tokens: Any = F(TOKENS[0])
    for name in TOKENS[1:]:
        tokens = tokens + F(name)
    rows = (
        LedgerEntry.objects.of(company_id)
        .filter(created_at__gte=begins)
        .values("provider", "sandbox")
        .annotate(tokens=Sum(tokens), nano_usd=Sum("charged_nano_usd"))
        .order_by("provider")
    )
    found: dict[tuple[str, str], dict[bool, int]] = {}
    for row in rows:
        for unit in ("tokens", "nano_usd"):
            found.setdefault((row["provider"], unit), {})[row["sandbox"]] = max(0, row[unit])
    return found
