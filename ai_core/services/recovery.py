"""What beat does for jobs: ring again for those that wait, take back those whose process is gone."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q

from ai_core.domain import retry
from ai_core.models import AIJob, Attempt, WorkerSession
from ai_core.services import gates, reconciling, spooling
from ai_core.services.claim import GIVE_BACK_JOB, Return
from ai_core.services.closing import settlement
from ai_core.services.sessions import silent_since
from ai_core.services.settle import SETTLE
from ai_usage.services import exposures
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal, queue, scope
from megahub.kernel.errors import (
    HubError,
    JobCancelled,
    OutcomeUnknown,
    ProviderTimeout,
)

log = logging.getLogger(__name__)

RING_AT_ONCE = 500
#: A job that waits is rung for again ever more rarely.
RING_AGAIN_AT_MOST = timedelta(minutes=10)
#: A running job's deadline is its own process's to keep; the reaper steps in this much later.
DEADLINE_GRACE = timedelta(seconds=30)
OLD_SESSIONS_KEPT = timedelta(days=7)


def relay() -> int:
    """Ring for every pending job that is due and whose bell may have been lost; how many."""
    now = clock.now()
    due = AIJob.objects.unscoped().filter(status="pending", ring_at__lte=now, run_at__lte=now)
    rung = 0
    for job in due.order_by("ring_at").only("pk", "priority", "ring_at", "run_at")[:RING_AT_ONCE]:
        waited = now - job.run_at
        again = now + min(timedelta(seconds=settings.HUB_RING_AGAIN_SECONDS) + waited, RING_AGAIN_AT_MOST)
        if AIJob.objects.unscoped().filter(pk=job.pk, ring_at=job.ring_at).update(ring_at=again):
            queue.ring("ai_core.run_job", job.pk, queue=job.priority)
            rung += 1
    return rung


def reap() -> int:
    """Take back running jobs whose process stopped beating or ended, or whose deadline is long past.

    What such a process had heard before it died is settled first, from its spool.
    """
    spooling.SPOOL.replay()
    exposures.expire()
    gates.forget_old()
    now = clock.now()
    gone = Q(session=None) | Q(session__beat_at__lt=silent_since()) | Q(session__ended_at__isnull=False)
    overdue = Q(job__deadline_at__lt=now - DEADLINE_GRACE)
    calling = Attempt.objects.filter(phase="calling", attempt_no=F("job__attempt_no"))
    lost = calling.filter(job__status="running").filter(gone | overdue).select_related("job")
    found = list(lost.order_by("started_at")[:RING_AT_ONCE])
    answered = reconciling.settled((attempt.job, attempt.attempt_no) for attempt in found)
    reaped = sum(_taken_back(attempt) for attempt in found if attempt.job_id not in answered)
    # A process that was killed has no end of its own.
    WorkerSession.objects.filter(beat_at__lt=now - OLD_SESSIONS_KEPT).delete()
    return reaped + len(answered)


def _taken_back(attempt: Attempt) -> bool:
    """``take_back``, as its company; one that fails does not keep the others from it."""
    try:
        with scope.of(attempt.job.company_id):
            return take_back(attempt)
    except Exception:  # whatever it is, it is told with its traceback, and the next job's turn comes
        log.exception("job %s could not be taken back", attempt.job.job_id)
        return False


def take_back(attempt: Attempt) -> bool:
    """Run a lost job again, or end it; True unless its process was quicker after all.

    The provider may have been called and may have done the work: the attempt's outcome is unknown.
    Only a job that nobody waits for on an open connection is repeated, and only once.
    """
    job = attempt.job
    if job.cancel_requested_at is not None:
        return _end(attempt, JobCancelled())
    error = OutcomeUnknown()
    if retry.may_repeat(job.is_async, job.params) and retry.may_retry(
        error, job.attempt_no, job.max_attempts, job.unknown_attempts
    ):
        again = Return(job.pk, job.attempt_no, clock.now(), "unknown", error.code)
        if not journal.write_and_wait(GIVE_BACK_JOB, again):
            return False
        queue.ring("ai_core.run_job", job.pk, queue=job.priority)
        return True
    overdue = job.deadline_at is not None and job.deadline_at < clock.now()
    return _end(attempt, ProviderTimeout(provider=job.provider) if overdue else error)


def _end(attempt: Attempt, error: HubError) -> bool:
    job = attempt.job
    ran = clock.now() - (job.started_at or job.created_at)
    ended = settlement(
        job,
        error,
        phase="unknown",
        source=attempt.source,
        execution_time_ms=int(ran.total_seconds() * 1000),
        wanted=webhooks.wanted_now(job.company_id),
    )
    return bool(journal.write_and_wait(SETTLE, ended))
