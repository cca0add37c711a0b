"""What beat does for batches: ring again, let time run out, take lines back from lost processes."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction

from ai_batch.domain import results
from ai_batch.models import Batch, Line
from ai_batch.services import ending, line_spool, telling
from ai_batch.services.claim import GIVE_BACK_LINES, Back
from ai_batch.services.running import Work
from ai_batch.services.settle import SETTLE_LINES, LineEnd
from ai_batch.services.stopping import STOP_LINES, Stop
from ai_core.models import WorkerSession
from ai_core.services.sessions import silent_since
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal, queue
from megahub.kernel.errors import HubError

log = logging.getLogger(__name__)

RING_AGAIN = timedelta(seconds=10)
TAKE_BACK_AT_ONCE = 1000
UNENDED = ("validating", "in_progress", "finalizing", "cancelling")


def tend() -> int:
    """Look after every batch that has not ended; how many."""
    line_spool.SPOOL.replay()
    rows = Batch.objects.unscoped().filter(status__in=UNENDED).order_by("created_at")
    batches = list(rows)
    mail_failures()
    for batch in batches:
        try:
            tend_one(batch)
        except HubError:
            log.exception("batch %s could not be looked after", batch.batch_id)
    return len(batches)


def mail_failures() -> None:
    """Write the mails of batches that never began: the journal, which ends those, writes none."""
    for batch in Batch.objects.unscoped().filter(mail_due=True):
        with transaction.atomic():
            if Batch.objects.unscoped().filter(pk=batch.pk, mail_due=True).update(mail_due=False):
                telling.mail(batch)


def tend_one(batch: Batch) -> None:
    """Whatever a batch waits for."""
    now = clock.now()
    # The provider's batch has a window of its own.
    own = batch.engine == "hub" and batch.status == "in_progress" and not batch.stop
    if own and batch.expires_at and batch.expires_at <= now:
        rows = Batch.objects.unscoped().filter(pk=batch.pk, status="in_progress", stop="")
        batch.stop = "expired" if rows.update(stop="expired") else batch.stop
    if batch.stop:
        stop(batch.pk)
    if batch.in_progress_at is not None:
        take_back(batch)
        telling.progress(batch)
    if batch.lease_until is not None and batch.lease_until > now:
        return
    if batch.ring_at is None or batch.ring_at > now:
        return
    Batch.objects.unscoped().filter(pk=batch.pk).update(ring_at=now + RING_AGAIN)
    ring_for(batch)


def ring_for(batch: Batch) -> None:
    """Ring for what a batch needs next."""
    if batch.status == "validating":
        queue.ring("ai_batch.validate", batch.pk, queue="normal")
    elif batch.lines.filter(status__in=("pending", "running")).exists():
        task = "ai_batch.remote" if batch.engine == "provider" else "ai_batch.work"
        queue.ring(task, batch.pk, queue="low")
    elif batch.in_progress_at is not None:
        queue.ring("ai_batch.finish", batch.pk, queue="normal")


def stop(batch_pk: int) -> None:
    """End the lines of a stopped batch that nobody has begun; one that never began is over at once."""
    batch = Batch.objects.unscoped().get(pk=batch_pk)
    if batch.in_progress_at is None:
        if batch.status == "cancelling":
            wanted = webhooks.wanted_now(batch.company_id)
            over = ending.failure(batch, [], 0, wanted, "cancelled")
            journal.write_and_wait(ending.FAIL_BATCH, over)
        return
    if batch.engine == "provider":
        if batch.provider_status != "cancelling":  # it knows already: looked at when it is due
            queue.ring("ai_batch.remote", batch.pk, queue="low")
        return
    wanted_stop = Stop(batch.pk, batch.sandbox, batch.windows, batch.stop, clock.now())
    while journal.write_and_wait(STOP_LINES, wanted_stop):
        pass
    if not batch.lines.filter(status__in=("pending", "running")).exists():
        queue.ring("ai_batch.finish", batch.pk, queue="normal")


def take_back(batch: Batch) -> int:
    """Lines of processes that are gone: run again once, then given up. How many.

    The provider may have been called: the outcome of the attempt is unknown.
    """
    running = batch.lines.filter(status="running", session_id__isnull=False)
    sessions = running.values_list("session_id", flat=True).distinct()
    held = {pk for pk in sessions if pk is not None}
    if not held:
        return 0
    alive = WorkerSession.objects.filter(pk__in=held, ended_at=None, beat_at__gte=silent_since())
    gone = held - set(alive.values_list("pk", flat=True))
    if not gone:
        return 0
    lines = list(running.filter(session_id__in=gone).order_by("line_no")[:TAKE_BACK_AT_ONCE])
    work = Work.of(Batch.objects.unscoped().select_related("input_file").get(pk=batch.pk))
    for line in lines:
        if batch.engine == "provider":  # it was about to be settled by what the provider's file says
            journal.write_and_wait(GIVE_BACK_LINES, Back(line.pk, line.attempt_no, None, 0, 0))
        elif line.unknown or batch.stop:
            journal.write_and_wait(SETTLE_LINES, _lost(work, line))
        else:
            journal.write_and_wait(GIVE_BACK_LINES, Back(line.pk, line.attempt_no, None, 1, 1))
    if lines:
        ring_for(batch)
    return len(lines)


def _lost(work: Work, line: Line) -> LineEnd:
    return LineEnd(
        batch=work.running,
        pk=line.pk,
        line_no=line.line_no,
        attempt_no=line.attempt_no,
        held_nano_usd=line.estimated_nano_usd,
        held_tokens=line.estimated_tokens,
        status="failed",
        error_code=results.UNANSWERED["lost"][0],
        body=results.unanswered(line.pk, line.custom_id, "lost"),
        ended_at=clock.now(),
    )
