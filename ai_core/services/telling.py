"""A job's end as an event for the company's webhooks; written with the settlement, when it is wanted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from megahub.delivery.domain import events
from megahub.delivery.services import outbox
from megahub.kernel import clock, errors, money


def row(
    company_id: int,
    wanted: frozenset[str],
    moment: datetime,
    job: dict[str, Any],
    error: dict[str, Any] | None,
) -> list[dict[str, Any]]:
    """The outbox row of a job's end, or none when nobody wants it.

    ``job`` has ``id``, ``job_id``, ``status`` and what else is told; ``error`` is ``HubError.as_data``.
    No prompt and no answer is told: whoever may read them asks for the job.
    """
    event = events.OF_STATUS[job["status"]]
    if event not in wanted:
        return []
    data = {**job, "completed_at": clock.iso(moment), "error": _told(error)}
    return [outbox.row(company_id, event, data, moment)]


def used(total: int, given: int, said: int, cost_nano_usd: int | None) -> dict[str, Any]:
    """The usage of a job as it is told: tokens, and the cost (None while it is not known)."""
    return {
        "input_tokens": given,
        "output_tokens": said,
        "total_tokens": total,
        "total_cost": money.show(cost_nano_usd),
    }


def _told(error: dict[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    found = errors.restore(error)
    return {"code": found.code, "message": found.text()}
