"""How a run ends: completed, failed, cancelled, timed out, or given back to be tried again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from ai_core.domain import retry
from ai_core.domain.states import advance
from ai_core.services import guarding, pacing, spooling
from ai_core.services.claim import GIVE_BACK_JOB, Claimed, Return
from ai_core.services.closing import event_of, settlement
from ai_core.services.job import Job, Mark
from ai_core.services.putting_off import PUT_JOB_OFF, Postponement
from ai_core.services.sessions import PROCESS
from ai_core.services.settle import SETTLE, Settlement
from ai_providers.domain import pricing
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal
from megahub.kernel.errors import (
    DatabaseUnavailable,
    HubError,
    JobCancelled,
    OutcomeUnknown,
    ServerError,
)

#: How long a caller waits for a settlement while the database is away; the journal goes on trying.
PATIENCE_SECONDS = 10.0


async def look(job: Job) -> None:
    """Have the content filter look at the answer. Raises what it refuses with; paid is the answer anyway.

    Asking the provider takes a while: meanwhile the answer is kept, for whoever finds this process dead.
    """
    if job.policy.moderation and job.completion is not None:
        note_usage(job)
    await guarding.check_output(job)


async def end(job: Job) -> None:
    """Write a run's end; ``job`` then tells how it ended."""
    try:
        await _end(job)
    finally:
        forget_unseen(job)


async def _end(job: Job) -> None:
    if job.held_until is not None and job.is_async:
        if await journal.write(PUT_JOB_OFF, Postponement(job.pk, job.attempt_no, job.held_until)):
            job.status = advance("running", "requeue")
            return
        job.error = JobCancelled()
    if job.error is not None and _may_retry(job, job.error):
        if await _give_back(job, job.error):
            return
        # Its owner has cancelled it meanwhile (or it is not ours any more, which the settlement finds).
        # What is known of the call stays known.
        job.was_sent = job.was_sent and job.error.outcome_unknown
        job.error = JobCancelled()
    _close(job)
    pacing.put_right(job)
    ended = _settlement(job)
    job.marks.append(spooling.SPOOL.keep(ended))
    forget_unseen(job)
    if not await _patiently(_settled(ended, job.marks), job):
        # Somebody else has ended this job: what came of this call is kept with its attempt.
        job.error = OutcomeUnknown()


def _may_retry(job: Job, error: HubError) -> bool:
    """Only what nobody waits for on an open connection is tried again later."""
    if not job.is_async or (error.outcome_unknown and not retry.may_repeat(True, job.call.params)):
        return False
    most = job.max_attempts + job.is_excused
    return retry.may_retry(error, job.attempt_no, most, job.unknown_attempts)


async def _give_back(job: Job, error: HubError) -> bool:
    phase = "unknown" if error.outcome_unknown else "failed"
    later = retry.run_at(error, job.attempt_no, clock.now())
    back = Return(job.pk, job.attempt_no, later, phase, error.code, job.is_excused)
    given = await journal.write(GIVE_BACK_JOB, back)
    if given:
        job.status = advance("running", "requeue")
    return bool(given)


async def _settled(ended: Settlement, marks: list[Mark]) -> bool:
    """Write the settlement; one task with the look-up before it, which a cancelled caller leaves alone."""
    wanted = await webhooks.wanted(ended.company_id)
    in_time = bool(await journal.write(SETTLE, replace(ended, wanted=wanted) if wanted else ended))
    spooling.SPOOL.done(marks)
    marks.clear()
    return in_time


async def _patiently(writing: Any, job: Job) -> bool:
    """Wait for the settlement; while the database is away, no longer than a caller's patience.

    Until it is written its process knows of it: the reaper must not take the job for lost meanwhile.
    """
    PROCESS.unwritten.add(job.pk)
    task = asyncio.ensure_future(writing)
    task.add_done_callback(lambda _: PROCESS.unwritten.discard(job.pk))
    try:
        return bool(await asyncio.wait_for(asyncio.shield(task), PATIENCE_SECONDS))
    except TimeoutError:
        job.error = DatabaseUnavailable(
            "The answer is there, but the database is not; it will be stored with job {job_id}.",
            retry_after=PATIENCE_SECONDS,
            job_id=job.job_ref,
        )
        return True


def _close(job: Job) -> None:
    """Work out how the job ended, what it used and what that cost."""
    job.execution_time_ms = job.elapsed_ms
    job.status = advance("running", event_of(job.error))
    completion = job.completion
    if completion is None and job.gathered is not None and job.has_spoken:
        completion = job.completion = job.gathered.completion()
    if completion is not None:
        job.usage = completion.usage
        if job.terms.priced:
            job.cost = pricing.cost(job.terms.price, completion.usage, job.terms.rate)


def _phase(job: Job) -> str:
    if job.error is None:
        return "done"
    unheard = isinstance(job.error, JobCancelled) and job.completion is None
    return "unknown" if job.was_sent and (job.error.outcome_unknown or unheard) else "failed"


def _charged(job: Job) -> int:
    """What counts against budgets: the cost, or the pessimistic amount while it is unknown."""
    if job.cost is not None:
        return job.cost.usd_nano
    if job.usage is None:
        return 0
    return pricing.cost(job.terms.price, job.usage, job.terms.rate).usd_nano


def _settlement(job: Job) -> Settlement:
    return settlement(
        job,
        job.error,
        phase=_phase(job),
        source=job.access.source if job.access else "",
        execution_time_ms=job.execution_time_ms or 0,
        first_byte_ms=job.first_byte_ms,
        completion=job.completion,
        cost=job.cost,
        charged_nano_usd=_charged(job),
        texts=guarding.kept(job, job.error),
    )


def note_usage(job: Job) -> None:
    """A call has told its usage: should the process die before its end, this is what is known of it.

    What the content filter is still to look at lies in a file of its own, and is looked at by whoever takes
    it up (spooling.py); it is gone as soon as the filter has spoken.
    """
    said = replace(job, completion=job.gathered.completion() if job.gathered else job.completion)
    _close(said)
    ended = _settlement(said)
    if job.policy.looks:
        forget_unseen(job)
        job.unseen = spooling.SPOOL.keep_apart(replace(ended, unseen=True))
    else:
        job.marks.append(spooling.SPOOL.keep(ended))


def forget_unseen(job: Job) -> None:
    """The filter has spoken, or the run has ended without it: nothing of the answer stays on the disk."""
    if job.unseen is not None:
        job.unseen.drop()
        job.unseen = None


async def return_claimed(claimed: Claimed) -> None:
    """Let a claimed job be tried again that could not be opened (the database went away), or end it."""
    error = ServerError()
    if claimed.attempt_no < claimed.max_attempts:
        later = retry.run_at(error, claimed.attempt_no, clock.now())
        again = Return(claimed.pk, claimed.attempt_no, later, "failed", error.code)
        if await journal.write(GIVE_BACK_JOB, again):
            return
    await fail_claimed(claimed, error)


async def fail_claimed(claimed: Claimed, error: HubError) -> None:
    """End a claimed job that can no longer be run: its model was blocked, its key removed."""
    wanted = await webhooks.wanted(claimed.company_id)
    await journal.write(SETTLE, settlement(claimed, error, phase="failed", wanted=wanted))
