"""``GET /ai/jobs/dashboard/``: how many jobs a brand has, and what they cost, by the rollups.

What rollups do not know is counted with them in the same statement: what ended a moment ago, what waits and
what runs. None of it grows with the jobs that there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Q, QuerySet, Sum

from ai_core.domain.states import STATES
from ai_core.models import AIJobType
from ai_usage.models import JobDay
from ai_usage.selectors import Scope, brand_names, job_days, tallies
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

    def dates(self) -> list[date]:
        """Its days in their order."""
        return [self.first + timedelta(days=number) for number in range(self.days)]


def stats(jobs: QuerySet[JobDay], period: Period) -> dict[str, int]:
    """How many there are, in every status, and how many were made today."""
    sums = {f"sum_{name}": Sum(name) for name in STATES}
    today = Sum("jobs", filter=Q(day__gte=period.last))
    found = jobs.aggregate(total_jobs=Sum("jobs"), jobs_today=today, **sums)
    return {name.removeprefix("sum_"): int(number or 0) for name, number in found.items()}


def in_status(company_id: int, brand_id: int, status: str) -> int:
    """How many of a brand's jobs are in a status, real and played ones."""
    days = job_days(company_id).filter(brand_id=brand_id)
    return int(days.aggregate(jobs=Sum(status))["jobs"] or 0)


def top_types(jobs: QuerySet[JobDay], period: Period) -> list[dict[str, Any]]:
    """``[{name, count}]`` of the period, the most frequent first."""
    counted = _counted(jobs, period, "job_type_id")
    names = dict(AIJobType.objects.filter(pk__in=counted).values_list("pk", "name"))
    rows: list[dict[str, Any]] = [{"name": names[pk], "count": jobs} for pk, jobs in counted.items()]
    return sorted(rows, key=lambda row: (-row["count"], row["name"]))[:TOP_TYPES]


def daily(jobs: QuerySet[JobDay], scope: Scope, period: Period) -> list[dict[str, Any]]:
    """``[{day, jobs, cost}]`` for every local day of the period: jobs made, and what the day cost.

    Cost in nano-USD, None when unknown.
    """
    made, costs = _counted(jobs, period, "day"), _costs(scope, period, "day")
    return [{"day": day, "jobs": made.get(day, 0), "cost": costs.get(day, 0)} for day in period.dates()]


def brands(jobs: QuerySet[JobDay], scope: Scope, period: Period) -> list[dict[str, Any]]:
    """``[{name, jobs, cost}]`` of the period by brand, the dearest first."""
    made, costs = _counted(jobs, period, "brand_id"), _costs(scope, period, "brand_id")
    names = brand_names(scope)
    told: list[dict[str, Any]] = [
        {"name": names[pk], "jobs": jobs, "cost": costs.get(pk, 0)} for pk, jobs in made.items()
    ]
    return sorted(told, key=lambda row: (-(row["cost"] or 0), row["name"]))


def _counted(jobs: QuerySet[JobDay], period: Period, key: str) -> dict[Any, int]:
    """How many were made in the period, by the rollups' key; nothing where there are none."""
    rows = jobs.filter(day__gte=period.first).values_list(key).annotate(number=Sum("jobs"))
    return {each: int(number) for each, number in rows if number}


def _costs(scope: Scope, period: Period, key: str) -> dict[Any, int | None]:
    """What the period's days cost, by the rollups' key; None where nothing that was used has a price."""
    found = tallies(scope, key, start=period.first, end=period.last)
    return {
        tally.keys[key]: None if tally.unpriced and not tally.cost_nano_usd else tally.cost_nano_usd
        for tally in found
    }
