"""Reading, changing and resetting a company's monthly quotas: two budgets each (domain/quotas.py)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from ai_providers import selectors as providers
from ai_usage.domain.quotas import NO_LIMIT, Month, Quota, Standing
from ai_usage.models import Budget, BudgetWindow
from ai_usage.models.budgets import remember_limits
from ai_usage.services import defaults, limits
from megahub.kernel import clock

UNITS = (Budget.Unit.TOKENS, Budget.Unit.NANO_USD)


def month_of(zone_name: str, moment: datetime) -> Month:
    """The calendar month that holds ``moment`` in a time zone."""
    zone = clock.zone(zone_name)
    start = clock.window_start("month", moment, zone_name)
    ends = clock.window_end("month", moment, zone_name)
    assert ends is not None
    begins = datetime(start.year, start.month, start.day, tzinfo=zone)
    last = (ends.astimezone(zone) - timedelta(hours=1)).date()
    return Month(start, last, begins, ends, moment.astimezone(zone).date())


def of_company(
    company_id: int, month: Month, names: Iterable[str], sandbox: bool | None = None
) -> list[Quota]:
    """A company's quotas at these providers: played ones where it plays, or as ``sandbox`` says."""
    rows = _budgets(company_id)
    if defaults.lacks_quotas(rows):
        defaults.provide_quotas(company_id)
        rows = _budgets(company_id)
    windows = {
        (window.budget_id, window.sandbox): window
        for window in BudgetWindow.objects.filter(budget__in=rows, starts_on=month.starts_on)
    }
    return [_quota(company_id, name, rows, windows, sandbox) for name in names]


def set_limits(company_id: int, provider: str, changes: dict[str, int | None]) -> None:
    """New limits by unit; None for no limit: such a quota goes on counting and refuses nobody."""
    defaults.provide_quotas(company_id)
    with transaction.atomic():
        for unit, limit in changes.items():
            values = {"limit": NO_LIMIT if limit is None else limit, "is_hard": limit is not None}
            rows = _rows(company_id).filter(scope_value=provider, unit=unit)
            remember_limits(rows)
            rows.update(**values, is_active=True, changed_at=clock.now())
    transaction.on_commit(limits.forget)


def facts_of(company_id: int, provider: str) -> dict[str, Any]:
    """A provider's limits and what was forgiven this far, for the audit trail."""
    defaults.provide_quotas(company_id)
    rows = _rows(company_id).filter(scope_value=provider)
    limits_now = {
        unit: limit if hard else None for unit, limit, hard in rows.values_list("unit", "limit", "is_hard")
    }
    forgiven = BudgetWindow.objects.filter(budget__in=rows).aggregate(total=Sum("forgiven"))["total"]
    return {**limits_now, "forgiven": int(forgiven or 0)}


def reset(company_id: int, provider: str, zone_name: str) -> int:
    """Forgive what the present month has used so far; how many windows were not empty.

    The ledger and the windows keep what was used; it only counts no longer against the limit.
    """
    start = clock.window_start("month", clock.now(), zone_name)
    budgets = _rows(company_id).filter(scope_value=provider)
    windows = BudgetWindow.objects.filter(budget__in=budgets, starts_on=start)
    return windows.filter(spent__gt=F("forgiven")).update(forgiven=F("spent"))


def reset_limits(company_id: int, provider: str) -> None:
    """The limits that a company starts with."""
    usual = defaults.quota_limits()
    set_limits(company_id, provider, {unit: usual[provider, unit] for unit in UNITS})


def _rows(company_id: int) -> QuerySet[Budget]:
    rows: QuerySet[Budget] = Budget.objects.of(company_id).filter(
        scope=Budget.Scope.PROVIDER, period=Budget.Period.MONTH, unit__in=UNITS
    )
    return rows


def _budgets(company_id: int) -> list[Budget]:
    return list(_rows(company_id).order_by("pk"))


def _quota(
    company_id: int,
    provider: str,
    rows: list[Budget],
    windows: dict[tuple[int, bool], BudgetWindow],
    sandbox: bool | None,
) -> Quota:
    played = providers.is_played(company_id, provider) if sandbox is None else sandbox
    found: dict[str, Any] = {
        row.unit: _standing(row, windows.get((row.pk, played)))
        for row in rows
        if row.scope_value == provider
    }
    return Quota(provider, found[Budget.Unit.TOKENS], found[Budget.Unit.NANO_USD], played)


def _standing(row: Budget, window: BudgetWindow | None) -> Standing:
    limit = row.limit if row.is_active and row.limit != NO_LIMIT else None
    if window is None:
        return Standing(limit)
    return Standing(limit, window.spent, window.forgiven, window.held)
