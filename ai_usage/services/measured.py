"""What a company's own jobs of the last days cost, took and came to, by model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Avg, Count, Q, Sum

from ai_usage.models import AIJobUsage
from megahub.kernel import clock

DAYS = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over a model's jobs; None for what no job tells of. Times are of the jobs that succeeded."""

    jobs: int
    success_rate: float
    cost_nano_usd: int | None
    execution_time_ms: float | None
    output_tokens: float | None
    ms_per_output_token: float | None


def by_model(company_id: int, *, sandbox: bool, models: list[str] | None = None) -> dict[str, Measured]:
    """The company's real usage (or, ``sandbox``, its played one) of the last 30 days."""
    since = clock.now() - timedelta(days=DAYS)
    rows = AIJobUsage.objects.of(company_id).filter(sandbox=sandbox, created_at__gte=since)
    if models is not None:
        rows = rows.filter(model_name__in=models)
    good = Q(is_success=True)
    found = rows.values("model_name").annotate(
        jobs=Count("id"),
        succeeded=Count("id", filter=good),
        cost=Avg("total_cost_nano_usd", filter=good),
        time=Avg("execution_time_ms", filter=good),
        output=Avg("output_tokens", filter=good),
        all_time=Sum("execution_time_ms", filter=good),
        all_output=Sum("output_tokens", filter=good),
    )
    return {
        row["model_name"]: Measured(
            jobs=row["jobs"],
            success_rate=row["succeeded"] / row["jobs"],
            cost_nano_usd=None if row["cost"] is None else round(row["cost"]),
            execution_time_ms=_number(row["time"]),
            output_tokens=_number(row["output"]),
            ms_per_output_token=_per(row["all_time"], row["all_output"]),
        )
        for row in found
    }


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]  # a Decimal on PostgreSQL


def _per(time: object, output: object) -> float | None:
    """Milliseconds per token; None without any."""
    return _number(time) / _number(output) if time is not None and output else None  # type: ignore[operator]
