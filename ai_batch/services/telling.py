"""A batch's progress and end as events for the company's webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ai_batch.models import Batch
from megahub.delivery.domain import events
from megahub.delivery.services import outbox
from megahub.kernel import clock, money

OF_STATUS = {
    "completed": events.BATCH_COMPLETED,
    "expired": events.BATCH_FAILED,
    "cancelled": events.BATCH_FAILED,
    "failed": events.BATCH_FAILED,
}


def failed(
    company_id: int, wanted: frozenset[str], batch_ref: str, status: str, errors: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The outbox row of a batch that never began."""
    return row(
        company_id,
        wanted,
        OF_STATUS[status],
        clock.now(),
        {
            "batch_id": batch_ref,
            "status": status,
            "errors": errors[:1],
        },
    )


def row(
    company_id: int, wanted: frozenset[str], event: str, moment: datetime, data: dict[str, Any]
) -> list[dict[str, Any]]:
    """The outbox row of an event, or none when nobody wants it."""
    return [outbox.row(company_id, event, data, moment)] if event in wanted else []


def ended(batch: Batch) -> None:
    """Write a batch's end in Django's open transaction, when some endpoint wants it."""
    outbox.tell(batch.company_id, OF_STATUS[batch.status], told(batch))


def told(batch: Batch) -> dict[str, Any]:
    """What is told of a batch: figures, no contents."""
    return {
        "batch_id": batch.batch_id,
        "status": batch.status,
        "endpoint": batch.endpoint,
        "model": batch.model,
        "brand_id": batch.brand_id,
        "sandbox": batch.sandbox,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "usage": {
            "input_tokens": batch.input_tokens,
            "output_tokens": batch.output_tokens,
            "total_tokens": batch.input_tokens + batch.output_tokens,
        },
        "total_cost": money.show(batch.cost_nano_usd),
    }
