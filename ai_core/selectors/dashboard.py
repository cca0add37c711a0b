"""``GET /ai/jobs/dashboard/``: what a brand's jobs were, counted by the database; costs by the rollups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import TruncDate

from ai_core.models import AIJob
from ai_usage.selectors import Scope, tallies
from megahub.kernel import clock

TOP_TYPES = 10


@dataclass(frozen=True, slots=True)
class Period:
    """The last ``days`` local days, today's included."""

    days: int
    zone: str

    @property
    def last(self) -> date:
        return clock.now().astimezone(clock.zone(self.zone)).date()

    @property
    def first(self) -> date:
        return self.last - timedelta(days=self.days - 1)

    def begin(self, day: date) -> datetime:
        """The moment at which a local day begins."""
        return datetime(day.year, day.month, day.day, tzinfo=clock.zone(self.zone))

    def dates(self) -> list[date]:
        """Its days in their order."""
        return [self.first + timedelta(days=number) for number in range(self.days)]


def stats(jobs: QuerySet[AIJob], period: Period) -> dict[str, int]:
    """How many there are, in every status, and how many were made today."""
    by_status = {name: Count("pk", filter=Q(status=name)) for name in AIJob.Status.values}
    today = Count("pk", filter=Q(created_at__gte=period.begin(period.last)))
    return jobs.order_by().aggregate(total_jobs=Count("pk"), jobs_today=today, **by_status)


def top_types(jobs: QuerySet[AIJob], period: Period) -> list[dict[str, Any]]:
    """``[{name, count}]`` of the period, the most frequent first."""
    rows = _within(jobs, period).values(name=F("job_type__name")).annotate(count=Count("pk"))
    return [dict(row) for row in rows.order_by("-count", "name")[:TOP_TYPES]]


def daily(jobs: QuerySet[AIJob], scope: Scope, period: Period) -> list[dict[str, Any]]:
    """``[{day, jobs, cost}]`` for every local day of the period: jobs made, and what the day cost.

    Cost in nano-USD, None when unknown.
    """
    day = TruncDate("created_at", tzinfo=clock.zone(period.zone))
    rows = _within(jobs, period).annotate(day=day).values_list("day").annotate(jobs=Count("pk"))
    made, costs = dict(rows.order_by("day")), _costs(scope, period, "day")
    return [{"day": day, "jobs": made.get(day, 0), "cost": costs.get(day, 0)} for day in period.dates()]


def brands(jobs: QuerySet[AIJob], scope: Scope, period: Period) -> list[dict[str, Any]]:
    """``[{name, jobs, cost}]`` of the period by brand, the dearest first."""
    rows = _within(jobs, period).values("brand_id", name=F("brand__name")).annotate(jobs=Count("pk"))
    costs = _costs(scope, period, "brand_id")
    told = [
        {"name": row["name"], "jobs": row["jobs"], "cost": costs.get(row["brand_id"], 0)}
        for row in rows.order_by("name")
    ]
    return sorted(told, key=lambda row: row["cost"] or 0, reverse=True)


def _costs(scope: Scope, period: Period, key: str) -> dict[Any, int | None]:
    """What the period's days cost, by the rollups' key; None where nothing that was used has a price."""
    found = tallies(scope, key, start=period.first, end=period.last)
    return {
        tally.keys[key]: None if tally.unpriced and not tally.cost_nano_usd else tally.cost_nano_usd
        for tally in found
    }


def _within(jobs: QuerySet[AIJob], period: Period) -> QuerySet[AIJob]:
    return jobs.order_by().filter(created_at__gte=period.begin(period.first))
