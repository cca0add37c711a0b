"""Asking a provider what became of a call of unknown outcome, where it keeps what it answered.

OpenAI keeps the completions that were asked with ``store`` and lists them by their metadata, in which the
adapter wrote the attempt's name. Nobody else can be asked: there the outcome stays unknown. What is found
is settled like an answer that was heard: it ends the job if the attempt is still its own, else it is a
late cost in place of what was held for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services import endings, guarding
from ai_core.services.claim import Claimed
from ai_core.services.job import Job
from ai_providers.adapters.openai import OpenAI
from ai_providers.adapters.registry import ADAPTERS
from ai_usage.models import UnknownExposure
from megahub.kernel import clock, loop, scope
from megahub.kernel.errors import HubError

log = logging.getLogger(__name__)

ASK_SECONDS = 10.0
ASK_AT_ONCE = 50


def settled(calls: Iterable[tuple[AIJob, int]]) -> set[int]:
    """Of these jobs' attempts, the jobs whose provider knew the answer; it is settled then."""
    stored = [(job, number) for job, number in calls if _is_stored(job)][:ASK_AT_ONCE]
    if not stored:
        return set()
    answers = loop.run(_all_asked(stored))
    return {job.pk for (job, _), found in zip(stored, answers, strict=True) if found}


def look_again() -> int:
    """Ask for the stored ones among the calls of unknown outcome; how many were found."""
    held = UnknownExposure.objects.unscoped().filter(ended_at=None)
    stored = AIJob.objects.unscoped().filter(params__store=True).values("pk")
    found = held.filter(job_id__in=stored).order_by("created_at").values_list("job_id", "attempt_no")
    keys = list(found[:ASK_AT_ONCE])
    jobs = AIJob.objects.unscoped().in_bulk([pk for pk, _ in keys])
    return len(settled((jobs[pk], number) for pk, number in keys))


def _is_stored(job: AIJob) -> bool:
    return job.endpoint == "chat" and job.params.get("store") is True


async def _all_asked(calls: list[tuple[AIJob, int]]) -> list[bool]:
    """Side by side: fifty providers that do not answer take as long as one."""
    return list(await asyncio.gather(*(_within_time(job, number) for job, number in calls)))


async def _within_time(job: AIJob, attempt_no: int) -> bool:
    try:
        return await asyncio.wait_for(_asked(job, attempt_no), ASK_SECONDS)
    except (HubError, TimeoutError) as error:
        log.warning("attempt %s-%d could not be asked for: %s", job.job_id, attempt_no, error)
    except Exception:  # one that fails does not keep the others from being taken back
        log.exception("attempt %s-%d could not be asked for", job.job_id, attempt_no)
    return False


async def _asked(job: AIJob, attempt_no: int) -> bool:
    with scope.everybody():
        opened = await pipeline.reopen(_as_claimed(job, attempt_no))
        adapter = ADAPTERS[opened.provider]
        if not isinstance(adapter, OpenAI):
            return False
        for access in opened.terms.accesses:
            found = await adapter.stored(opened.call, access, f"{job.job_id}-{attempt_no}")
            if found is not None:
                opened.access, opened.completion = access, found
                await _settle(opened, job)
                return True
    return False


async def _settle(opened: Job, job: AIJob) -> None:
    ran = clock.now() - (job.started_at or job.created_at)
    opened.began, opened.was_sent = time.monotonic() - ran.total_seconds(), True
    try:
        await guarding.check_output(opened)
    except HubError as error:
        opened.error = error
    await endings.end(opened)


def _as_claimed(job: AIJob, attempt_no: int) -> Claimed:
    return Claimed(
        pk=job.pk,
        job_ref=job.job_id,
        company_id=job.company_id,
        brand_id=job.brand_id,
        user_id=job.created_by_id,
        api_key_id=job.api_key_id,
        endpoint="chat",
        model=job.model,
        provider=job.provider,
        generation=job.generation,
        sandbox=job.sandbox,
        with_defaults=job.with_defaults,
        input_data=job.input_data,
        attempt_no=attempt_no,
        max_attempts=job.max_attempts,
        unknown_attempts=job.unknown_attempts,
        keep=job.keep,
    )
