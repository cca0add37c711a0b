"""The company's content filter and what it keeps, applied to a job."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import orjson

from ai_core.services import moderating
from ai_core.services.job import Job
from ai_guard.domain import keeping, rules
from ai_guard.domain.refusals import ContentBlocked, ContentUnchecked
from ai_guard.services import findings
from megahub.kernel import clock, loop
from megahub.kernel.errors import HubError

log = logging.getLogger(__name__)

#: A job for later is asked for its answer after it has run: so long it is there, whatever is kept.
FETCHED_WITHIN = timedelta(hours=1)


async def check_input(job: Job) -> None:
    """Look at a request before it is accepted. Raises ContentBlocked: then nothing was written or paid."""
    if not job.policy.looks:
        return
    hits = await _hits(job, "input", job.call.params)
    if hits:
        await _found(job, "input", hits)


async def check_output(job: Job) -> None:
    """Look at an answer before it is told. Raises ContentBlocked; what it used is paid for."""
    if not job.policy.looks or job.completion is None:
        return
    hits = await _hits(job, "output", job.completion.body)
    if hits:
        await _found(job, "output", hits)


async def _hits(job: Job, direction: str, value: Any) -> int:
    """How many of the company's words stand there, else how many categories the provider flags."""
    text, images = rules.texts(value), rules.images(value)
    found = len(rules.hits(job.policy.words, text))
    if found or not job.policy.moderation or not (text.strip() or images):
        return found
    try:
        name = f"{job.job_ref}-{direction}"
        return len(await moderating.categories(job.company_id, text, images, name))
    except (HubError, TimeoutError) as error:
        if job.policy.content_filter == "block":
            raise ContentUnchecked from error
        log.warning("moderation of %s was not answered: %s", direction, type(error).__name__)
        return 0


async def _found(job: Job, direction: str, hits: int) -> None:
    blocked = job.policy.content_filter == "block"
    facts = {
        "direction": direction,
        "action": "blocked" if blocked else "flagged",
        "hits": hits,
        "job_ref": "" if blocked and direction == "input" else job.job_ref,
        "model": job.model,
    }
    await loop.in_thread(findings.record, job.company_id, job.brand_id, **facts)
    if blocked:
        raise ContentBlocked(direction=direction)


def kept(job: Job, error: HubError | None) -> dict[str, Any]:
    """What a settlement says of the job's texts: response, error, input_data, forget_at."""
    keep = job.policy.keep
    body = job.completion.body if job.completion else None
    if isinstance(error, ContentBlocked):
        body = None
    told = error.as_data() if error else None
    if keep == "all" or not job.is_async:
        answer = keeping.kept_answer(keep, body)
        return {"response": _json(answer), "error": keeping.kept_error(keep, told)}
    return {
        "response": _json(body),
        "error": keeping.kept_error(keep, told),
        "input_data": orjson.dumps(keeping.kept(keep, orjson.loads(job.order.input_json))),
        "forget_at": clock.now() + FETCHED_WITHIN,
    }


def _json(value: Any) -> bytes | None:
    return None if value is None else orjson.dumps(value)
