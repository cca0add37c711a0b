"""A batch is created, and cancelled."""

from __future__ import annotations

import secrets
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from ai_batch import selectors
from ai_batch.domain.refusals import NoSuchFile, NotCancellable, NotOver
from ai_batch.models import Batch, StoredFile
from ai_batch.services import making
from ai_batch.services.files import Owner
from ai_batch.services.reserving import RING_AGAIN
from megahub.kernel import clock, queue, trail
from megahub.tenancy.models import Company
from megahub.tenancy.selectors import Caller


def create(caller: Caller, fields: dict[str, Any], file: StoredFile | None = None) -> Batch:
    """A new batch, about to be validated. What is wrong with its file is told by its status later."""
    fields = {**fields, "api_key_id": caller.api_key_id}
    asked = fields.pop("input_file_id", "")
    asked = asked if file is None else file.file_id
    with suppress(NoSuchFile):
        file = file or selectors.file_of(caller, asked)
    return begin(owner_of(caller), fields, file, asked)


def begin(owner: Owner, fields: dict[str, Any], file: StoredFile | None, asked: str) -> Batch:
    """A batch of ``fields``; whoever validates it is rung for once it is committed."""
    now = clock.now()
    batch: Batch = Batch.objects.unscoped().create(
        company_id=owner.company_id,
        brand_id=owner.brand_id,
        created_by_id=owner.user_id,
        batch_id=f"batch_{secrets.token_hex(12)}",
        file_asked=asked[:80],
        input_file=file,
        created_at=now,
        ring_at=now + RING_AGAIN,
        **{"max_attempts": settings.HUB_BATCH_MAX_ATTEMPTS, **fields},
    )
    transaction.on_commit(partial(queue.ring, "ai_batch.validate", batch.pk, queue="normal"))
    return batch


def cancel(caller: Caller, batch_id: str) -> Batch:
    """Begin no more lines of a batch; those that run are finished. Raises NoSuchBatch, NotCancellable."""
    batch = selectors.batch_of(caller, batch_id)
    rows = Batch.objects.of(caller.company_id).filter(pk=batch.pk, status__in=("validating", "in_progress"))
    if rows.update(status="cancelling", stop="cancelled", cancelling_at=clock.now()):
        transaction.on_commit(partial(queue.ring, "ai_batch.stop", batch.pk, queue="normal"))
    batch = selectors.batch_of(caller, batch_id)
    if batch.status not in ("cancelling", "cancelled"):
        raise NotCancellable(words={"current_status": batch.status})
    return batch


def set_policy(company_id: int, engine: str, who: trail.Origin) -> None:
    """Change which engine runs a company's batches that ask for none."""
    company = Company.objects.get(pk=company_id)
    with trail.change(who, "batch_policy.change", company, company_id=company_id):
        company.batch_engine = engine
        company.save(update_fields=["batch_engine"])


def owner_of(caller: Caller) -> Owner:
    """Whose a caller's new file is."""
    return Owner(caller.company_id, caller.require_brand(), caller.user_id)


def retry_failed(caller: Caller, batch_id: str) -> Batch:
    """A new batch of the lines that did not succeed, linked to theirs. Raises NotOver, NothingToRetry."""
    batch = selectors.batch_of(caller, batch_id)
    if not batch.is_over:
        raise NotOver
    name = f"{batch.batch_id}_retry.jsonl"
    file = making.of_lines(owner_of(caller), name, making.of_failed(batch))
    fields = {
        "endpoint": batch.endpoint,
        "completion_window": batch.completion_window,
        "metadata": batch.metadata,
        "engine_asked": batch.engine_asked,
        "max_attempts": batch.max_attempts,
        "backoff_seconds": batch.backoff_seconds,
        "notify": batch.notify,
        "parent": batch,
    }
    return create(caller, fields, file)
