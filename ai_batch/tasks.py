"""Celery's way in: shells only; the work is in the services."""

from __future__ import annotations

from typing import Any

from celery import shared_task, signals

from ai_batch.services import (
    chores,
    engine,
    files,
    finishing,
    ingest,
    line_spool,
    recurring,
    remote,
    verification,
)
from megahub.kernel import loop


@signals.worker_shutdown.connect
def let_go(**_: Any) -> None:
    """The worker ends: what it heard of lines and did not settle is others' to settle."""
    line_spool.SPOOL.close()


@shared_task(name="ai_batch.validate")
def validate(batch_pk: int) -> None:
    """Read a batch's file into lines, and let them begin."""
    ingest.validate(batch_pk)


@shared_task(name="ai_batch.work")
def work(batch_pk: int) -> None:
    """Wake this process's engine."""
    loop.run(engine.wake())


@shared_task(name="ai_batch.remote")
def hand_over(batch_pk: int) -> None:
    """Take a batch of the provider's engine a step further."""
    remote.advance(batch_pk)


@shared_task(name="ai_batch.stop")
def stop(batch_pk: int) -> None:
    """End the lines of a stopped batch that nobody has begun."""
    chores.stop(batch_pk)


@shared_task(name="ai_batch.finish")
def finish(batch_pk: int) -> None:
    """Write the files of a batch whose lines have ended."""
    finishing.finish(batch_pk)


@shared_task(name="ai_batch.tend")
def tend() -> None:
    """Look after the batches that have not ended."""
    chores.tend()
    recurring.run_due()


@shared_task(name="ai_batch.tidy")
def tidy() -> None:
    """Remove what nobody reads any more."""
    files.remove_unread()
    files.remove_forgotten_uploads()


@shared_task(name="ai_batch.verify_ledger")
def verify_ledger() -> None:
    """Compare budgets, jobs and ledger; what is off is an alert of the company's."""
    verification.tell(verification.verify())
