"""The outbox: an event is written in the transaction of the change that it tells of, or not at all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from megahub.delivery import selectors
from megahub.delivery.domain import events
from megahub.delivery.models import Outbox
from megahub.kernel import clock, sql
from megahub.kernel.session import Session

ROWS = sql.Rows(
    "r",
    {"company_id": "int", "event_id": "text", "event_type": "text", "data": "json", "created_at": "time"},
)


def row(company_id: int, event_type: str, data: dict[str, Any], moment: datetime) -> dict[str, Any]:
    """A row for ``record``; ``data`` must not hold what a company may not read of itself."""
    return {
        "company_id": company_id,
        "event_id": events.new_id(),
        "event_type": event_type,
        "data": orjson.dumps(data, default=str),
        "created_at": moment,
    }


def record(session: Session, rows: list[dict[str, Any]]) -> None:
    """Write events in one of the journal's transactions."""
    if rows:
        session.execute(sql.insert("delivery_outbox", ROWS), [ROWS.pack(rows)])


def tell(company_id: int, event_type: str, data: dict[str, Any]) -> None:
    """Write an event in Django's open transaction, when some endpoint wants it."""
    if event_type in selectors.wanted_now(company_id):
        Outbox.objects.unscoped().create(
            company_id=company_id,
            event_id=events.new_id(),
            event_type=event_type,
            data=data,
            created_at=clock.now(),
        )
