"""The end of a batch: its lines are all ended; their results become files, and it says how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction

from ai_batch.models import Batch, LineResult, StoredFile
from ai_batch.services import leases, telling
from ai_batch.services.files import Incoming, Owner
from megahub.kernel import clock

log = logging.getLogger(__name__)

#: Results are kept this long unless the batch says otherwise.
OUTPUT_DAYS = 30
AT_ONCE = 500
UNFINISHED = ("in_progress", "cancelling", "finalizing")


def finish(batch_pk: int) -> bool:
    """Finish a batch whose lines have all ended; False when it is not this process's to do."""
    batch = leases.take(batch_pk, *UNFINISHED)
    if batch is None:
        return False
    try:
        if batch.lines.filter(status__in=("pending", "running")).exists():
            leases.release(batch_pk)
            return False
        return _finish(batch)
    except BaseException:
        leases.release(batch_pk)
        raise


def _finish(batch: Batch) -> bool:
    rows = Batch.objects.unscoped().filter(pk=batch.pk)
    rows.filter(status="in_progress").update(status="finalizing", finalizing_at=clock.now())
    output = _written(batch, is_error=False)
    errors = _written(batch, is_error=True)
    status = batch.stop or "completed"
    done = {"status": status, f"{status}_at": clock.now(), "lease_until": None, "ring_at": None}
    made = {"output_file": output, "error_file": errors}
    with transaction.atomic():
        if not rows.filter(status__in=UNFINISHED).update(**done, **made):
            _drop(output, errors)
            return False
        batch.refresh_from_db()
        telling.ended(batch)
        LineResult.objects.filter(batch=batch).delete()
    _check(batch)
    return True


def _written(batch: Batch, *, is_error: bool) -> StoredFile | None:
    """The results of one kind as a file, in the order of the lines; None without any."""
    incoming = None
    try:
        for block in blocks(batch, is_error=is_error):
            incoming = incoming or Incoming()
            incoming.write(block)
            leases.renew(batch.pk)
        if incoming is None:
            return None
        owner = Owner(batch.company_id, batch.brand_id, batch.created_by_id)
        name = f"{batch.batch_id}_{'error' if is_error else 'output'}.jsonl"
        lifetime = timedelta(seconds=batch.output_expires_seconds or OUTPUT_DAYS * 86_400)
        return incoming.keep(owner, name, "batch_output", clock.now() + lifetime)
    except BaseException:
        if incoming is not None:
            incoming.drop()
        raise


def blocks(batch: Batch, *, is_error: bool) -> Iterator[bytes]:
    """The results so far as JSON lines, some hundred at a time."""
    after = 0
    rows = LineResult.objects.filter(batch=batch, is_error=is_error).order_by("line_no")
    while found := list(rows.filter(line_no__gt=after).values_list("line_no", "body")[:AT_ONCE]):
        after = found[-1][0]
        yield "".join(f"{body}\n" for _, body in found).encode()


def _drop(*made: StoredFile | None) -> None:
    for file in made:
        if file is not None:
            StoredFile.objects.of(file.company_id).filter(pk=file.pk).update(deleted_at=clock.now())


def _check(batch: Batch) -> None:
    """Every line is in exactly one of the files: what the counters say is what the lines say."""
    ended = batch.lines.exclude(status__in=("pending", "running")).count()
    completed = batch.lines.filter(status="completed").count()
    if (ended, completed) != (batch.completed + batch.failed, batch.completed) or ended != batch.total:
        log.error("batch %s counts %s, its lines %s", batch.batch_id, batch.completed, completed)
