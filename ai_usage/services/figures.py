"""The figures that alerts are found in: open budget windows, the day and the week before it.

Read from the windows and the rollups, so that a check costs the same however many jobs there are; past
days are read once per process and day, since they change no more (a later price changes them by little,
from the next day on).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from ai_usage import selectors
from ai_usage.domain.alerts import DAYS_BEFORE, BudgetState, Figures, Line
from ai_usage.models import Budget, BudgetWindow
from ai_usage.selectors import Scope
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
        today=_lines(company_id, zone_name, day, day),
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
    span = {"start": day - timedelta(days=DAYS_BEFORE), "end": day - timedelta(days=1)}
    days = [
        sum(tally.jobs > 0 for tally in selectors.tallies(scope, "day", **span))
        for scope in _scopes(company_id, zone_name)
    ]
    return _lines(company_id, zone_name, **span), (days[False], days[True])


def _scopes(company_id: int, zone_name: str) -> list[Scope]:
    """The company's real figures and its played ones, of all brands."""
    return [Scope(company_id, None, sandbox, zone_name) for sandbox in (False, True)]


def _lines(company_id: int, zone_name: str, start: date, end: date) -> tuple[Line, ...]:
    return tuple(
        Line(
            provider=tally.keys["provider"],
            model=tally.keys["model"],
            sandbox=scope.sandbox,
            jobs=tally.jobs,
            failed=tally.failed + tally.timeouts,
            timed=tally.timed_jobs,
            ms=tally.execution_ms,
            cost=tally.cost_nano_usd,
        )
        for scope in _scopes(company_id, zone_name)
        for tally in selectors.tallies(scope, "provider", "model", start=start, end=end)
        if tally.jobs > 0
    )


_past: ShortLived[tuple[int, str, date], Past] = ShortLived(_load_past, PAST_TTL_SECONDS)
