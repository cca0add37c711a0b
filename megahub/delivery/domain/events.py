"""What can be told, and how a message reads."""

from __future__ import annotations

import secrets
from typing import Any

import orjson

JOB_COMPLETED = "job.completed"
JOB_FAILED = "job.failed"
JOB_CANCELLED = "job.cancelled"
ALERT_CREATED = "alert.created"
BUDGET_THRESHOLD = "budget.threshold"
BATCH_COMPLETED = "batch.completed"
BATCH_FAILED = "batch.failed"
BATCH_PROGRESS = "batch.progress"
EXPORT_COMPLETED = "export.completed"
EXPORT_FAILED = "export.failed"
#: Sent by ``POST /ai/webhooks/{id}/test/`` only.
TEST = "webhook.test"
#: What an endpoint can ask for.
EVENTS = (
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_CANCELLED,
    BATCH_COMPLETED,
    BATCH_FAILED,
    BATCH_PROGRESS,
    ALERT_CREATED,
    BUDGET_THRESHOLD,
    EXPORT_COMPLETED,
    EXPORT_FAILED,
)
#: The event of a job's end, by the state that it ended in.
OF_STATUS = {
    "completed": JOB_COMPLETED,
    "failed": JOB_FAILED,
    "timeout": JOB_FAILED,
    "cancelled": JOB_CANCELLED,
}
SLACK_TEXT = 3000


def new_id() -> str:
    """An event's id, the ``webhook-id`` of every attempt to tell it; it holds no ``.``."""
    return f"evt_{secrets.token_hex(16)}"


def message(event_type: str, timestamp: str, data: dict[str, Any]) -> bytes:
    """The body of a message: ``{type, timestamp, data}``, as Standard Webhooks has it."""
    return orjson.dumps({"type": event_type, "timestamp": timestamp, "data": data}, default=str)


def slack(event_type: str, data: dict[str, Any]) -> bytes:
    """The same for Slack's incoming webhooks and what is compatible: ``{text}``."""
    if "message" in data:
        severity = f"[{data['severity']}] " if data.get("severity") else ""
        text = f"{severity}{data['message']}"
    else:
        shown = [f"{name}: {data[name]}" for name in ("job_id", "status", "model") if data.get(name)]
        text = f"{event_type} ({', '.join(shown)})" if shown else event_type
    # Slack reads these three as markup: no message may name a channel or forge a link.
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(plain, escaped)
    return orjson.dumps({"text": text[:SLACK_TEXT]})
