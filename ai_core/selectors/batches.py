"""Reading batches: one by its batch_id, its jobs in their order, how far it is."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from ai_core.domain.states import ENDS
from ai_core.models import AIBatch, BatchJob
from megahub.kernel.errors import NotFound


def batch_of(company_id: int, brand_id: int, ref: str) -> AIBatch:
    """One batch of a brand. Raises NotFound, also for a foreign one."""
    found: AIBatch | None = AIBatch.objects.of(company_id).filter(brand_id=brand_id, batch_id=ref).first()
    if found is None:
        raise NotFound
    return found


def places_of(batch: AIBatch) -> QuerySet[BatchJob]:
    """The batch's jobs in the order of its contents, with their usage."""
    rows = BatchJob.objects.filter(batch_id=batch.pk).select_related("job", "job__usage")
    return rows.order_by("position")


def progress(places: list[BatchJob]) -> dict[str, Any]:
    """How many are where; a job that timed out has failed. Costs in nano-USD, None while unknown."""
    states = [place.job.status for place in places]
    ended = sum(state in ENDS for state in states)
    used = [usage for place in places if (usage := getattr(place.job, "usage", None)) is not None]
    costs = [usage.total_cost_nano_usd for usage in used if usage.total_cost_nano_usd is not None]
    return {
        "completed": states.count("completed"),
        "failed": states.count("failed") + states.count("timeout"),
        "cancelled": states.count("cancelled"),
        "running": states.count("running"),
        "pending": states.count("pending"),
        "progress_percentage": round(100 * ended / len(states)) if states else 100,
        "total_cost": None if used and not costs else sum(costs),
        "is_complete": ended == len(states),
    }
