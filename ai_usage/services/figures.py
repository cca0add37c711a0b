"""The figures that alerts are found in: open budget windows, the ledger's day and the week before it.

Read from the windows and the ledger by index; past days are read once per process and day, since
they change no more (a later price changes them by little, from the next day on).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from ai_usage.domain.alerts import DAYS_BEFORE, BudgetState, Figures, Line
from ai_usage.models import AIJobUsage, Budget, BudgetWindow
from megahub.kernel import clock
from megahub.kernel.cache import ShortLived

PAST_TTL_SECONDS = 3600.0

Past = tuple[tuple[Line, ...], tuple[int, int]]


def figures_of(company_id: int, zone_name: str, now: datetime) -> Figures:
    """A company's figures at ``now``."""
    day = clock.window_start("day", now, zone_name)
    before, active_days = _past.get((company_id, zone_name, day))
    return Figures(
        day=day,
        budgets=tuple(_budgets(company_id, zone_name, now)),
        today=_lines(_between(company_id, _midnight(day, zone_name), now + timedelta(minutes=1))),
        before=before,
        active_days=active_days,
    )


def _budgets(company_id: int, zone_name: str, now: datetime) -> Iterable[BudgetState]:
    budgets = list(Budget.objects.of(company_id).filter(is_active=True).order_by("id"))
    starts = {budget.pk: clock.window_start(budget.period, now, zone_name) for budget in budgets}
    windows = BudgetWindow.objects.filter(budget__in=list(starts), starts_on__in=set(starts.values()))
    by_budget = {budget.pk: budget for budget in budgets}
    for window in windows.order_by("budget_id", "sandbox"):
        budget = by_budget[window.budget_id]
        if window.starts_on == starts[budget.pk]:
            yield BudgetState(
                id=budget.pk,
                scope=budget.scope,
                scope_value=budget.scope_value,
                period=budget.period,
                unit=budget.unit,
                limit=budget.limit,
                spent=window.used,
                starts_on=window.starts_on,
                sandbox=window.sandbox,
            )


def _load_past(key: tuple[int, str, date]) -> Past:
    company_id, zone_name, day = key
    rows = _between(
        company_id, _midnight(day - timedelta(days=DAYS_BEFORE), zone_name), _midnight(day, zone_name)
    )
    local_day = TruncDate("created_at", tzinfo=clock.zone(zone_name))
    counted = rows.order_by().values("sandbox").annotate(days=Count(local_day, distinct=True))
    days = {row["sandbox"]: row["days"] for row in counted}
    return _lines(rows), (days.get(False, 0), days.get(True, 0))


def _between(company_id: int, start: datetime, end: datetime) -> QuerySet[AIJobUsage]:
    rows: QuerySet[AIJobUsage] = AIJobUsage.objects.of(company_id)
    return rows.filter(created_at__gte=start, created_at__lt=end)


def _lines(rows: QuerySet[AIJobUsage]) -> tuple[Line, ...]:
    failed = Q(ai_job__status__in=("failed", "timeout"))
    sums: Any = (
        rows.order_by()
        .values("provider_name", "model_name", "sandbox")
        .annotate(
            jobs=Count("id"),
            failed=Count("id", filter=failed),
            succeeded=Count("id", filter=Q(is_success=True)),
            ms=Sum("execution_time_ms", filter=Q(is_success=True)),
            cost=Sum("total_cost_nano_usd"),
        )
    )
    return tuple(
        Line(
            provider=row["provider_name"],
            model=row["model_name"],
            sandbox=row["sandbox"],
            jobs=row["jobs"],
            failed=row["failed"],
            succeeded=row["succeeded"],
            ms=int(row["ms"] or 0),
            cost=int(row["cost"] or 0),
        )
        for row in sums.order_by("provider_name", "model_name", "sandbox")
    )


def _midnight(day: date, zone_name: str) -> datetime:
    return datetime.combine(day, time.min, tzinfo=clock.zone(zone_name))


_past: ShortLived[tuple[int, str, date], Past] = ShortLived(_load_past, PAST_TTL_SECONDS)
