"""What a month costs, and what it will have cost. Pure.

The forecast's method: the mean of the daily cost over up to 28 complete local days (as many as there
are since the first usage, at least 3), carried on to the end of the month; today counts at least as much
as it has cost so far. The range is 1.28 standard deviations of the days' sum on each side (80 % if days
were independent and alike), never below what is spent already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import mean, pstdev

from ai_usage.domain.analytics import Tally, Told, by, every_day, percentage, provider_line, total
from megahub.kernel import money

LOOK_BACK_DAYS = 28
LEAST_DAYS = 3
SPREAD = 1.28


def month_end(day: date) -> date:
    """The last day of the day's month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Series:
    """Daily amounts of something: complete days before today, and today so far."""

    past: tuple[int, ...]
    today: int

    @property
    def mean(self) -> float | None:
        """Of a complete day; None when there are too few to tell."""
        return mean(self.past) if len(self.past) >= LEAST_DAYS else None

    def ahead(self, days: int) -> tuple[int, int, int] | None:
        """(expected, low, high) still to come: the rest of today and ``days`` more."""
        average = self.mean
        if average is None:
            return None
        rest = max(0.0, average - self.today)
        spread = SPREAD * pstdev(self.past) * (days + 1) ** 0.5
        expected = rest + average * days
        return round(expected), round(max(0.0, expected - spread)), round(expected + spread)


def series_of(amounts: dict[date, int], today: date) -> Series:
    """The last complete days since the first one with an amount (a day without one counts as 0)."""
    first = min((day for day, amount in amounts.items() if amount and day < today), default=today)
    begin = max(first, today - timedelta(days=LOOK_BACK_DAYS))
    past = tuple(amounts.get(day, 0) for day in every_day(begin, today - timedelta(days=1)))
    return Series(past, amounts.get(today, 0))


def daily(tallies: Iterable[Tally], unit: str = "nano_usd") -> dict[date, int]:
    """Amounts by day: cost, tokens or jobs."""
    names = {"nano_usd": "cost_nano_usd", "tokens": "tokens", "jobs": "jobs"}
    found: dict[date, int] = {}
    for tally in tallies:
        day = tally.keys["day"]
        found[day] = found.get(day, 0) + getattr(tally, names[unit])
    return found


def forecast_line(tallies: list[Tally], today: date) -> Told:
    """Month to date and month end; ``tallies`` by day, of this month and the 28 days before today."""
    amounts = daily(tallies)
    series = series_of(amounts, today)
    spent = sum(amount for day, amount in amounts.items() if day >= today.replace(day=1))
    ahead = series.ahead((month_end(today) - today).days)
    return {
        "month_to_date": money.show(spent),
        "expected_month_end": None if ahead is None else money.show(spent + ahead[0]),
        "range": None
        if ahead is None
        else {"low": money.show(spent + ahead[1]), "high": money.show(spent + ahead[2])},
        "daily_average": None if series.mean is None else money.show(round(series.mean)),
        "days_of_data": len(series.past),
    }


def forecast(tallies: list[Tally], today: date) -> Told:
    """``GET /ai/usage/forecast/`` but for its budgets; ``tallies`` by day, provider and model."""
    providers = sorted({t.keys["provider"] for t in tallies})
    models = sorted({(t.keys["provider"], t.keys["model"]) for t in tallies})
    return {
        "month": f"{today:%Y-%m}",
        "month_end": month_end(today),
        "company": forecast_line(tallies, today),
        "by_provider": [
            {"provider": name, **forecast_line([t for t in tallies if t.keys["provider"] == name], today)}
            for name in providers
        ],
        "by_model": [
            {
                "model": model,
                "provider": provider,
                **forecast_line(
                    [t for t in tallies if (t.keys["provider"], t.keys["model"]) == (provider, model)],
                    today,
                ),
            }
            for provider, model in models
        ],
        "method": {
            "name": "mean_of_complete_days",
            "look_back_days": LOOK_BACK_DAYS,
            "least_days": LEAST_DAYS,
            "range": "80%",
        },
    }


