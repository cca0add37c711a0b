"""Alerts that the hub raises by itself: once per subject and window, however often the cause occurs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from megahub.kernel import clock, sql
from megahub.kernel.session import Session

ROWS = sql.Rows(
    "r",
    {
        "company_id": "int",
        "alert_type": "text",
        "provider_name": "text",
        "subject": "text",
        "window_start": "date",
        "message": "text",
        "severity": "text",
        "is_resolved": "bool",
        "resolution_note": "text",
        "created_at": "time",
    },
)


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened, to whom, about what, in which window."""

    company_id: int
    alert_type: str
    provider_name: str
    subject: str
    window_start: date
    message: str
    severity: str = "warning"


class Raise:
    """Journal writer: stores an alert that does not exist yet in its window."""

    lane = "settle"
    keep = False

    def write(self, session: Session, entries: list[Alert]) -> list[None]:
        moment = clock.now()
        rows = [
            {
                "company_id": alert.company_id,
                "alert_type": alert.alert_type,
                "provider_name": alert.provider_name,
                "subject": alert.subject,
                "window_start": alert.window_start,
                "message": alert.message,
                "severity": alert.severity,
                "is_resolved": False,
                "resolution_note": "",
                "created_at": moment,
            }
            for alert in entries
        ]
        statement = sql.insert("ai_usage_aiusagealert", ROWS, "ON CONFLICT DO NOTHING")
        session.execute(statement, [ROWS.pack(rows)])
        return [None] * len(entries)

    def recover(self, session: Session, entry: Alert) -> None:
        """Raised twice is raised once."""


RAISE = Raise()
