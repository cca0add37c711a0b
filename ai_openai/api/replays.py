"""Answering an Idempotency-Key that was used before: from the job that it made."""

from __future__ import annotations

from ai_core.domain.states import ENDS
from ai_core.models import AIJob
from ai_guard.domain.refusals import AnswerNotKept
from megahub.kernel import errors, loop
from megahub.kernel.errors import IdempotencyInProgress
from megahub.tenancy.idempotency import Replay
from megahub.tenancy.selectors import Caller


async def job_of(replay: Replay, caller: Caller) -> AIJob:
    """The job of a key. Raises the error that it ended with, or IdempotencyInProgress.

    A job for later is answered as it was the first time, whether it has ended by now or not.
    """
    row = await loop.in_thread(_row, replay.job_ref, caller.company_id)
    if row is None or (row.status not in ENDS and not row.is_async):
        raise IdempotencyInProgress(retry_after=1, job_id=replay.job_ref)
    if row.error is not None and not row.is_async:
        raise errors.restore(row.error)
    if row.response is None and row.keep == "none" and not row.is_async:
        raise AnswerNotKept(job_id=replay.job_ref)
    return row


def _row(job_ref: str, company_id: int) -> AIJob | None:
    rows = AIJob.objects.of(company_id).select_related("usage", "openai_job", "job_type")
    return rows.filter(job_id=job_ref).first()