def exhaustion(series: Series, room: int, today: date, last: date | None) -> Told:
    """When a budget's room is used up at the present pace; ``last`` is its window's last day.

    None without enough days to tell, and when nothing will exhaust it (no usage, or not in its window).
    """
    average = series.mean
    if room <= 0:
        return {"days_until_exhausted": 0, "exhausted_on": today, "will_exceed": True}
    if average is None:
        return {"days_until_exhausted": None, "exhausted_on": None, "will_exceed": None}
    days = None if average <= 0 else int(room / average)
    day = None if days is None or days > 36_500 else today + timedelta(days=days)
    if day is None or (last is not None and day > last):
        return {"days_until_exhausted": None, "exhausted_on": None, "will_exceed": False}
    return {"days_until_exhausted": days, "exhausted_on": day, "will_exceed": True}


def breakdown(
    tallies: list[Tally], month: date, today: date, limit: int | None, brands: dict[int, str]
) -> Told:
    """``GET /ai/usage/cost_breakdown/``; ``tallies`` by day, provider, model and brand, also of the 28
    days before today when the month is the present one."""
    last = month_end(month)
    own = [t for t in tallies if month <= t.keys["day"] <= last]
    whole = total(own)
    return {
        "period": f"{month:%Y-%m}",
        "total_cost": whole.cost,
        "unpriced_jobs": whole.unpriced,
        "budget_limit": money.show(limit),
        "budget_used_percentage": None if limit is None else percentage(whole.cost_nano_usd, limit),
        "projected_monthly_cost": _projected(tallies, month, today, whole),
        "by_provider": [provider_line(t, whole) for t in by(own, "provider")],
        "by_model": [_model_share(t, whole) for t in by(own, "provider", "model")],
        "by_brand": [_brand_line(t, whole, brands) for t in by(own, "brand_id")],
        "cost_trends": _weeks(own, month, min(last, today)),
    }


def _projected(tallies: list[Tally], month: date, today: date, whole: Tally) -> str | None:
    """A month that is over costs what it cost; one that has not begun rests on nothing."""
    if month == today.replace(day=1):
        expected: str | None = forecast_line(tallies, today)["expected_month_end"]
        return expected
    return whole.cost if month < today else None


def _model_share(tally: Tally, whole: Tally) -> Told:
    return {
        "model": tally.keys["model"],
        "provider": tally.keys["provider"],
        "jobs": tally.jobs,
        "tokens": tally.tokens,
        "cost": tally.cost,
        "percentage": percentage(tally.cost_nano_usd, whole.cost_nano_usd),
        "avg_cost": tally.avg_cost,
    }


def _brand_line(tally: Tally, whole: Tally, brands: dict[int, str]) -> Told:
    brand_id = tally.keys["brand_id"] or None
    return {
        "brand_id": brand_id,
        "brand_name": brands.get(tally.keys["brand_id"]),
        "cost": tally.cost,
        "jobs": tally.jobs,
        "percentage": percentage(tally.cost_nano_usd, whole.cost_nano_usd),
    }


def _weeks(own: list[Tally], month: date, last: date) -> list[Told]:
    """A line for each ISO week of the month so far; averages over its days in the month so far."""
    days: dict[str, int] = {}
    for day in every_day(month, last):
        days[week_label(day)] = days.get(week_label(day), 0) + 1
    for tally in own:
        days.setdefault(week_label(tally.keys["day"]), 1)
    lines = []
    for label, number in sorted(days.items()):
        week = total(t for t in own if week_label(t.keys["day"]) == label)
        average = money.show(round(week.cost_nano_usd / number))
        lines.append({"week": label, "cost": week.cost, "jobs": week.jobs, "avg_daily": average})
    return lines


def week_label(day: date) -> str:
    """The ISO week: ``2024-W50``."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"
