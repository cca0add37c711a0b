"""A batch's progress and end as events for the company's webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext, pgettext

from ai_batch.models import Batch
from megahub.delivery.domain import events
from megahub.delivery.services import mails, outbox
from megahub.kernel import clock, money
from megahub.tenancy import members
from megahub.tenancy.selectors import email_of

#: A running batch is told of at most once per so many percent.
STEP_PERCENT = 10

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
    """Write a batch's end in Django's open transaction: for endpoints that want it, and for its maker."""
    outbox.tell(batch.company_id, OF_STATUS[batch.status], told(batch))
    mail(batch)


def mail(batch: Batch) -> None:
    """Write the mail of a batch's end, in its maker's language, if they want one."""
    to = email_of(batch.created_by_id) if batch.notify else ""
    if not to:
        return
    name = (batch.metadata or {}).get("name") or batch.batch_id
    for language in members.by_language(batch.company, [to]):
        with translation.override(language):
            subject, text = _letter(batch, name)
        mails.write(batch.company_id, f"batch:{batch.pk}", [to], f"[MEGAHUB] {subject}", text)


def _letter(batch: Batch, name: str) -> tuple[str, str]:
    """Subject and text: figures, where the results are, the first of its errors."""
    status, tokens = _word(batch.status), batch.input_tokens + batch.output_tokens
    ended = gettext("Your batch {name} ({batch_id}) has ended: {status}.")
    counts = gettext("Requests: {total}, of which {completed} succeeded and {failed} did not.")
    used = gettext("Tokens: {tokens}. Cost: {cost} USD.")
    lines = [
        ended.format(name=name, batch_id=batch.batch_id, status=status),
        "",
        counts.format(total=batch.total, completed=batch.completed, failed=batch.failed),
        used.format(tokens=tokens, cost=money.show(batch.cost_nano_usd)),
        *(gettext("Error: {message}").format(message=each["message"]) for each in batch.errors[:1]),
        "",
        gettext("Results: {address}").format(address=f"{settings.HUB_PUBLIC_URL}/console/batches/"),
        "",
    ]
    return gettext("Batch {name}: {status}").format(name=name, status=status), "\n".join(lines)


def _word(status: str) -> str:
    words = {
        "completed": pgettext("batch", "completed"),
        "expired": pgettext("batch", "expired"),
        "cancelled": pgettext("batch", "cancelled"),
        "failed": pgettext("batch", "failed"),
    }
    return words[status]


def progress(batch: Batch) -> bool:
    """Tell how far a running batch has come, at most once every STEP_PERCENT; whether it was told.

    Beat asks, so that a fast batch is not told more often than beat looks.
    """
    percent = 100 * sum(batch.ended_so_far) // batch.total if batch.total else 0
    step = percent - percent % STEP_PERCENT
    if step <= batch.told_percent or percent >= 100:
        return False
    rows = Batch.objects.unscoped().filter(pk=batch.pk, told_percent=batch.told_percent)
    with transaction.atomic():
        if not rows.update(told_percent=step):
            return False
        outbox.tell(batch.company_id, events.BATCH_PROGRESS, {**told(batch), "percent": percent})
    return True


def told(batch: Batch) -> dict[str, Any]:
    """What is told of a batch: figures, no contents."""
    completed, failed = batch.ended_so_far
    return {
        "batch_id": batch.batch_id,
        "status": batch.status,
        "endpoint": batch.endpoint,
        "model": batch.model,
        "brand_id": batch.brand_id,
        "sandbox": batch.sandbox,
        "request_counts": {"total": batch.total, "completed": completed, "failed": failed},
        "usage": {
            "input_tokens": batch.input_tokens,
            "output_tokens": batch.output_tokens,
            "total_tokens": batch.input_tokens + batch.output_tokens,
        },
        "total_cost": money.show(batch.cost_nano_usd),
    }
