"""What people are told of usage: sums per day and kind, and what follows from them. Pure.

Money is nano-USD in a ``Tally`` and a decimal string in what is told. What rests on no data is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

from megahub.kernel import money

Told = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """Sums of usage; ``keys`` says of which (day, model, …). Ratings are in tenths of a point."""

    keys: dict[str, Any] = field(default_factory=dict)
    jobs: int = 0
    succeeded: int = 0
    failed: int = 0
    timeouts: int = 0
    cancelled: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    cost_input_nano_usd: int = 0
    execution_ms: int = 0
    timed_jobs: int = 0
    ratings_tenths: int = 0
    ratings: int = 0

    @property
    def tokens(self) -> int:
        """All of them, both ways."""
        incoming = self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
        return incoming + self.output_tokens + self.reasoning_tokens

    @property
    def cost(self) -> str | None:
        """What is known of it: unpriced jobs are not in it."""
        return money.show(self.cost_nano_usd)

    @property
    def avg_cost_nano(self) -> int | None:
        """Per job that has a cost."""
        priced = self.jobs - self.unpriced
        return round(self.cost_nano_usd / priced) if priced else None

    @property
    def avg_cost(self) -> str | None:
        return money.show(self.avg_cost_nano)

    @property
    def avg_tokens(self) -> float | None:
        return round(self.tokens / self.jobs, 1) if self.jobs else None

    @property
    def avg_seconds(self) -> float | None:
        return round(self.execution_ms / self.timed_jobs / 1000, 3) if self.timed_jobs else None

    @property
    def success_rate(self) -> float | None:
        """Of the jobs that came to an end by themselves: what people cancelled is no failure."""
        return _rate(self.succeeded, self.jobs - self.cancelled)

    @property
    def failure_rate(self) -> float | None:
        return _rate(self.failed, self.jobs - self.cancelled)

    @property
    def timeout_rate(self) -> float | None:
        return _rate(self.timeouts, self.jobs - self.cancelled)

    @property
    def quality(self) -> float | None:
        """The mean of what people rated, 0 to 10."""
        return round(self.ratings_tenths / self.ratings / 10, 2) if self.ratings else None

    @property
    def nano_per_token(self) -> float | None:
        """None as long as one of the jobs is unpriced: its tokens would count as free."""
        return self.cost_nano_usd / self.tokens if self.tokens and not self.unpriced else None


SUMS = tuple(each.name for each in fields(Tally))[1:]


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def total(tallies: Iterable[Tally], **keys: Any) -> Tally:
    """All of them added up."""
    whole = Tally(keys)
    for tally in tallies:
        for name in SUMS:
            setattr(whole, name, getattr(whole, name) + getattr(tally, name))
    return whole


def by(tallies: Iterable[Tally], *names: str) -> list[Tally]:
    """Added up by these of their keys; the dearest first."""
    groups: dict[tuple[Any, ...], list[Tally]] = {}
    for tally in tallies:
        groups.setdefault(tuple(tally.keys[name] for name in names), []).append(tally)
    added = [total(group, **dict(zip(names, key, strict=True))) for key, group in groups.items()]
    order = [*names]
    return sorted(added, key=lambda t: (-t.cost_nano_usd, -t.jobs, *(str(t.keys[n]) for n in order)))


def percentage(part: int, whole: int) -> float | None:
    """Of the whole, in percent; None of nothing."""
    return round(100 * part / whole, 2) if whole else None


def growth(now: int, before: int) -> float | None:
    """By how many percent it has grown; None from nothing."""
    return round(100 * (now - before) / before, 2) if before else None


def average_nano_per_token(tallies: Iterable[Tally]) -> float | None:
    """What a token cost over all models whose jobs are priced."""
    return total(t for t in by(tallies, "provider", "model") if not t.unpriced).nano_per_token


def cost_efficiency(nano_per_token: float | None, average: float | None) -> float | None:
    """0 to 1: half for a token that costs what the company's tokens cost on average, 1 for a free one.

    ``average / (average + own)``; None without a price or without an average to compare with.
    """
    if nano_per_token is None or not average:
        return None
    return round(average / (average + nano_per_token), 4)


def best(tallies: Iterable[Tally], figure: Callable[[Tally], float | None]) -> str | None:
    """The model whose figure is greatest (the first by name among equals); None without figures."""
    known = [(value, t.keys["model"]) for t in tallies if (value := figure(t)) is not None]
    return min(known, key=lambda pair: (-pair[0], pair[1]))[1] if known else None


def negative(value: float | None) -> float | None:
    """For the least of something."""
    return None if value is None else -value


def span(start: date, end: date) -> Told:
    """A period as it is told; both days are in it."""
    return {"days": (end - start).days + 1, "start_date": start, "end_date": end}


def every_day(start: date, end: date) -> list[date]:
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def dashboard(kinds: list[Tally], days: list[Tally], start: date, end: date) -> Told:
    """``GET /ai/usage/dashboard/`` but for its costliest jobs.

    ``kinds`` are the period's tallies by provider, model and generation, ``days`` those by day.
    """
    whole = total(kinds)
    models = by(kinds, "provider", "model")
    return {
        "period": span(start, end),
        "totals": {
            "jobs": whole.jobs,
            "tokens": whole.tokens,
            "cost": whole.cost,
            "avg_cost_per_job": whole.avg_cost,
            "avg_execution_time": whole.avg_seconds,
            "unpriced_jobs": whole.unpriced,
        },
        "by_provider": [provider_line(t, whole) for t in by(kinds, "provider")],
        "by_model": [model_line(t) for t in models],
        "by_generation": [_generation_line(t, kinds, whole) for t in by(kinds, "generation")],
        "daily_breakdown": _daily(days, start, end),
        "quality_metrics": {
            "success_rate": whole.success_rate,
            "avg_execution_time": whole.avg_seconds,
            "failed_jobs": whole.failed,
            "timeout_jobs": whole.timeouts,
            "avg_quality": whole.quality,
        },
        "efficiency_insights": insights(models),
    }


def insights(models: list[Tally]) -> Told:
    """Models by name, from what was measured; None where nothing was."""
    return {
        "most_cost_effective": best(models, lambda t: negative(t.nano_per_token)),
        "highest_roi": best(models, _points_per_usd),
        "premium_choice": best(models, lambda t: t.avg_cost_nano),
        "fastest": best(models, lambda t: negative(t.avg_seconds)),
    }


def _points_per_usd(tally: Tally) -> float | None:
    """Rated points for the money; None without ratings or without a cost."""
    if tally.quality is None or not tally.avg_cost_nano:
        return None
    return tally.quality / tally.avg_cost_nano


def provider_line(tally: Tally, whole: Tally) -> Told:
    return {
        "provider": tally.keys["provider"],
        "jobs": tally.jobs,
        "tokens": tally.tokens,
        "cost": tally.cost,
        "percentage": percentage(tally.cost_nano_usd, whole.cost_nano_usd),
        "avg_cost": tally.avg_cost,
    }


def model_line(tally: Tally) -> Told:
    return {
        "model": tally.keys["model"],
        "provider": tally.keys["provider"],
        "jobs": tally.jobs,
        "cost": tally.cost,
        "avg_tokens": tally.avg_tokens,
    }


def _generation_line(tally: Tally, kinds: list[Tally], whole: Tally) -> Told:
    own = tally.keys["generation"]
    return {
        "generation": own,
        "models": sorted({t.keys["model"] for t in kinds if t.keys["generation"] == own}),
        "jobs": tally.jobs,
        "cost": tally.cost,
        "percentage": percentage(tally.cost_nano_usd, whole.cost_nano_usd),
        "avg_quality": tally.quality,
    }


def _daily(days: list[Tally], start: date, end: date) -> list[Told]:
    """A line for every day, also for those without a job."""
    known = {t.keys["day"]: t for t in days}
    lines = []
    for day in every_day(start, end):
        tally = known.get(day, Tally())
        figures = {"jobs": tally.jobs, "cost": tally.cost, "tokens": tally.tokens}
        lines.append({"date": day, **figures, "avg_execution_time": tally.avg_seconds})
    return lines
