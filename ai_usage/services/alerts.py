"""Alerts are raised once per type, subject and window, however often the cause occurs or is checked.

``RAISE`` is for code in the journal's lanes, ``raise_now`` for ordinary transactions; both write the
``alert.created`` event with the alert or not at all.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
from django.db import transaction
from django.utils.translation import gettext

from ai_usage.models import AIUsageAlert
from megahub.delivery.domain import events
from megahub.delivery.services import outbox
from megahub.kernel import clock, sql
from megahub.kernel.errors import NotFound
from megahub.kernel.session import Session
from megahub.kernel.text import Text

ROWS = sql.Rows(
    "r",
    {
        "company_id": "int",
        "alert_type": "text",
        "provider_name": "text",
        "subject": "text",
        "window_start": "date",
        "sandbox": "bool",
        "message": "text",
        "said": "json",
        "severity": "text",
        "is_resolved": "bool",
        "resolution_note": "text",
        "email_sent": "bool",
        "created_at": "time",
    },
)


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened, to whom, about what, in which window. ``wanted``: the company's webhooks' events."""

    company_id: int
    alert_type: str
    provider_name: str
    subject: str
    window_start: date
    message: str
    severity: str = "warning"
    sandbox: bool = False
    threshold: Decimal | None = None
    current: Decimal | None = None
    wanted: frozenset[str] = frozenset()

    @property
    def said(self) -> dict[str, Any] | None:
        """The message's template and words, when it can be said in another language."""
        if not isinstance(self.message, Text):
            return None
        return {"template": self.message.template, "words": self.message.words}


class Raise:
    """Journal writer: stores an alert that does not exist yet in its window."""

    lane = "settle"
    keep = False

    def write(self, session: Session, entries: list[Alert]) -> list[None]:
        moment = clock.now()
        statement = sql.insert(
            "ai_usage_aiusagealert",
            ROWS,
            "ON CONFLICT DO NOTHING RETURNING id, company_id, alert_type, subject",
        )
        rows = session.rows(statement, [ROWS.pack(_row(alert, moment) for alert in entries)])
        by_key = {(alert.company_id, alert.alert_type, alert.subject): alert for alert in entries}
        told = []
        for alert_id, *key in rows:
            alert = by_key[tuple(key)]
            if events.ALERT_CREATED in alert.wanted:
                data = event_data(alert_id, alert, moment)
                told.append(outbox.row(alert.company_id, events.ALERT_CREATED, data, moment))
        outbox.record(session, told)
        return [None] * len(entries)

    def recover(self, session: Session, entry: Alert) -> None:
        """Raised twice is raised once."""


def _row(alert: Alert, moment: Any) -> dict[str, Any]:
    return {
        "company_id": alert.company_id,
        "alert_type": alert.alert_type,
        "provider_name": alert.provider_name,
        "subject": alert.subject,
        "window_start": alert.window_start,
        "sandbox": alert.sandbox,
        "message": str(alert.message),
        "said": orjson.dumps(alert.said, default=str) if alert.said else None,
        "severity": alert.severity,
        "is_resolved": False,
        "resolution_note": "",
        "email_sent": False,
        "created_at": moment,
    }


def event_data(alert_id: int, alert: Alert, moment: Any) -> dict[str, Any]:
    """An alert as webhooks are told of it."""
    return {
        "id": alert_id,
        "alert_type": alert.alert_type,
        "provider_name": alert.provider_name,
        "subject": alert.subject,
        "severity": alert.severity,
        "message": str(alert.message),
        "threshold_value": None if alert.threshold is None else str(alert.threshold),
        "current_value": None if alert.current is None else str(alert.current),
        "window_start": str(alert.window_start),
        "sandbox": alert.sandbox,
        "created_at": clock.iso(moment),
    }


def raise_now(alert: Alert, also: tuple[str, dict[str, Any]] | None = None) -> AIUsageAlert | None:
    """Raise an alert in a transaction of its own; None when it was raised in this window already.

    ``also`` is another event (type, data) of the same cause.
    """
    key = {
        "company_id": alert.company_id,
        "alert_type": alert.alert_type,
        "subject": alert.subject,
        "window_start": alert.window_start,
        "sandbox": alert.sandbox,
    }
    facts = {
        "provider_name": alert.provider_name,
        "message": str(alert.message),
        "said": alert.said,
        "severity": alert.severity,
        "threshold_value": alert.threshold,
        "current_value": alert.current,
        "created_at": clock.now(),
    }
    with transaction.atomic():
        row, is_new = AIUsageAlert.objects.unscoped().get_or_create(**key, defaults=facts)
        if not is_new:
            return None
        data = event_data(row.pk, alert, row.created_at)
        outbox.tell(alert.company_id, events.ALERT_CREATED, data)
        if also is not None:
            event_type, more = also
            outbox.tell(alert.company_id, event_type, {**more, "alert_id": row.pk})
    return row


def message_of(alert: AIUsageAlert) -> str:
    """What an alert says, in the language in force where it can be said in it."""
    if alert.said is None:
        return str(alert.message)
    text = Text(alert.said["template"], **alert.said["words"])
    return text.said(gettext(text.template))


def raise_by_hand(company_id: int, asked: dict[str, Any]) -> AIUsageAlert:
    """An alert that somebody makes: ``message``, and perhaps severity, provider and figures."""
    alert = Alert(
        company_id=company_id,
        alert_type=AIUsageAlert.AlertType.MANUAL,
        provider_name=asked["provider_name"],
        subject=uuid.uuid4().hex,
        window_start=clock.now().date(),
        message=asked["message"],
        severity=asked["severity"],
        threshold=asked["threshold_value"],
        current=asked["current_value"],
    )
    row = raise_now(alert)
    assert row is not None
    return row


def resolve(company_id: int, alert_id: int, note: str) -> AIUsageAlert:
    """Resolve an alert; one that is resolved stays as it was. Raises NotFound, also for a foreign one."""
    rows = AIUsageAlert.objects.of(company_id).filter(pk=alert_id)
    rows.filter(is_resolved=False).update(is_resolved=True, resolved_at=clock.now(), resolution_note=note)
    row = rows.first()
    if row is None:
        raise NotFound
    return row


RAISE = Raise()
