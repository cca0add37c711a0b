"""Usage over weeks, months and quarters; stats over a lifetime; times and rates by model and day. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from statistics import mean, pstdev
from typing import Any

from ai_usage.domain import histogram
from ai_usage.domain.analytics import (
    Tally,
    Told,
    average_nano_per_token,
    best,
    by,
    growth,
    negative,
    span,
    total,
)
from ai_usage.domain.spending import week_label
from megahub.kernel import money

#: How many periods a trend shows, the present one last.
POINTS = {"week": 12, "month": 12, "quarter": 8}
#: Average growth (percent) between these is called stable.
STABLE_PERCENT = 5.0


def periods(period: str, today: date) -> list[tuple[str, date, date]]:
    """(label, first day, last day) of each period, the oldest first."""
    start = _start(period, today)
    found: list[tuple[str, date, date]] = []
    for _ in range(POINTS[period]):
        end = _next(period, start) - timedelta(days=1)
        found.insert(0, (_label(period, start), start, end))
        start = _start(period, start - timedelta(days=1))
    return found


def _start(period: str, day: date) -> date:
    if period == "week":
        return day - timedelta(days=day.weekday())
    month = day.month if period == "month" else 3 * ((day.month - 1) // 3) + 1
    return day.replace(month=month, day=1)


def _next(period: str, start: date) -> date:
    return _start(period, start + timedelta(days={"week": 7, "month": 32, "quarter": 95}[period]))


def _label(period: str, start: date) -> str:
    if period == "week":
        return week_label(start)
    return f"{start:%Y-%m}" if period == "month" else f"{start.year}-Q{(start.month + 2) // 3}"


def trend(days: list[Tally], period: str, metric: str, today: date) -> Told:
    """``GET /ai/usage/trends/``; ``days`` are tallies by day. Growth is that of complete periods."""
    points: list[Told] = []
    values: list[int] = []
    for label, start, end in periods(period, today):
        whole = total(t for t in days if start <= t.keys["day"] <= end)
        value = {"cost": whole.cost_nano_usd, "tokens": whole.tokens, "jobs": whole.jobs}[metric]
        change = growth(value, values[-1]) if values else None
        values.append(value)
        points.append(
            {
                "period_label": label,
                "start_date": start,
                "end_date": end,
                "value": money.show(value) if metric == "cost" else value,
                "jobs": whole.jobs,
                "change_percentage": change,
                "is_complete": end < today,
            }
        )
    complete = [p["change_percentage"] for p in points if p["is_complete"]]
    changes = [change for change in complete if change is not None]
    return {"metric": metric, "period": period, "data_points": points, "summary": _summary(changes)}


def _summary(changes: list[float]) -> Told:
    if not changes:
        return {"trend": None, "avg_growth": None, "volatility": None}
    average = round(mean(changes), 2)
    word = "stable" if abs(average) <= STABLE_PERCENT else "increasing" if average > 0 else "decreasing"
    volatility = round(pstdev(changes), 2) if len(changes) > 1 else None
    return {"trend": word, "avg_growth": average, "volatility": volatility}


def stats(kinds: list[Tally], this_month: Tally, last_month: Tally) -> Told:
    """``GET /ai/usage/stats/``; ``kinds`` are the lifetime's tallies by provider and model."""
    whole = total(kinds)
    average = average_nano_per_token(kinds)
    return {
        "lifetime": {
            "total_jobs": whole.jobs,
            "total_cost": whole.cost,
            "total_tokens": whole.tokens,
            "avg_cost_per_token": None if average is None else f"{average / money.NANO:.12f}",
            "unpriced_jobs": whole.unpriced,
        },
        "monthly": {
            "current_month": _month(this_month),
            "previous_month": _month(last_month),
            "growth": {
                "jobs_percentage": growth(this_month.jobs, last_month.jobs),
                "cost_percentage": growth(this_month.cost_nano_usd, last_month.cost_nano_usd),
                "tokens_percentage": growth(this_month.tokens, last_month.tokens),
            },
        },
        "efficiency": {
            "success_rate": whole.success_rate,
            "avg_cost_per_job": whole.avg_cost,
            "avg_tokens_per_job": whole.avg_tokens,
            "avg_execution_time": whole.avg_seconds,
            "avg_quality": whole.quality,
        },
        "top_performers": {
            "most_efficient_model": best(kinds, lambda t: negative(t.nano_per_token)),
            "fastest_model": best(kinds, lambda t: negative(t.avg_seconds)),
            "most_used_model": best(kinds, lambda t: t.jobs),
        },
    }


def _month(tally: Tally) -> Told:
    return {"jobs": tally.jobs, "cost": tally.cost, "tokens": tally.tokens}


Timed = tuple[date, str, str, dict[str, int]]
#: Histograms by what of: (), (day,), (provider, model), (day, provider, model).
Times = dict[tuple[Any, ...], dict[str, int]]


def performance(tallies: list[Tally], timed: Iterable[Timed], start: date, end: date) -> Told:
    """``GET /ai/usage/performance/``; ``tallies`` by day, provider and model, ``timed`` histograms."""
    times = _times(timed)
    daily = sorted(by(tallies, "day"), key=lambda t: t.keys["day"])
    cells = sorted(
        by(tallies, "day", "provider", "model"),
        key=lambda t: (t.keys["day"], t.keys["provider"], t.keys["model"]),
    )
    return {
        "period": span(start, end),
        "overall": _performance_line(total(tallies), times),
        "by_model": [_performance_line(t, times) for t in by(tallies, "provider", "model")],
        "daily": [_performance_line(t, times) for t in daily],
        "by_model_and_day": [_performance_line(t, times) for t in cells],
    }


def _times(timed: Iterable[Timed]) -> Times:
    """Histograms of all, of each day, of each model, and of each model on each day."""
    times: Times = defaultdict(dict)
    for day, provider, model, counted in timed:
        for key in ((day,), (provider, model), (day, provider, model)):
            histogram.add(times[key], counted)
    for key in [key for key in times if len(key) == 1]:
        histogram.add(times[()], times[key])
    return times


def _performance_line(tally: Tally, times: Times) -> Told:
    counted = times.get(tuple(tally.keys.values()), {})
    p50, p95, p99 = histogram.quantiles(counted, 0.5, 0.95, 0.99)
    where = {("date" if name == "day" else name): value for name, value in tally.keys.items()}
    return {
        **where,
        "jobs": tally.jobs,
        "success_rate": tally.success_rate,
        "failure_rate": tally.failure_rate,
        "timeout_rate": tally.timeout_rate,
        "cancelled_jobs": tally.cancelled,
        "avg_execution_time": tally.avg_seconds,
        "p50": p50,
        "p95": p95,
        "p99": p99,
    }
