"""What a company's own jobs of the last days cost, took and came to, by model: from the rollups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ai_usage import selectors
from ai_usage.domain import analytics
from ai_usage.domain.analytics import Tally
from ai_usage.selectors import Scope
from megahub.tenancy.models import Company

DAYS = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over a model's jobs that ended, as the dashboards have them; None for what none tells of.

    Costs are of the jobs that have a price, times of those that were timed.
    """

    jobs: int
    success_rate: float
    cost_nano_usd: int | None
    execution_time_ms: float | None
    output_tokens: float | None
    ms_per_output_token: float | None


def by_model(company_id: int, *, sandbox: bool, models: list[str] | None = None) -> dict[str, Measured]:
    """The company's real usage (or, ``sandbox``, its played one) of its last 30 days."""
    zone = Company.objects.values_list("timezone", flat=True).get(pk=company_id)
    scope = Scope(company_id, None, sandbox, zone)
    start = scope.today - timedelta(days=DAYS - 1)
    found = selectors.tallies(scope, "provider", "model", start=start, model__in=models)
    grouped = analytics.by(found, "model")
    return {tally.keys["model"]: _measured(tally) for tally in grouped if tally.jobs > 0}


def _measured(tally: Tally) -> Measured:
    priced, output = tally.jobs - tally.unpriced, tally.output_tokens + tally.reasoning_tokens
    return Measured(
        jobs=tally.jobs,
        success_rate=tally.succeeded / tally.jobs,
        cost_nano_usd=round(tally.cost_nano_usd / priced) if priced else None,
        execution_time_ms=_per(tally.execution_ms, tally.timed_jobs),
        output_tokens=_per(output, tally.succeeded),
        ms_per_output_token=_per(tally.execution_ms, output) if tally.timed_jobs else None,
    )


def _per(amount: int, number: int) -> float | None:
    """None of nothing."""
    return amount / number if number else None
