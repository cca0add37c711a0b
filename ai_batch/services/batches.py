"""A batch is created, and cancelled."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings

from ai_batch import selectors
from ai_batch.domain.refusals import NoSuchFile, NotCancellable
from ai_batch.models import Batch
from ai_batch.services.reserving import RING_AGAIN
from megahub.kernel import clock, queue
from megahub.tenancy.selectors import Caller


def create(caller: Caller, fields: dict[str, Any]) -> Batch:
    """A new batch, about to be validated. What is wrong with its file is told by its status later."""
    asked = fields.pop("input_file_id")
    try:
        file = selectors.file_of(caller, asked)
    except NoSuchFile:
        file = None
    now = clock.now()
    batch: Batch = Batch.objects.unscoped().create(
        company_id=caller.company_id,
        brand_id=caller.require_brand(),
        created_by_id=caller.user_id,
        api_key_id=caller.api_key_id,
        batch_id=f"batch_{secrets.token_hex(12)}",
        file_asked=asked[:80],
        input_file=file,
        created_at=now,
        ring_at=now + RING_AGAIN,
        **{"max_attempts": settings.HUB_BATCH_MAX_ATTEMPTS, **fields},
    )
    queue.ring("ai_batch.validate", batch.pk, queue="normal")
    return batch


def cancel(caller: Caller, batch_id: str) -> Batch:
    """Begin no more lines of a batch; those that run are finished. Raises NoSuchBatch, NotCancellable."""
    batch = selectors.batch_of(caller, batch_id)
    rows = Batch.objects.of(caller.company_id).filter(pk=batch.pk, status__in=("validating", "in_progress"))
    if rows.update(status="cancelling", stop="cancelled", cancelling_at=clock.now()):
        queue.ring("ai_batch.stop", batch.pk, queue="normal")
    batch = selectors.batch_of(caller, batch_id)
    if batch.status not in ("cancelling", "cancelled"):
        raise NotCancellable(words={"current_status": batch.status})
    return batch
