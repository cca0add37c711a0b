"""The figures that alerts are found in: open budget windows, the day and the week before it.

Of many companies at once: as many queries as for one. They are read from the windows and the rollups, so
that a check costs the same however many jobs there are; past days are read once per process and day, since
they change no more (a later price changes them by little, from the next day on).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Sum

from ai_usage import selectors
from ai_usage.domain.alerts import DAYS_BEFORE, BudgetState, Figures, Line
from ai_usage.models import Budget, BudgetWindow, UsageDay
from megahub.kernel import clock
from megahub.kernel.cache import ShortLived

PAST_TTL_SECONDS = 3600.0
#: As many companies' past days are remembered.
PASTS = 100_000
#: A line's figures, and of which columns they are.
COLUMNS = {
    "jobs": ("jobs",),
    "failed": ("failed", "timeouts"),
    "timed": ("timed_jobs",),
    "ms": ("execution_ms",),
    "cost": ("cost_nano_usd",),
}
SUMS = [column for columns in COLUMNS.values() for column in columns]

Past = tuple[tuple[Line, ...], tuple[int, int]]
Key = tuple[int, date]
Rows = list[dict[str, Any]]


def figures_of(zones: Mapping[int, str], now: datetime) -> dict[int, Figures]:
    """The companies' figures at ``now``; ``zones`` are their time zones by number."""
    days = {company: clock.window_start("day", now, zone) for company, zone in zones.items()}
    past = _past.get_all(list(days.items()), _load_past)
    budgets = _budgets(zones, now)
    today = _rows({company: (day, day) for company, day in days.items()})
    found = {}
    for company, day in days.items():
        before, active_days = past[company, day]
        found[company] = Figures(
            day=day,
            budgets=tuple(budgets[company]),
            today=_lines(today[company]),
            before=before,
            active_days=active_days,
        )
    return found


def _budgets(zones: Mapping[int, str], now: datetime) -> dict[int, list[BudgetState]]:
    """The open windows by company, in the order of their budgets."""
    starts = {
        (period, zone): clock.window_start(period, now, zone)
        for period in Budget.Period.values
        for zone in set(zones.values())
    }
    windows = BudgetWindow.objects.filter(
        budget__company__in=list(zones), budget__is_active=True, starts_on__in=set(starts.values())
    )
    found: dict[int, list[BudgetState]] = defaultdict(list)
    for window in windows.select_related("budget").order_by("budget_id", "sandbox"):
        budget = window.budget
        if window.starts_on == starts[budget.period, zones[budget.company_id]]:
            found[budget.company_id].append(_state(budget, window))
    return found


def _state(budget: Budget, window: BudgetWindow) -> BudgetState:
    return BudgetState(
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


def _load_past(keys: list[Key]) -> dict[Key, Past]:
    spans = {company: (day - timedelta(days=DAYS_BEFORE), day - timedelta(days=1)) for company, day in keys}
    rows = _rows(spans)
    return {(company, day): (_lines(rows[company]), _active_days(rows[company])) for company, day in keys}


def _rows(spans: Mapping[int, tuple[date, date]]) -> dict[int, Rows]:
    """Sums by company, day, provider and model, of all brands; both days included."""
    found: dict[int, Rows] = defaultdict(list)
    if not spans:
        return found
    first, last = min(start for start, _ in spans.values()), max(end for _, end in spans.values())
    days = selectors.with_unfolded(UsageDay.objects.unscoped().filter(company__in=list(spans)))
    days = days.filter(day__gte=first, day__lte=last)
    kinds: Any = days.values("company_id", "day", "sandbox", "provider", "model")
    for row in kinds.annotate(**{f"sum_{name}": Sum(name) for name in SUMS}).order_by("provider", "model"):
        start, end = spans[row["company_id"]]
        if start <= row["day"] <= end and row["sum_jobs"] > 0:
            found[row["company_id"]].append(row)
    return found


def _active_days(rows: Rows) -> tuple[int, int]:
    """Days with jobs: the real ones, and the sandbox's."""
    days = {(row["sandbox"], row["day"]) for row in rows}
    played = sum(1 for sandbox, _ in days if sandbox)
    return len(days) - played, played


def _lines(rows: Iterable[dict[str, Any]]) -> tuple[Line, ...]:
    """A line per model, the real ones first."""
    sums: dict[tuple[bool, str, str], dict[str, int]] = {}
    for row in rows:
        line = sums.setdefault((row["sandbox"], row["provider"], row["model"]), dict.fromkeys(COLUMNS, 0))
        for name, columns in COLUMNS.items():
            line[name] += sum(int(row[f"sum_{column}"]) for column in columns)
    return tuple(
        Line(provider=provider, model=model, sandbox=sandbox, **figures)
        for (sandbox, provider, model), figures in sorted(sums.items())
    )


_past: ShortLived[Key, Past] = ShortLived(lambda key: _load_past([key])[key], PAST_TTL_SECONDS, size=PASTS)
